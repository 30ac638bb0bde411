"""Condenses similar notes into one line: a run in six languages has each note six times."""

from __future__ import annotations

import re
from collections.abc import Sequence

NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?%?")
# "ORIGIN: text", the format of the notes in data/ and heads/.
NOTE = re.compile(r"(?P<origin>[^\s:][^:]*): (?P<text>.+)", flags=re.DOTALL)


def condense(notes: Sequence[str]) -> list[str]:
    """Returns the notes, with those that differ only in origin and numbers joined into one line.

    "de.jsonl: 113 rows (94.2%) truncated to 16 tokens" and the same note for two other files become "rows truncated to
    16 tokens: de.jsonl 113 (94.2%), fr.jsonl 111 (92.5%), ru.jsonl 110 (91.7%)". The joined line replaces the first of
    its notes.
    """
    groups: dict[str, list[re.Match[str]]] = {}
    for note in notes:
        found = NOTE.fullmatch(note)
        if found is not None:
            groups.setdefault(NUMBER.sub("#", found["text"]), []).append(found)
    lines = []
    for note in notes:
        found = NOTE.fullmatch(note)
        group = [] if found is None else groups[NUMBER.sub("#", found["text"])]
        if len(group) < 2:
            lines.append(note)
        elif group[0][0] == note:
            lines.append(_join(group))
    return lines


def _join(group: Sequence[re.Match[str]]) -> str:
    texts = [each["text"] for each in group]
    numbers = [NUMBER.findall(text) for text in texts]
    varies = [len({each[i] for each in numbers}) > 1 for i in range(len(numbers[0]))]
    if not any(varies):
        return f"{', '.join(each['origin'] for each in group)}: {texts[0]}"
    place = iter(range(len(varies)))
    common = NUMBER.sub(lambda number: "" if varies[next(place)] else number[0], texts[0])
    common = " ".join(common.replace("()", "").split())
    parts = []
    for each, values in zip(group, numbers, strict=True):
        first, *others = [value for value, is_own in zip(values, varies, strict=True) if is_own]
        parts.append(f"{each['origin']} {first}" + (f" ({', '.join(others)})" if others else ""))
    return f"{common}: {', '.join(parts)}"
