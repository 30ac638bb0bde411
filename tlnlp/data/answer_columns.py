"""Tables with the text of an answer in one column and its start in another: joined to one column of answers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tlnlp.data.labels import is_missing
from tlnlp.data.table import Table, point_at, show
from tlnlp.data.written_values import looks_written, parse_written
from tlnlp.errors import InputError

# Usual names of the columns. `Dataset.flatten` of SQuAD gives the ones with a dot.
TEXTS = ("answers.text", "answer_text", "answers_text", "answer")
STARTS = ("answers.answer_start", "answer_start", "answers_start", "answer_starts")
IMPOSSIBLE = "is_impossible"
_IMPOSSIBLE = dict.fromkeys(("true", "1", "1.0", "yes"), True) | dict.fromkeys(("false", "0", "0.0", "no"), False)


def join_answers(table: Table, roles: Mapping[str, str], chosen: Mapping[str, str]) -> Table:
    """Returns the table with answers that have their starts, where another column has these; and without the answers of
    questions that a column declares impossible. Both is said.

    Args:
        roles: {role: column} of the task.
        chosen: {role: column} of `--columns`.
    """
    known = [chosen["answers"]] if "answers" in chosen else [roles["answers"], "answers", *TEXTS]
    text = next((name for name in known if name in table.columns), None)
    start = next((name for name in STARTS if name in table.columns and name != text), None)
    is_usual = text in (chosen.get("answers"), roles["answers"], "answers")
    if text is None or (is_usual and start is None and IMPOSSIBLE not in table.columns):
        return table
    texts = [_read(value, str) for value in table.values(text)]
    said, answers = ([] if is_usual else [f"answers from {text!r}"]), texts
    if start is not None and not any(isinstance(each, dict) or _holds_objects(each) for each in texts):
        starts = [_read(value, int | float) for value in table.values(start)]
        answers = [_join(each, place) for each, place in zip(texts, starts, strict=True)]
        said = [f"answers from {text!r}, with their starts in {start!r}"]
    if IMPOSSIBLE in table.columns:
        impossible = _read_impossible(table)
        if dropped := sum(bool(each) for each, none in zip(answers, impossible, strict=True) if none):
            said.append(f"{dropped:,} answers of questions that {IMPOSSIBLE!r} declares to have none are not used")
        answers = [[] if none else each for each, none in zip(answers, impossible, strict=True)]
    if not said:
        return table
    columns = {**table.columns, chosen.get("answers", roles["answers"]): answers}
    return replace(table, columns=columns, notes=(*table.notes, *(f"{table.origin}: {each}" for each in said)))


def _read_impossible(table: Table) -> list[bool]:
    """Returns for each row whether its question is declared to have no answer.

    Raises:
        InputError: a value is neither yes nor no.
    """
    values = table.values(IMPOSSIBLE)
    missing = [is_missing(value, None) for value in values]
    said = [
        False if none else _IMPOSSIBLE.get(str(v).strip().casefold()) for v, none in zip(values, missing, strict=True)
    ]
    if odd := [row for row, yes in enumerate(said) if yes is None]:
        raise InputError(
            expected=f"true or false in the column {IMPOSSIBLE!r}",
            found=point_at(table, odd, lambda row: show(values[row])),
            change="these values, or the name of the column, if it means something else",
        )
    return [yes is True for yes in said]


def _read(value: Any, kinds: Any) -> Any:
    """Returns the object, or the list of `kinds`, that a text is the text of; any other value unchanged."""
    if not isinstance(value, str) or not looks_written(value):
        return value
    try:
        found = parse_written(value)
    except ValueError:
        return value
    is_list = isinstance(found, list) and all(isinstance(each, kinds | dict) for each in found)
    return found if isinstance(found, dict) or is_list else value


def _holds_objects(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(each, dict) for each in value)


def _join(text: Any, start: Any) -> Any:
    """Returns answers in SQuAD's form; a question without a text has none, and one without a column is hidden."""
    if is_missing(text, None) and not isinstance(text, list):
        return text
    texts = text if isinstance(text, list) else [text]
    starts = start if isinstance(start, list) else [start] * (len(texts) == 1 or is_missing(start, None))
    if not isinstance(start, list) and is_missing(start, None):
        starts = [None] * len(texts)
    return {"text": texts, "answer_start": [_number(each) for each in starts]}


def _number(start: Any) -> Any:
    if is_missing(start, None):
        return None
    found = re.fullmatch(r"\s*(\d{1,12})(?:\.0)?\s*", start) if isinstance(start, str) else None
    return int(found[1]) if found else start
