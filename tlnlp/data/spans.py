"""Spans of texts, given by character offsets (doccano, label-studio, prodigy, spaCy, brat), to words and tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tlnlp.data.span_forms import Span, read_spans
from tlnlp.data.split_words import Word, split_words
from tlnlp.data.table import Table, point_at, show
from tlnlp.data.tag_names import OUTSIDE
from tlnlp.errors import InputError

# Usual names of the columns.
TEXTS = ("text", "content", "sentence", "document", "data")
SPANS = ("spans", "entities", "label", "labels", "annotations", "annotation", "completions", "tags", "ner")
# Offsets of which so many, in so large a share, cut words do not fit the texts.
MOST_CUT_FRACTION, LEAST_CUT = 0.5, 5
# Judgements of prodigy's `answer`.
ANSWER, ACCEPT = "answer", "accept"
_JUDGEMENTS = (ACCEPT, "reject", "ignore", None)


def find_spans(table: Table, roles: Mapping[str, str], chosen: Mapping[str, str]) -> tuple[str, str] | None:
    """Returns the columns of the texts and of their spans; None if the table has no such columns.

    Args:
        roles: {role: column} of the task.
        chosen: {role: column} of `--columns`: words=COLUMN of the texts, tags=COLUMN of the spans.
    """
    texts = [chosen["words"]] if "words" in chosen else [roles["words"], "words", *TEXTS]
    spans = [chosen["tags"]] if "tags" in chosen else [roles["tags"], "tags", *SPANS]
    key = chosen.get("words")
    if key is not None and key not in table.columns:  # one of the texts in label-studio's data
        texts = [name for name in table.columns if _text_in(_first_object(table.columns[name]), key) is not None]
    text = next((name for name in texts if name in table.columns and _are_texts(table.columns[name], key)), None)
    if text is None:
        _refuse_several_texts(table)
        return None
    span = next((name for name in spans if name in table.columns and _are_spans(table.columns[name])), None)
    return None if span is None else (text, span)


def holds_objects(table: Table, column: str) -> bool:
    """Returns whether a column has objects in lists, as prodigy's tokens are, and no words."""
    first = (
        next((value for value in _python(table.columns[column]) if value), None) if column in table.columns else None
    )
    return isinstance(first, list) and isinstance(first[0], dict)


def split_texts(table: Table, text: str, column: str) -> Table:
    """Returns the table with the words of a column of texts, and a note on it; none of a value that is no text."""
    words = [
        [word for word, _, _ in split_words(value)] if isinstance(value, str) else None for value in table.values(text)
    ]
    note = f"{table.origin}: {text!r} split into words at spaces and around punctuation"
    return replace(table, columns={**table.columns, column: words}, notes=(*table.notes, note), word_numbers=None)


def _refuse_several_texts(table: Table) -> None:
    """Raises an error if label-studio's tasks have several texts, and nothing says which one the spans are of."""
    if not {"data", "annotations"} <= set(table.columns):
        return
    texts = [name for name, value in _first_object(table.columns["data"]).items() if isinstance(value, str)]
    if len(texts) > 1:
        raise InputError(
            expected="the text that the spans are of",
            found=f"{table.origin}: 'data' has {', '.join(texts)}",
            change=f"name it: --columns words={texts[0]}",
        )


def _first_object(values: Any) -> Mapping[str, Any]:
    first = next((value for value in _python(values) if value is not None), None)
    return first if isinstance(first, dict) else {}


def _are_texts(values: Any, key: str | None) -> bool:
    first = next((value for value in _python(values) if value is not None), None)
    return isinstance(first, str) or (isinstance(first, dict) and _text_in(first, key) is not None)


def _are_spans(values: Any) -> bool:
    """Returns whether the first value that is not empty holds spans."""
    for value in _python(values):
        if value is None or value in ([], "", "[]"):
            continue
        found, _ = _annotated(value)
        if found is None or read_spans(found) is None:
            return False
        if read_spans(found):
            return True
    return False


def _python(values: Any) -> Any:
    return values if isinstance(values, list) else (value.as_py() for value in values)


def _text_in(task: Mapping[str, Any], key: str | None) -> str | None:
    """Returns the text in label-studio's `data`: the one named `key`, else the one named text, or the only one."""
    if key is not None and isinstance(task.get(key), str):
        return str(task[key])
    texts = [value for value in task.values() if isinstance(value, str)]
    return task["text"] if isinstance(task.get("text"), str) else texts[0] if len(texts) == 1 else None


def _is_by_annotator(value: Any) -> bool:
    """Returns whether a value has label-studio's results."""
    return (
        isinstance(value, list) and bool(value) and all(isinstance(each, dict) and "result" in each for each in value)
    )


def _annotated(value: Any) -> tuple[Any, int]:
    """Returns the value in which the spans are, and how many others there are: label-studio has a result for each
    annotator, of whom the first is taken. None if nobody has annotated it."""
    if not _is_by_annotator(value):
        return value, 0
    done = [each for each in value if not each.get("was_cancelled")]
    done.sort(key=lambda each: not each.get("ground_truth"))
    return (done[0]["result"], len(done) - 1) if done else (None, 0)


@dataclass
class _Said:
    """The rows, counted from 0, of what is said after all rows were read."""

    unread: list[int] = field(default_factory=list)
    outside: dict[int, str] = field(default_factory=dict)
    other_text: dict[int, str] = field(default_factory=dict)
    cut: dict[int, str] = field(default_factory=dict)
    overlapping: dict[int, str] = field(default_factory=dict)
    spans: int = 0
    cut_spans: int = 0
    in_utf16: int = 0
    more_annotators: int = 0
    not_annotated: int = 0
    not_accepted: int = 0
    empty: int = 0


def words_of_spans(table: Table, found: tuple[str, str], roles: Mapping[str, str], chosen: Mapping[str, str]) -> Table:
    """Returns the table with words and IOB2 tags. A span that cuts words is widened to whole ones, of overlapping spans
    the longest is kept, rows that were not annotated are left out; each of these is said with its rows.

    Args:
        found: from `find_spans`.

    Raises:
        InputError: a row's spans cannot be read, lie outside of the text, or do not have the text that the source says;
            or most of them cut words.
    """
    said, words, tags, stay = _Said(), [], [], []
    texts, values = table.values(found[0]), table.values(found[1])
    answers = table.values(ANSWER) if ANSWER in table.columns else []
    if not answers or not all(answer in _JUDGEMENTS for answer in answers):  # a column of another meaning
        answers = [ACCEPT] * len(table)
    tokens = table.values("tokens") if "tokens" in table.columns else [None] * len(table)
    files = table.values("file") if "file" in table.columns else None  # brat's
    by_annotator = any(map(_is_by_annotator, values))
    for row, (text, value) in enumerate(zip(texts, values, strict=True)):
        text = _text_in(text, chosen.get("words")) if isinstance(text, dict) else text
        inside, others = (None, 0) if value == [] and by_annotator else _annotated(value)
        if answers[row] not in (ACCEPT, None) or inside is None:
            said.not_accepted += inside is not None
            said.not_annotated += inside is None
            continue
        spans = read_spans(inside) if inside != "" else []
        if spans is None or not isinstance(text, str):
            said.unread.append(row)
            continue
        pieces = _tokens_of(tokens[row], text) or split_words(text)
        if not pieces:
            said.empty += 1
            continue
        said.more_annotators += others > 0
        stay.append(row)
        words.append([word for word, _, _ in pieces])
        where = f"{files[row]}: " if files is not None else ""
        tags.append(_tag(row, where, text, pieces, spans, said))
    _refuse(table, found, values, stay, said)
    columns = dict(table.columns)
    if len(stay) < len(table):
        columns = {name: [table.values(name)[row] for row in stay] for name in table.columns}
    columns |= {chosen.get("words", roles["words"]): words, chosen.get("tags", roles["tags"]): tags}
    kept = np.asarray(stay, dtype=np.int64)
    names = {name: own for name, own in table.class_names.items() if name not in found}
    return replace(
        table, columns=columns, numbers=table.numbers[kept], class_names=names,
        notes=(*table.notes, *_notes(table, found, said)), word_numbers=None,
    )  # fmt: skip


def _tokens_of(tokens: Any, text: str) -> list[Word] | None:
    """Returns the words that the source itself gives with their places (prodigy); None if it gives none."""
    if not isinstance(tokens, list) or not tokens or not all(isinstance(each, dict) for each in tokens):
        return None
    places = [(each.get("start"), each.get("end")) for each in tokens]
    if not all(isinstance(first, int) and isinstance(last, int) and 0 <= first < last for first, last in places):
        return None
    words = [(text[first:last], first, last) for first, last in places]
    return [word for word in words if not word[0].isspace()] if all(word for word, _, _ in words) else None


def _tag(row: int, where: str, text: str, pieces: Sequence[Word], spans: Sequence[Span], said: _Said) -> list[str]:
    """Returns a tag for each word, and notes what does not fit."""
    said.spans += len(spans)
    if spans and max(map(ord, text)) > 0xFFFF and (in_utf16 := _from_utf16(text, spans)) is not None:
        before, after = (sum(_cuts(text, pieces, span) for span in each) for each in (spans, in_utf16))
        if not _fits(text, spans) or after < before:
            spans = in_utf16
            said.in_utf16 += 1
    tags = [OUTSIDE] * len(pieces)
    for span in sorted(set(spans), key=lambda span: (span.start - span.end, span.start)):
        shown = f"{where}{span.label} at {span.start} to {span.end}"
        if not 0 <= span.start < span.end <= len(text):
            said.outside[row] = f"{shown} of a text of {len(text):,} characters"
            continue
        there = text[span.start : span.end]
        if span.text is not None and span.text.split() != there.split():
            said.other_text[row] = f"{shown} is {show(span.text)}, but the text has {show(there)}"
            continue
        covered = _covered(text, pieces, span)
        if not covered:
            said.outside[row] = f"{shown}, {show(there)}, where no word is"
            continue
        if any(tags[place] != OUTSIDE for place in covered):
            said.overlapping[row] = f"{shown}, {show(there)}"
            continue
        if _cuts(text, pieces, span):
            said.cut_spans += 1
            whole = text[pieces[covered[0]][1] : pieces[covered[-1]][2]]
            said.cut.setdefault(row, f"{where}{span.label} {show(there)}, widened to {show(whole)}")
        tags[covered[0]] = f"B-{span.label}"
        for place in covered[1:]:
            tags[place] = f"I-{span.label}"
    return tags


def _stripped(text: str, span: Span) -> tuple[int, int]:
    """Returns the bounds of a span without spaces at its ends."""
    there = text[max(span.start, 0) : span.end]
    return span.start + len(there) - len(there.lstrip()), span.end - len(there) + len(there.rstrip())


def _covered(text: str, pieces: Sequence[Word], span: Span) -> range:
    """Returns the words that a span has a character of."""
    start, end = _stripped(text, span)
    first = int(np.searchsorted([last for _, _, last in pieces], start, side="right"))
    last = int(np.searchsorted([begin for _, begin, _ in pieces], end, side="left"))
    return range(first, last)


def _cuts(text: str, pieces: Sequence[Word], span: Span) -> bool:
    covered, bounds = _covered(text, pieces, span), _stripped(text, span)
    return bool(covered) and bounds != (pieces[covered[0]][1], pieces[covered[-1]][2])


def _fits(text: str, spans: Sequence[Span]) -> bool:
    return all(
        0 <= span.start < span.end <= len(text)
        and (span.text is None or span.text.split() == text[span.start : span.end].split())
        for span in spans
    )


def _from_utf16(text: str, spans: Sequence[Span]) -> list[Span] | None:
    """Returns the spans with offsets that JavaScript counted, in which an emoji has two units, in characters; None if
    they cannot be such."""
    units = np.cumsum([0, *(2 if ord(character) > 0xFFFF else 1 for character in text)]).tolist()
    place_of = {unit: place for place, unit in enumerate(units)}
    if not all(span.start in place_of and span.end in place_of for span in spans):
        return None
    moved = [span._replace(start=place_of[span.start], end=place_of[span.end]) for span in spans]
    return moved if _fits(text, moved) else None


def _refuse(table: Table, found: tuple[str, str], values: Sequence[Any], stay: Sequence[int], said: _Said) -> None:
    text, spans = found
    if said.unread:
        raise InputError(
            expected=f"a text in {text!r} and spans in {spans!r}: [[start, end, label], ...] in characters from 0, or"
            " objects with start, end and label",
            found=point_at(table, said.unread, lambda row: show(values[row])),
            change=f"these rows, or the columns: --columns words={text} tags={spans}",
        )
    if wrong := said.outside | said.other_text:
        raise InputError(
            expected="spans that lie in their text, in characters from 0, the end not included",
            found=point_at(table, sorted(wrong), lambda row: wrong[row]),
            change="these rows, or export them again: offsets in bytes, or of a text that was changed afterwards?",
        )
    if said.cut_spans >= LEAST_CUT and said.cut_spans > MOST_CUT_FRACTION * said.spans:
        shown = point_at(table, list(said.cut), said.cut.__getitem__)
        raise InputError(
            expected="spans that begin and end with words",
            found=f"{said.cut_spans:,} of {said.spans:,} cut words: {shown}",
            change="the offsets, if they are of another text or in bytes; for a script without spaces between words"
            " split them yourself: --columns words=COLUMN tags=COLUMN with a list of words and a list of tags",
        )
    if not stay:
        raise InputError(
            expected="texts with annotations", found=f"{table.origin}: none in {len(table):,} rows", change="the export"
        )


def _notes(table: Table, found: tuple[str, str], said: _Said) -> list[str]:
    notes = [f"{said.spans:,} spans of {found[1]!r} in {found[0]!r} read as words with IOB2 tags"]
    if said.cut:
        shown = point_at(table, list(said.cut), said.cut.__getitem__).removeprefix(f"{table.origin}, ")
        notes.append(f"{said.cut_spans:,} spans cut a word: {shown}")
    if said.overlapping:
        shown = point_at(table, list(said.overlapping), said.overlapping.__getitem__).removeprefix(f"{table.origin}, ")
        notes.append(f"of overlapping spans only the longest is used; left out: {shown}")
    counts = {
        "rows have offsets in UTF-16 units, as JavaScript counts": said.in_utf16,
        "rows have more than one annotation, of which the first is used": said.more_annotators,
        "rows without an annotation left out": said.not_annotated,
        "rows that were not accepted left out": said.not_accepted,
        "rows without a word left out": said.empty,
    }
    notes += [f"{count:,} {what}" for what, count in counts.items() if count]
    return [f"{table.origin}: {note}" for note in notes]
