"""Values that can be read and are still not what they seem: two spellings of a label, a list as text, sentences of one
word, the wrong column."""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import islice

from tlnlp.data.label_spellings import is_number
from tlnlp.data.rows import Rows
from tlnlp.data.written_values import looks_written
from tlnlp.display.formatting import name_some, percent

SOME_ROWS = 5_000
SHOWN = 3
LEAST_ROWS = 20  # fewer have few different values anyway
MOST = 0.8  # of the rows
DAMAGED = {
    "U+FFFD, which stands for a damaged character,": re.compile("\ufffd"),
    "UTF-8 that was read as Windows' encoding": re.compile("[\u00c2\u00c3][\u0080-\u00bf]|\u00e2\u20ac"),
}


def find_odd_values(name: str, rows: Rows) -> list[str]:
    """Returns sentences on what a person should look at before training.

    Args:
        name: of the split.
    """
    findings = [f"{name}: {words}" for words in _in_labels(rows)] if name == "train" else []
    return findings + [f"{name}: {words}" for words in [*_in_texts(rows), *_in_words(rows)]]


def _in_labels(rows: Rows) -> list[str]:
    names = rows.labels or ()
    findings = []
    for what, key in (("in case or blanks", _without_case), ("in how a number is written", _as_number)):
        alike = defaultdict(list)
        for label in names:
            alike[key(label)].append(label)
        same = [labels for folded, labels in alike.items() if len(labels) > 1 and folded]
        if same:
            findings.append(
                f"labels that differ only {what}: {name_some([' and '.join(map(repr, each)) for each in same], SHOWN)}"
            )
    if written := [label for label in names if looks_written(label)]:
        findings.append(f"labels that are lists as text: {name_some([*map(repr, written)], SHOWN)} (--several-labels?)")
    if "tags" in rows.columns and names and all(map(is_number, names)):
        findings.append(f"tags are numbers without names: {name_some(names, SHOWN)}; which of them is no entity?")
    if "label" in rows.columns and "endings" not in rows.columns and len(names) > max(LEAST_ROWS, len(rows) / 2):
        findings.append(f"{len(names):,} different labels in {len(rows):,} rows: is this the column of labels?")
    return findings


def _in_texts(rows: Rows) -> list[str]:
    findings = []
    for role in ("text", "text_pair", "question", "context"):
        some = list(islice(rows.columns.get(role, ()), SOME_ROWS))
        if len(some) < LEAST_ROWS:
            continue
        for what, count in (
            ("a list as text", sum(map(looks_written, some))),
            ("only a number", sum(is_number(text.strip()) for text in some)),
        ):
            if count > MOST * len(some):
                findings.append(f"{role} is {what} in {percent(count / len(some))} of the rows, e.g. {some[0][:40]!r}")
        for what, sign in DAMAGED.items():
            if damaged := [text for text in some if sign.search(text)]:
                findings.append(
                    f"{len(damaged):,} of {len(some):,} rows have {what} in {role}, e.g. {damaged[0][:40]!r}: which"
                    " encoding does the file have, and in which one was it read before?"
                )
        different = len(set(some))
        if different <= max(2, len(some) / 50) and role in ("text", "question"):
            findings.append(f"{role} has only {different:,} different values in {len(some):,} rows: is it the column?")
    return findings


def _in_words(rows: Rows) -> list[str]:
    some = list(islice(rows.columns.get("words", ()), SOME_ROWS))
    if len(some) < LEAST_ROWS:
        return []
    findings = []
    single = sum(len(words) == 1 for words in some)
    if single > MOST * len(some):
        findings.append(f"{percent(single / len(some))} of the sentences have one word: are the rows words?")
    brackets = sum(words[0].startswith(("['", '["')) and words[-1].endswith(("']", '"]')) for words in some)
    if brackets > MOST * len(some):
        findings.append(f"the first word begins as a list does, e.g. {some[0][0]!r}: is it a list as text?")
    numbers = sum(all(map(is_number, words)) for words in some)
    if numbers > MOST * len(some):
        findings.append(f"words are numbers, e.g. {' '.join(some[0][:5])}: is it the column of words?")
    return findings


def _without_case(label: str) -> str:
    return re.sub(r"[\s_]+", " ", label).strip().casefold()


def _as_number(label: str) -> str:
    return str(float(label.replace(",", "."))) if is_number(label.strip()) else ""
