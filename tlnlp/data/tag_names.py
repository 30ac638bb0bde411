"""Names of tags: the letter of the scheme, then the type (B-PER), however a source writes them; numbers need names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from tlnlp.data.labels import value_name
from tlnlp.data.table import Table
from tlnlp.errors import InputError

OUTSIDE = "O"
# The letters of a scheme, of which a source uses some: IOB, IOBES, BILOU, and BMES and BMEW, which have other letters
# for I and S.
_FAMILIES = ({"B", "I", "E", "S"}, {"B", "I", "L", "U"}, {"B", "M", "E", "S"}, {"B", "M", "E", "W"})
_SAME_LETTER = {"M": "I", "W": "S"}
# The letter first or last, and what stands between it and the type. Of two forms that fit, the first is taken.
_FORMS = [
    re.compile(form.replace("SEPARATOR", re.escape(separator)))
    for separator in "-_:/|."
    for form in (r"(?P<letter>[A-Za-z])SEPARATOR(?P<kind>.+)", r"(?P<kind>.+)SEPARATOR(?P<letter>[A-Za-z])")
]
_STANDARD = re.compile("[BIESLU]-.+")
_NUMBER = re.compile(r"[+-]?\d+")
# Names for words outside of entities, in the place of O.
_OTHER_OUTSIDE = {"o", "_", "-", "*", ".", "other", "none", "null", "nan", "out", "outside", "no", "x"}


def standard_names(found: Iterable[str]) -> dict[str, str]:
    """Returns {name: B-PER} for tags that are all written in another form of a scheme (PER-B, B_PER, b-per, M-PER), and
    {name: name} for all others."""
    names = set(found)
    inside = [name for name in names if name.upper() != OUTSIDE]
    same = {name: name for name in names}
    if not inside:
        return same
    if {"B", "M", "E"} <= names <= {"B", "M", "E", "S", "W", OUTSIDE}:
        return {name: _SAME_LETTER.get(name, name) for name in names}
    for form in _FORMS:
        parts = [form.fullmatch(name) for name in inside]
        if not all(parts):
            continue
        written = {part["letter"] for part in parts if part}
        letters = {letter.upper() for letter in written}
        in_one_case = written in (letters, {letter.lower() for letter in letters})
        is_scheme = in_one_case and any(letters <= family for family in _FAMILIES)
        if is_scheme and form is _FORMS[0] and written == letters - set(_SAME_LETTER):
            return same
        if is_scheme and letters & {"B", "S", "U"} and len(inside) < len(names):
            return {name: OUTSIDE if name.upper() == OUTSIDE else next(spellings_of(name, [form])) for name in names}
    return same


def spellings_of(name: str, forms: Sequence[re.Pattern[str]] = _FORMS) -> Iterator[str]:
    """Yields the names of the standard form (B-PER) that `name` may be another way of writing of."""
    if name in _SAME_LETTER:
        yield _SAME_LETTER[name]
    for form in forms:
        if part := form.fullmatch(name):
            letter = part["letter"].upper()
            yield f"{_SAME_LETTER.get(letter, letter)}-{part['kind']}"


def refuse_unnamed(table: Table, column: str, values: Sequence[Any], found: set[str]) -> None:
    """Refuses tags that are numbers: which of them stands for words outside of entities, nobody can know.

    Args:
        values: the tags of each row.
        found: the names of all these tags.

    Raises:
        InputError: all tags are numbers without names, or there are more than there are names.
    """
    numbers = sorted((name for name in found if _NUMBER.fullmatch(name)), key=int)
    names = table.class_names.get(column)
    if names is None and numbers and len(numbers) == len(found):
        raise InputError(
            expected="tags with names, such as O, B-PER and I-PER",
            found=f"{_first(table, values, lambda name: name == numbers[0])}: tag {numbers[0]}; all tags are numbers"
            f" ({', '.join(numbers[:9])}{', ...' if len(numbers) > 9 else ''}), and the source has no names for them",
            change="--label-names O B-PER I-PER ..., in the order of the numbers from 0 (data sets print it:"
            " features['ner_tags'].feature.names)",
        )
    unnamed = [number for number in numbers if names is not None and number not in names]
    if names is not None and unnamed:
        raise InputError(
            expected=f"tags from 0 to {len(names) - 1}: there are {len(names)} names, {', '.join(names[:9])}",
            found=f"{_first(table, values, lambda name: name == unnamed[0])}: tag {unnamed[0]}",
            change="the tag, or name all of them: --label-names NAME NAME ...",
        )


def refuse_other_outside(table: Table, values: Sequence[Any], found: set[str]) -> None:
    """Refuses a 0, or another name than O, for words outside of entities: it would count as a type of entity.

    Args:
        values: the tags of each row.
        found: the tags of all tables.

    Raises:
        InputError: there is such a tag in the table.
    """
    in_form = {name for name in found if any(form.fullmatch(name) for form in _FORMS)}
    others = found - in_form - {OUTSIDE}
    wrong = {"0"} & others if not all(name.isdecimal() for name in found) else set()
    if any(_STANDARD.fullmatch(name) for name in standard_names(in_form | {OUTSIDE}).values()):
        wrong |= {name for name in others if name.casefold() in _OTHER_OUTSIDE or name.isdecimal()}
        wrong |= others if len(others) == 1 and OUTSIDE not in found else set()
    places = [
        (row, word, name)
        for row, tags in enumerate(values)
        if wrong and isinstance(tags, list)
        for word, tag in enumerate(tags)
        if (name := value_name(tag)) in wrong
    ]
    if places:
        row, word, name = places[0]
        total = f" ({len(places):,} such words in all)" if len(places) > 1 else ""
        raise InputError(
            expected="O, the letter, for words outside of entities",
            found=f"{table.place_of_word(values, row, word)}: tag {name!r}{total}",
            change=f"write O for {name!r}; it would count as a type of entity",
        )


def _first(table: Table, values: Sequence[Any], is_meant: Callable[[str | None], bool]) -> str:
    return next(
        table.place_of_word(values, row, word)
        for row, tags in enumerate(values)
        if isinstance(tags, list)
        for word, tag in enumerate(tags)
        if is_meant(value_name(tag))
    )
