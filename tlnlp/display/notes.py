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
    groups: dict[str, list[str]] = {}
    for note in notes:
        found = NOTE.fullmatch(note)
        # A note without an origin is a kind of its own.
        groups.setdefault(note if found is None else NUMBER.sub("#", found["text"]), []).append(note)
    return [group[0] if len(group) == 1 else _join(group) for group in groups.values()]


def _join(group: Sequence[str]) -> str:
    origins, texts = zip(*(note.split(": ", 1) for note in group), strict=True)
    numbers = [NUMBER.findall(text) for text in texts]
    varies = [len({each[i] for each in numbers}) > 1 for i in range(len(numbers[0]))]
    if not any(varies):
        return f"{', '.join(origins)}: {texts[0]}"
    place = iter(range(len(varies)))
    common = NUMBER.sub(lambda number: "" if varies[next(place)] else number[0], texts[0])
    common = " ".join(common.replace("()", "").split())
    parts = []
    for origin, values in zip(origins, numbers, strict=True):
        first, *others = [value for value, is_own in zip(values, varies, strict=True) if is_own]
        parts.append(f"{origin} {first}" + (f" ({', '.join(others)})" if others else ""))
    return f"{common}: {', '.join(parts)}"
