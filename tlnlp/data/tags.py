"""Tags of words, read by name, and their scheme (IOB1, IOB2, IOBES, BILOU), which marks entities of several words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from tlnlp.data.labels import (
    SHOWN_NAMES,
    accepted_spellings,
    describe,
    is_missing,
    lookup_key,
    named,
    read_one,
    sort_names,
    value_name,
)
from tlnlp.data.rows import Rows
from tlnlp.data.table import Table, point_at, refuse_rows, show
from tlnlp.data.tag_names import OUTSIDE, refuse_other_outside, refuse_unnamed, spellings_of, standard_names
from tlnlp.data.texts import split_lists
from tlnlp.errors import InputError, did_you_mean

SHOWN_RESPELLED = 3


def read_tags(
    table: Table, column: str, labels: tuple[str, ...], words: Sequence[list[str]]
) -> tuple[list[list[int]], list[str]]:
    """Returns the indices of each row's tags, read from a list, the text of one or a text separated by spaces, and a
    note on those that are written in another form of their scheme (PER-B).

    Raises:
        InputError: a row has no tags, or more or fewer tags than words, or a value is not a tag.
    """
    values = _tag_values(table, column)
    expected = f"a tag for every word: {describe(labels)}"
    if missing := [i for i, tags in enumerate(values) if _is_unread(tags)]:
        change = "fill in these rows, or remove them"
        refuse_rows(table, missing, values, what="tags", expected=expected, change=change)
    if uneven := [i for i, tags in enumerate(values) if len(tags) != len(words[i])]:
        raise InputError(
            expected=f"as many tags in {column!r} as words",
            found=point_at(table, uneven, lambda row: f"{len(words[row])} words, {len(values[row])} tags"),
            change="these rows, or the columns: --columns words=COLUMN tags=COLUMN",
        )
    lookup = accepted_spellings(labels)
    # There are few distinct values: each is looked up once. The type distinguishes True and 1.0 from 1.
    keys = {lookup_key(tag) for tags in values for tag in tags}
    indices = {key: read_one(key[1], lookup) for key in keys}
    respelled = {}
    for key in (key for key, index in indices.items() if index is None and isinstance(key[1], str)):
        if standard := next((name for name in spellings_of(key[1].strip()) if name in labels), None):
            indices[key], respelled[key[1].strip()] = lookup[standard], standard
    read = [[indices[lookup_key(tag)] for tag in tags] for tags in values]
    if wrong := [i for i, tags in enumerate(read) if None in tags]:
        no_tags = {i: values[i][read[i].index(None)] for i in wrong}
        raise InputError(
            expected=describe(labels) + did_you_mean(str(no_tags[wrong[0]]), labels),
            found=point_at(table, wrong, lambda row: f"tag {show(no_tags[row])}"),
            change=f"the tag, or the column: it was read from {column!r} (--columns tags=COLUMN)",
        )
    notes = [f"{table.origin}: {_said_respelled(respelled)}"] if respelled else []
    return [[index for index in tags if index is not None] for tags in read], notes


def _said_respelled(respelled: dict[str, str]) -> str:
    pairs = sorted(respelled.items())
    shown = ", ".join(f"{written} as {standard}" for written, standard in pairs[:SHOWN_RESPELLED])
    more = len(pairs) - SHOWN_RESPELLED
    return f"tags are read with their letter first: {shown}" + (f" and {more:,} more" if more > 0 else "")


def _tag_values(table: Table, column: str) -> list[Any]:
    """Returns each row's tags, by name if the source names its integers."""
    values = split_lists(table, "tags", column, table.values(column), (str, int, float))
    return named(values, table.class_names.get(column))


def _is_unread(tags: Any) -> bool:
    return not isinstance(tags, list) or not tags or any(is_missing(tag, ()) for tag in tags)


def are_hidden(table: Table, column: str) -> bool:
    """Returns whether no row has any tag."""
    return all(
        not isinstance(tags, list) or all(is_missing(tag, ()) for tag in tags) for tags in _tag_values(table, column)
    )


def find_tags(tables: Sequence[tuple[Table, str]]) -> tuple[str, ...]:
    """Returns the tags that occur in the given columns of several tables, as `standard_names` writes them: in the
    source's order if it has one, otherwise "O" first and the others sorted.

    Raises:
        InputError: the tags are numbers without names, or words outside of entities have another name than O.
    """
    found: set[str] = set()
    for table, column in tables:
        tags_of_rows = _tag_values(table, column)
        values = {lookup_key(tag) for tags in tags_of_rows if isinstance(tags, list) for tag in tags}
        names = {value_name(value) for _, value in values if not is_missing(value, ())}
        own = {name for name in names if name is not None}
        refuse_unnamed(table, column, tags_of_rows, own)
        found |= own
    for table, column in tables:
        refuse_other_outside(table, _tag_values(table, column), found)
    standard = standard_names(found)
    for table, column in tables:
        if found <= set(own_order := table.class_names.get(column, ())):
            return tuple(dict.fromkeys(standard[name] for name in own_order if name in found))
    return tuple(sorted(sort_names(standard.values()), key=lambda name: name != OUTSIDE))


# --- schemes: Ramshaw and Marcus 1995 (IOB1); Sang and Veenstra 1999 (IOB2); Ratinov and Roth 2009 (BILOU, here also
# with the letters of IOBES)

# The prefixes of each scheme, besides O (IOB1 and IOB2 share theirs); prefixes after which an entity may continue, of
# the last word of an entity, and of an entity of one word.
_LETTERS = {"IOB": {"B", "I"}, "IOBES": {"B", "I", "E", "S"}, "BILOU": {"B", "I", "L", "U"}}
_OPEN, _LAST, _ALONE = {"B", "I"}, {"E", "L"}, {"S", "U"}

Part = tuple[str, str]  # prefix and type: ("B", "PER"), ("O", ""), and ("", "NOUN") for a tag without a scheme
# Two consecutive tags; O before the first and after the last word of a sentence.
Pair = tuple[Part, Part]
_BORDER: Part = (OUTSIDE, "")
# The type of a bare B or I, as in seqeval.
UNNAMED = "_"


def find_scheme(sequences: Iterable[Sequence[str]]) -> str | None:
    """Returns "IOB1", "IOB2", "IOBES" or "BILOU"; None for plain tags, and if every tag is O."""
    return _scheme(_count_pairs(sequences))


def describe_tags(rows: Rows, *, only_faults: bool = False, known: str | None = None) -> list[str]:
    """Returns a note on scheme, entities and faults: "tags: IOB2; PER 6,600, LOC 7,140; 37 tags begin with I- where B-
    is due, first in train.txt row 12".

    Args:
        only_faults: return a note only if there are faults.
        known: the scheme of other rows, to which this one is compared.
    """
    names = rows.labels or ()
    sequences = [[names[tag] for tag in tags] for tags in rows.columns["tags"]]
    pairs = _count_pairs(sequences)
    scheme = _scheme(pairs)
    faults = sum(count for pair, count in pairs.items() if scheme and _is_fault(pair, scheme))
    found = []
    if faults:
        row = next(i for i, tags in enumerate(sequences) if any(_is_fault(pair, str(scheme)) for pair in _pairs(tags)))
        found = [f"{faults:,} tags {_FAULTS[str(scheme)]}, first in {rows.origin} row {rows.numbers[row]}"]
    if only_faults:
        other = scheme is not None and known is not None and scheme != known
        found = [f"{scheme}, but {known} in the train rows"] * other + found
        return [f"tags of {rows.origin}: {'; '.join(found)}"] if found else []
    kind = scheme or "plain tags"
    if scheme == "IOB1" and not any(tag[0] == "B" for _, tag in pairs):
        kind = "IOB1 without any B-, or IO"
    return [f"tags: {'; '.join([kind, _counted(sequences, pairs, scheme), *found])}"]


_FAULTS = {
    "IOB1": "begin with B- instead of I-",
    "IOB2": "begin with I- instead of B-",
    "IOBES": "cannot follow the previous tag",
    "BILOU": "cannot follow the previous tag",
}


def _part(tag: str) -> Part:
    if tag == OUTSIDE:
        return _BORDER
    found = re.fullmatch("([BIESLU])(?:-(.+))?", tag)
    return (found[1], found[2] or UNNAMED) if found else ("", tag)


def _pairs(tags: Sequence[str]) -> Iterable[Pair]:
    return pairwise([_BORDER, *map(_part, tags), _BORDER])


def _count_pairs(sequences: Iterable[Sequence[str]]) -> Counter[Pair]:
    by_name: Counter[tuple[str, str]] = Counter()
    for tags in sequences:
        by_name.update(pairwise([OUTSIDE, *tags, OUTSIDE]))
    return Counter({(_part(before), _part(tag)): count for (before, tag), count in by_name.items()})


def _scheme(pairs: Counter[Pair]) -> str | None:
    letters = {letter for pair in pairs for letter, _ in pair} - {OUTSIDE}
    family = next((name for name, own in _LETTERS.items() if letters <= own), None) if letters else None
    if family != "IOB":
        return family
    # IOB2 never starts an entity with I-; IOB1 starts one with B- only right after an entity of the same type.
    begun = {
        letter: sum(count for (before, tag), count in pairs.items() if tag[0] == letter and not _goes_on(before, tag))
        for letter in "BI"
    }
    return "IOB2" if begun["B"] >= begun["I"] else "IOB1"


def _goes_on(before: Part, tag: Part) -> bool:
    """Returns whether an entity of the same type may continue at `tag`."""
    return before[0] in _OPEN and before[1] == tag[1]


def _is_fault(pair: Pair, scheme: str) -> bool:
    before, tag = pair
    if scheme == "IOB2":
        return tag[0] == "I" and not _goes_on(before, tag)
    if scheme == "IOB1":
        return tag[0] == "B" and not _goes_on(before, tag)
    within = tag[0] in _LAST | {"I"}
    return not (within and before[1] == tag[1]) if before[0] in _OPEN else within


def _counted(sequences: Iterable[Sequence[str]], pairs: Counter[Pair], scheme: str | None) -> str:
    """Returns 'PER 6,600, LOC 7,140': entities of each type if there is a scheme, otherwise words of each tag."""
    counts: Counter[str] = Counter()
    if scheme is None:
        counts.update(tag for tags in sequences for tag in tags)
    else:
        for (before, tag), count in pairs.items():
            if tag != _BORDER and (tag[0] == "B" or tag[0] in _ALONE or not _goes_on(before, tag)):
                counts[tag[1]] += count
    shown = [f"{name} {count:,}" for name, count in counts.most_common(SHOWN_NAMES)]
    more = len(counts) - SHOWN_NAMES
    return ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")
