"""brat's folders: a .txt file for each text, and beside it an .ann file with the spans in it (https://brat.nlplab.org)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from tlnlp.data.bytes_to_text import decode, read_bytes
from tlnlp.data.table import Table, show
from tlnlp.errors import InputError

ANNOTATIONS = ".ann"
# T1<tab>PER 0 4<tab>Anna; of a discontinuous span PER 0 4;10 14
_SPAN = re.compile(r"T\d+\t(\S+) (\d+ \d+(?:;\d+ \d+)*)(?:\t(.*))?")


def holds_annotations(folder: Path) -> bool:
    """Returns whether a folder has brat's annotations."""
    return any(path.suffix == ANNOTATIONS for path in folder.iterdir())


def read_annotations(folder: Path, origin: str) -> Table:
    """Returns the columns "text", "spans" and "file", a row for each text. Relations, events, attributes and comments
    are not read; a discontinuous span is read from its beginning to its end. Both is said.

    Raises:
        InputError: a text is missing, or a line is not in brat's form.
    """
    columns: dict[str, list[Any]] = {"text": [], "spans": [], "file": []}
    others = discontinuous = 0
    first = ""
    for path in sorted(path for path in folder.iterdir() if path.suffix == ANNOTATIONS):
        beside = path.with_suffix(".txt")
        if not beside.is_file():
            raise InputError(
                expected=f"brat's texts and annotations: {beside.name} beside {path.name}",
                found=f"{origin}: no {beside.name}",
                change="copy the text files into the folder, too",
            )
        text = decode(read_bytes(beside, "", beside.name), f"{origin}/{beside.name}", ".txt")
        spans = []
        annotations = decode(read_bytes(path, "", path.name), f"{origin}/{path.name}", ANNOTATIONS)
        for number, line in enumerate(annotations.replace("\r\n", "\n").split("\n"), 1):
            if not line.startswith("T"):
                others += bool(line.strip())
                continue
            read = _SPAN.fullmatch(line)
            if read is None:
                raise InputError(
                    expected="brat's spans: T1, a tab, the label, start and end, a tab, the text",
                    found=f"{origin}/{path.name}, line {number}: {show(line)}",
                    change="the line",
                )
            places = [int(place) for place in re.split("[ ;]", read[2])]
            is_whole = ";" not in read[2]
            spans.append(
                {"start": places[0], "end": places[-1], "label": read[1], "text": read[3] if is_whole else None}
            )
            discontinuous += not is_whole
            first = first or ("" if is_whole else f"{path.name}, line {number}: {show(line)}")
        for name, value in zip(columns, (text, spans, beside.name), strict=True):
            columns[name].append(value)
    notes = [f"{origin}: {len(columns['text']):,} texts with brat's annotations"]
    if discontinuous:
        notes.append(
            f"{origin}: {discontinuous:,} discontinuous spans read with all between their parts, first {first}"
        )
    if others:
        notes.append(f"{origin}: {others:,} lines of relations, events, attributes and comments not used")
    unused = [path.name for path in sorted(folder.glob("*.txt")) if not path.with_suffix(ANNOTATIONS).is_file()]
    if unused:
        notes.append(f"{origin}: {len(unused):,} texts without an {ANNOTATIONS} file not used, first {unused[0]}")
    return Table(columns, origin, np.arange(1, len(columns["text"]) + 1), notes=tuple(notes))
