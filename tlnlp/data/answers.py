"""Answers that are spans of their context, with their character offsets (SQuAD)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tlnlp.data.table import Table, point_at, refuse_rows, show
from tlnlp.data.written_values import looks_written, parse_written
from tlnlp.errors import InputError

# A text, and its start in the context in characters from 0, as the source gives it; None if it gives none.
Said = tuple[str, int | None]
# The text of answers in SQuAD's form.
_MEANT_AS_ANSWERS = re.compile(r"""\s*(\[\s*)?\{\s*['"](text|answer_start)['"]\s*:""")
# {"text": texts, "answer_start": starts}
Answers = dict[str, list[Any]]


def read_answers(
    table: Table, column: str, contexts: Sequence[str], *, fix: bool, unanswerable: bool, train: bool
) -> tuple[list[Answers], list[int], list[str]]:
    """Reads the answers of each row.

    Args:
        contexts: the context of each row.
        fix: move an answer whose start is wrong to the nearest match in the context. If there is no match, train rows
            drop the answer, and the question if it has no other; other rows keep the answer, with start -1.
        unanswerable: whether the task has questions without an answer; otherwise they are dropped.
        train: whether these are the train rows.

    Returns:
        {"text": texts, "answer_start": starts} for each row of the table, both empty if there is no answer; the
        positions of the rows to keep; notes on what was corrected and dropped.

    Raises:
        InputError: a value is not an answer; a start is wrong, without `fix`; no row remains.
    """
    values = table.values(column)
    said = [parse_answers(value) for value in values]
    if wrong := [i for i, answers in enumerate(said) if answers is None]:
        refuse_rows(
            table,
            wrong,
            values,
            what="answers",
            expected='answers as in SQuAD, {"text": [...], "answer_start": [...]}, a list of texts or one text',
            change="the row; use [] or an empty text for a question without an answer",
        )
    placed = _Placed(contexts, [answers or [] for answers in said])
    if placed.wrong and not fix:
        raise _misplaced(table, contexts, placed)
    answers = [[answer for answer in row if answer[1] >= 0 or not train] for row in placed.answers]
    # A question whose answers were dropped is not an unanswerable question.
    stay = [i for i, row in enumerate(answers) if row or (unanswerable and not said[i])]
    if not stay:
        raise InputError(
            expected="questions with answers in their contexts",
            found=f"{table.origin}: {len(answers):,} rows, none with such an answer",
            change="the rows, or use a task with unanswerable questions (recipes/squad_v2.py)",
        )
    notes = placed.notes(table, train=train)
    if empty := 0 if unanswerable else sum(not row for row in said):
        notes.append(f"{table.origin}: {empty:,} questions without an answer dropped (recipes/squad_v2.py keeps them)")
    read: list[Answers] = [
        {"text": [text for text, _ in row], "answer_start": [at for _, at in row]} for row in answers
    ]
    return read, stay, notes


def are_hidden(table: Table, column: str) -> bool:
    """Whether no row has an answer."""
    return all(value is None or parse_answers(value) == [] for value in table.values(column))


def parse_answers(value: Any) -> list[Said] | None:
    """Returns the answers in a value: [] if it is empty, None if it cannot be parsed.

    Args:
        value: {"text": ..., "answer_start": ...} with lists or single values, a list of such dicts or of texts, one
            text, or any of these as text (JSON, Python, numpy).
    """
    if isinstance(value, str):
        return _parse_text(value)
    if isinstance(value, dict):
        texts, starts = value.get("text"), value.get("answer_start")
        if texts is None and starts is None and "text" in value:  # haystack's NOT_GIVEN
            return []
        if isinstance(texts, str):
            texts, starts = [texts], [starts]
        if not isinstance(texts, list):
            return None
        starts = starts or [None] * len(texts)
        if not isinstance(starts, list) or len(starts) != len(texts):
            return None
        return _checked(list(zip(texts, starts, strict=True)))
    if not isinstance(value, list):
        return None
    given = [each for each in value if not (isinstance(each, dict) and parse_answers(each) == [])]
    pairs = [(each.get("text"), each.get("answer_start")) if isinstance(each, dict) else (each, None) for each in given]
    return _checked(pairs)


def _parse_text(text: str) -> list[Said] | None:
    if looks_written(text):
        try:
            found = parse_written(text)
        except ValueError:
            if _MEANT_AS_ANSWERS.match(text):  # such as one that numpy has shortened
                return None
            found = None
        # An answer may look like JSON: "[1]" is a JSON list, but not one of answers.
        if isinstance(found, dict | list) and (parsed := parse_answers(found)) is not None:
            return parsed
    return _checked([(text, None)])


def _checked(pairs: list[tuple[Any, Any]]) -> list[Said] | None:
    read: list[Said] = []
    for text, start in pairs:
        if isinstance(start, float) and start.is_integer():  # pandas stores integers as floats in columns with nulls
            start = int(start)
        is_place = isinstance(start, int) and not isinstance(start, bool)
        if not isinstance(text, str) or not (start is None or is_place):
            return None
        read.append((text, None if start == -1 else start))
    if all(not text or text.isspace() for text, _ in read):
        return []
    return None if any(not text or text.isspace() for text, _ in read) else read


def find_first(context: str, text: str) -> tuple[str, int] | None:
    """Returns the first occurrence of `text` as whole words, so that the answer 7 is not found in 1987; the first of
    any kind if there is none (scripts without spaces); and so on as `find_nearest` if none is written so."""
    pattern = rf"(?<!\w){re.escape(text)}(?!\w)"
    whole = re.search(pattern, context) if text in context else None
    return (text, whole.start()) if whole else find_nearest(context, text, 0)


def find_nearest(context: str, text: str, start: int) -> tuple[str, int] | None:
    """Returns the occurrence of `text` in the context nearest to `start`, and its start; of two equally near ones, the
    earlier. If there is none, matches may differ in case and whitespace. None if there is no match at all."""
    start = max(start, 0)
    exact = [at for at in (context.rfind(text, 0, start + len(text)), context.find(text, start)) if at >= 0]
    if exact:
        return text, min(exact, key=lambda at: abs(at - start))
    pattern = r"\s+".join(map(re.escape, text.split()))
    matches = re.finditer(pattern, context, re.IGNORECASE)
    near = min(matches, key=lambda match: abs(match.start() - start), default=None)
    return (near.group(), near.start()) if near else None


def _is_beside(context: str, text: str, start: int, nearest: tuple[str, int]) -> bool:
    """Returns whether an answer differs from the nearest match only in spaces, and only spaces are between them."""
    first, last = sorted((start, nearest[1]))
    return first >= 0 and not context[first:last].strip() and nearest[0].split() == text.split()


@dataclass(frozen=True)
class _Wrong:
    """An answer that is not at its given start, and the nearest match."""

    row: int
    text: str
    start: int | None
    nearest: tuple[str, int] | None


@dataclass
class _Placed:
    """Each row's answers with their starts in the context, -1 if the context lacks them; and the wrong starts."""

    contexts: Sequence[str]
    said: Sequence[list[Said]]
    answers: list[list[tuple[str, int]]] = field(default_factory=list)
    wrong: list[_Wrong] = field(default_factory=list)
    found: int = 0
    found_several_times: int = 0
    found_otherwise_written: int = 0
    beside: int = 0

    def __post_init__(self) -> None:
        for row, (context, of_row) in enumerate(zip(self.contexts, self.said, strict=True)):
            self.answers.append([self._place(row, context, text, start) for text, start in of_row])

    def _place(self, row: int, context: str, text: str, start: int | None) -> tuple[str, int]:
        if start is not None and start >= 0 and context.startswith(text, start):
            return text, start
        nearest = find_first(context, text) if start is None else find_nearest(context, text, start)
        if start is not None and nearest is not None and _is_beside(context, text, start, nearest):
            self.beside += 1
            return nearest
        if start is not None or nearest is None:
            self.wrong.append(_Wrong(row, text, start, nearest))
            return nearest or (text, -1)
        self.found += 1
        self.found_several_times += context.count(text) > 1
        self.found_otherwise_written += nearest[0] != text
        return nearest

    def notes(self, table: Table, *, train: bool) -> list[str]:
        """Returns notes on the starts that were searched for and corrected."""
        said = []
        if self.found:
            first = "of which the first is used, or the first as whole words"
            more = [f"{self.found_several_times:,} of them several times, {first}"] * bool(self.found_several_times)
            more += [f"{self.found_otherwise_written:,} with different case or whitespace"] * bool(
                self.found_otherwise_written
            )
            said.append(f"{self.found:,} answers without a start were found in their contexts")
            said[-1] += f" ({', '.join(more)})" if more else ""
        if self.beside:
            said.append(f"{self.beside:,} answers were off by spaces and moved to their place")
        nowhere = [each for each in self.wrong if each.nearest is None]
        if moved := len(self.wrong) - len(nowhere):
            said.append(f"{moved:,} answers moved to the nearest match (--fix-answers)")
        if nowhere:
            rows = {each.row for each in nowhere}
            lost = sum(all(start < 0 for _, start in self.answers[row]) for row in rows)
            what = f"dropped, and {lost:,} questions that have no other" if train else "kept, with start -1"
            said.append(f"{len(nowhere):,} answers that are not in their context are {what} (--fix-answers)")
        return [f"{table.origin}: {each}" for each in said]


def _misplaced(table: Table, contexts: Sequence[str], placed: _Placed) -> InputError:
    first_of_row: dict[int, _Wrong] = {}
    for each in placed.wrong:
        first_of_row.setdefault(each.row, each)

    def say(row: int) -> str:
        wrong = first_of_row[row]
        at = "" if wrong.start is None else f" at {wrong.start}"
        there = contexts[row][max(wrong.start or 0, 0) :][: len(wrong.text)]
        stands = (
            ""
            if wrong.start is None
            else f", where the context has {show(there)}"
            if there
            else ", after the end of the context"
        )
        near = f"nearest {show(wrong.nearest[0])} at {wrong.nearest[1]}" if wrong.nearest else "nowhere in the context"
        return f"{show(wrong.text)}{at}{stands}; {near}"

    rows = list(first_of_row)
    nowhere = sum(each.nearest is None for each in placed.wrong)
    elsewhere = len(placed.wrong) - nowhere
    counts = [f"{elsewhere:,} answers are not at their answer_start"] * bool(elsewhere)
    counts += [f"{nowhere:,} answers are not in their context"] * bool(nowhere)
    shown = point_at(table, rows, say)
    drops = "; answers that are not in their context are dropped from train" if nowhere else ""
    return InputError(
        expected="answers that are in their context at answer_start, in characters from 0",
        found=f"{', '.join(counts)}: {shown}",
        change=f"these rows, or use --fix-answers to take the nearest match{drops}",
    )
