"""Several labels in a row, in every form that people write them: a list, a list as text, names with a separator, or a
column of 0 and 1 for each label. All become a list of names in one column, which `labels.py` reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tlnlp.data.columns import split_names
from tlnlp.data.label_marks import CHOICES, MARKS, join_columns, mark_of, refuse_odd_marks
from tlnlp.data.label_spellings import has_decimal_comma, with_single_labels
from tlnlp.data.labels import accepted_spellings, find_names, is_missing, is_unlabelled, read_one, value_name
from tlnlp.data.rows import TRAIN, SplitKey
from tlnlp.data.table import Table, refuse_rows, show
from tlnlp.data.text_column import distinct_values
from tlnlp.data.written_values import looks_written, parse_written
from tlnlp.errors import InputError
from tlnlp.task import MultiLabel, Regression

if TYPE_CHECKING:
    from tlnlp.settings import Settings
    from tlnlp.task import Task

# Tried in this order; another one is named by --label-separator.
SEPARATORS = (";", "|", ",")
# Names have these in them, too, so they are only pointed at.
RARE_SEPARATORS = ("/", "+", "&", " ")
# Of the names between separators, so many must occur in other cells, too: then they are labels that rows combine. A
# single label with a comma in its name ("Home, Garden") has parts that occur nowhere else.
COMBINED_SHARE = {";": 0.8, "|": 0.8, ",": 0.95}
# A label is a name, not a sentence: longer parts are not taken for labels.
LONGEST_NAME = 60
ONE_LABEL = "--several-labels no"


@dataclass(frozen=True)
class _Form:
    """How the cells are written.

    Args:
        said: in words, for a note.
        separator: between names; None if cells are lists.
        is_written: whether the lists are text.
        is_single: whether each list has one label, which is the row's only one.
        is_multi_hot: whether each list has 0 or 1 for each of the task's labels.
    """

    said: str
    separator: str | None = None
    is_written: bool = False
    is_single: bool = False
    is_multi_hot: bool = False


def unite_labels(
    tables: Mapping[SplitKey, Table],
    columns: Mapping[SplitKey, Mapping[str, str]],
    task: Task,
    settings: Settings,
) -> tuple[dict[SplitKey, Table], MultiLabel | None, list[str]]:
    """Returns the tables with a list of names in each cell of the label column, if rows have several labels; the labels
    that were found, if the task declares none; and notes that say what was found. Lists of the one label of a
    row become that label.

    Raises:
        InputError: a cell cannot be read, or it is not clear whether rows have one label or several.
    """
    roles = task.columns.by_role()
    if "label" not in columns[TRAIN] or "endings" in roles or isinstance(task.labels, Regression):
        return dict(tables), None, []
    column, declared = columns[TRAIN]["label"], task.labels if isinstance(task.labels, MultiLabel) else None
    own_columns = split_names(tables[TRAIN], "label", column)
    tables = join_columns(tables, columns)
    if len(own_columns) > 1:
        form = _Form("a column of 0 and 1 for each", is_single=_are_single(tables[TRAIN], column))
        form = replace(form, is_single=form.is_single and declared is None and settings.several_labels != "yes")
    elif task.labels is not None and declared is None:
        return {key: with_single_labels(each, columns[key].get("label")) for key, each in tables.items()}, None, []
    else:
        _refuse_marks(tables[TRAIN], column, declared)
        found = _find_form(tables[TRAIN], column, settings, declared)
        if found is None:
            return tables, None, _note_one_label(tables[TRAIN], column, settings)
        form = found
    tables = {key: _as_lists(table, columns[key].get("label"), form, task) for key, table in tables.items()}
    if form.is_single:
        said = f"labels: {form.said}, one in each row (--several-labels yes: any number)"
        return {key: _unwrapped(table, columns[key].get("label")) for key, table in tables.items()}, None, [said]
    if task.labels is not None:
        return tables, None, []
    names = MultiLabel(own_columns if len(own_columns) > 1 else _names_in(tables[TRAIN], column))
    if len(names) < 2:
        raise InputError(
            expected="at least two different labels to learn from",
            found=f"{tables[TRAIN].origin}: {', '.join(names) or 'none'}",
            change="the column, or --label-separator",
        )
    return tables, names, [_describe(tables[TRAIN], column, form)]


def _are_single(table: Table, column: str) -> bool:
    """Returns whether each row has exactly one label, so that the task is to choose it."""
    return all(value is not None and len(value) == 1 for value in table.values(column))


def _unwrapped(table: Table, column: str | None) -> Table:
    """Returns the table with the label of each row in place of the list of it; a row with none has none."""
    if column is None or column not in table.columns:
        return table
    lists = table.values(column)
    values = [value[0] if isinstance(value, list) and len(value) == 1 else value or None for value in lists]
    return replace(table, columns={**table.columns, column: values})


def _refuse_marks(table: Table, column: str, declared: MultiLabel | None) -> None:
    """Raises an error if the column is that of one label of several, whose 0 and 1 would be read as numbers of
    labels."""
    if declared is None or read_one(column, accepted_spellings(declared)) is None:
        return
    there = {str(value_name(value)).casefold() for value in table.values(column) if not isinstance(value, list)}
    if there <= set(MARKS):
        raise InputError(
            expected=f"the labels of each row: {', '.join(declared)}",
            found=f"{table.origin}: {column!r} has only {' and '.join(sorted(map(str, there)))}: whether a row has it",
            change=f"name the columns of all labels: --columns label={','.join(declared)}",
        )


def _find_form(table: Table, column: str, settings: Settings, declared: MultiLabel | None) -> _Form | None:
    """Returns how several labels are written in the cells of `column`; None if each row has one."""
    asked, separator = settings.several_labels, settings.label_separator
    few = distinct_values(table.columns[column])
    values = few[0] if few is not None else table.values(column)
    if separator is not None and asked != "no":
        return _Form(f"names separated by {separator!r}", separator)
    lists = [value for value in values if isinstance(value, list | tuple | dict)]
    texts = Counter(value.strip() for value in values if isinstance(value, str) and value.strip())
    if asked == "no" and declared is None:
        return _Form("lists", is_single=True) if lists else None
    written = [text for text in texts if looks_written(text)]
    form = _Form("lists", is_written=bool(written))
    if written and not lists and (2 * len(written) >= len(texts) or all(CHOICES in text for text in written)):
        lists = [_parsed(table, column, text) for text in texts if looks_written(text) or text[0] in "[{"]
        form = _Form("lists as text", is_written=True)
    if lists:
        blank = sum(isinstance(value, str) and not value.strip() for value in values)
        is_whole = form.said != "lists" or not texts
        return _form_of_lists(table, column, lists, blank, form, declared, sure=asked == "yes", is_whole=is_whole)
    if declared is not None:
        return _Form("names")  # each cell is split where its parts are labels: see `_split_known`
    found = _find_separator(table, column, texts, sure=asked == "yes")
    if found is None:
        return _Form("one name each") if asked == "yes" else None
    return _Form(f"names separated by {found!r}", found)


def _form_of_lists(
    table: Table,
    column: str,
    lists: Sequence[Any],
    blank: int,
    form: _Form,
    declared: MultiLabel | None,
    *,
    sure: bool,
    is_whole: bool,
) -> _Form:
    """Returns whether lists have several labels, one, or 0 and 1 for each.

    Args:
        blank: the number of other cells that are empty.
        sure: whether rows are known to have several labels.
        is_whole: whether all cells that are not empty are lists.
    """
    if is_whole and _are_multi_hot(lists):
        _check_multi_hot(table, column, lists, declared)
        return replace(form, is_multi_hot=True)
    if declared is not None or sure or any(isinstance(value, dict) or len(value) > 1 for value in lists):
        return form
    if blank := blank + sum(len(value) == 0 for value in lists):
        raise InputError(
            expected="one label in each row, or several",
            found=f"{table.origin}: {column!r} has {form.said} of one label, and {blank:,} without any",
            change=f"--several-labels yes if a row may have none, or more than one; {ONE_LABEL} and a label in each"
            " row otherwise",
        )
    return replace(form, is_single=True)


def _parsed(table: Table, column: str, text: str) -> Any:
    try:
        return parse_written(text)
    except ValueError as error:
        values = table.values(column)
        refuse_rows(
            table,
            [row for row, value in enumerate(values) if isinstance(value, str) and value.strip() == text],
            values,
            what="label",
            expected=f"a list of labels as JSON or Python writes it ({error})",
            change=f"the cell; if the brackets belong to the label's name, {ONE_LABEL}",
        )


def _are_multi_hot(lists: Sequence[Any]) -> bool:
    """Returns whether these are 0 or 1 for each label, as many in each row: a list of labels repeats none."""
    if any(isinstance(value, dict) or len(value) != len(lists[0]) for value in lists) or len(lists[0]) < 2:
        return False
    return all(each in (0, 1) for value in lists for each in value) and any(len(set(v)) < len(v) for v in lists)


def _check_multi_hot(table: Table, column: str, lists: Sequence[Any], declared: MultiLabel | None) -> None:
    """Raises an error for 0 or 1 for each label where the labels have no names: a place is not the number of one."""
    if declared is None or len(declared) != len(lists[0]):
        raise InputError(
            expected="the names of the labels of each row",
            found=f"{table.origin}: {column!r} has 0 or 1 for each of {len(lists[0])} labels without names, e.g. "
            f"{show(lists[0])}",
            change="a column for each (--columns label=COLUMN,COLUMN,...), or labels=MultiLabel((...)) in a recipe",
        )


def _find_separator(table: Table, column: str, texts: Counter[str], *, sure: bool) -> str | None:
    """Returns the separator of names in these cells; None if each cell is one name.

    Args:
        sure: whether rows are known to have several labels.

    Raises:
        InputError: only some of the names between separators occur in other cells, too.
    """
    unclear: list[tuple[str, float, str]] = []
    for separator in SEPARATORS:
        joined = [text for text in texts if len(parts(text, separator)) > 1]
        if not joined:
            continue
        if sure:
            return separator
        cells = Counter(part for text in texts for part in set(parts(text, separator)))
        inside = {part for text in joined for part in parts(text, separator)}
        if max(map(len, inside)) > LONGEST_NAME:
            continue
        share = sum(cells[part] > 1 for part in inside) / len(inside)
        decimal = separator == "," and all(map(has_decimal_comma, joined))
        if share >= COMBINED_SHARE[separator] and not decimal:
            return separator
        if share > 0:
            unclear.append((separator, share, joined[0]))
    if unclear:
        separator, share, example = unclear[0]
        is_number = has_decimal_comma(example)
        raise InputError(
            expected="one label in each row, or several",
            found=f"{table.origin}: {column!r} has {example!r}; {share:.0%} of such parts are in other rows, too",
            change=f'--several-labels yes --label-separator "{separator}" if these are several labels, {ONE_LABEL} if'
            " the whole is one name" + "; numbers with decimal commas: the recipe own_score" * is_number,
        )
    return None


def parts(text: str, separator: str) -> list[str]:
    """Returns the names in a cell; empty ones are left out."""
    return [part.strip() for part in text.split(separator) if part.strip()]


def _note_one_label(table: Table, column: str, settings: Settings) -> list[str]:
    """Says that names with a separator in them are taken whole."""
    if settings.several_labels == "no":
        return []
    few = distinct_values(table.columns[column])
    texts = {value for value in (few[0] if few else table.values(column)) if isinstance(value, str)}
    for separator in SEPARATORS:
        joined = sorted(text for text in texts if len(parts(text, separator)) > 1)
        if joined:
            return [f"labels: {joined[0]!r} is taken as one name (--several-labels yes splits at {separator!r})"]
    names = {text.strip() for text in texts}
    for separator in RARE_SEPARATORS:
        joined = sorted(text for text in names if len(parts(text, separator)) > 1)
        joined = [text for text in joined if names.issuperset(parts(text, separator))]
        if joined:
            said = " and ".join(map(repr, parts(joined[0], separator)))
            how = f"(--label-separator {separator!r} reads several)"
            return [f"labels: {joined[0]!r} is taken as one name, though {said} are labels, too {how}"]
    return []


def _as_lists(table: Table, column: str | None, form: _Form, task: Task) -> Table:
    """Returns the table with a list in each cell of `column`. Rows of a split without any label stay as they are."""
    if column is None or column not in table.columns or is_unlabelled(table, column, task.labels):
        return table
    lookup = accepted_spellings(task.labels) if isinstance(task.labels, MultiLabel) else None
    names = task.labels if form.is_multi_hot and isinstance(task.labels, MultiLabel) else None
    known: dict[str, Any] = {}
    values: list[Any] = []
    for row, value in enumerate(table.values(column)):
        if isinstance(value, str):
            if value not in known:
                known[value] = _from_text(table, column, value, form, lookup)
            value = known[value]
        if isinstance(value, dict):
            refuse_odd_marks(table, row, value)
        values.append(_from_list(value, names) if isinstance(value, list | tuple | dict) else _alone(value))
    return replace(table, columns={**table.columns, column: values})


def _alone(value: Any) -> Any:
    """Returns a list of a label that is not in a list; what is missing stays so, since it may be unknown."""
    return value if value is None or is_missing(value, None) else [value]


def _from_text(table: Table, column: str, text: str, form: _Form, lookup: Mapping[str, int] | None) -> Any:
    whole = text.strip()
    if not whole:
        return []
    if form.separator is not None:
        return parts(whole, form.separator)
    if lookup is not None and read_one(whole, dict(lookup)) is None:
        return _split_known(whole, dict(lookup), _parsed(table, column, whole) if looks_written(whole) else None)
    return _parsed(table, column, whole) if form.is_written and looks_written(whole) else whole


def _split_known(text: str, lookup: dict[str, int], written: Any) -> Any:
    """Splits a cell at the first separator whose parts are all labels of the task."""
    if isinstance(written, list | dict):
        return written
    for separator in SEPARATORS:
        names = parts(text, separator)
        if len(names) > 1 and all(read_one(name, lookup) is not None for name in names):
            return names
    return text


def _from_list(value: Any, names: Sequence[str] | None) -> list[Any]:
    """Returns the names in a list, in a mapping of names to 0 or 1, or in 0 or 1 for each of `names`."""
    if isinstance(value, dict):
        if set(value) == {CHOICES}:
            return list(value[CHOICES])
        return [name for name, mark in value.items() if mark_of(mark) is True]
    if names is not None and len(value) == len(names):
        return [name for name, mark in zip(names, value, strict=True) if mark == 1]
    return list(value)


def _names_in(table: Table, column: str) -> tuple[str, ...]:
    """Returns the label names in the lists of a column, in the order of `find_names`."""
    own = table.class_names.get(column)
    cells = dict.fromkeys(each for value in table.values(column) if value is not None for each in _hashable(value))
    flat = replace(table, columns={column: list(cells)}, class_names={column: own} if own else {})
    return find_names(flat, column)


def _hashable(values: Iterable[Any]) -> list[Any]:
    """Returns the values that can be labels; others are refused by name when the rows are read."""
    return [value for value in values if isinstance(value, str | int | float)]


def _describe(table: Table, column: str, form: _Form) -> str:
    counts = Counter(min(2, len(value)) for value in table.values(column) if value is not None)
    some = ", ".join(f"{counts[i]:,} with {word}" for i, word in enumerate(("none", "one", "several")) if counts[i])
    way = "" if form.said.startswith("a column") else f" ({ONE_LABEL}: one)"
    return f"labels: any number in a row, {form.said}: {some}{way}"
