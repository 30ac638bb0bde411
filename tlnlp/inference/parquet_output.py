"""Writes predictions as parquet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tlnlp.errors import InputError
from tlnlp.inference.answers import AnswerLines, as_json_text, refuse_other_columns
from tlnlp.task import MultiLabel, Regression, Task


class ParquetWriter:
    """Columns in Arrow: those of the rows in their own types; the best scores as a list of {label, score}."""

    def __init__(self, path: Path, task: Task, columns: Sequence[str]) -> None:
        import pyarrow.parquet  # noqa: PLC0415 - for parquet files only

        self.path, self.columns, self.types = path, columns, _arrow_types(task, pyarrow)
        self.file: Any = None

    def write(self, lines: AnswerLines) -> None:
        import pyarrow.parquet  # noqa: PLC0415 - imported already

        names = lines.names(self.columns)
        if self.file is not None:
            refuse_other_columns(names, self.file.schema.names, lines.carried.origin)
            names = list(self.file.schema.names)
        columns = {}
        for name in names:
            if name in lines.carried.columns:
                columns[name] = self._carried(lines.carried.columns[name], name)
            else:
                columns[name] = self._answers([each.get(name) for each in lines.answers], name)
        if self.file is None:
            schema = pyarrow.schema([(name, values.type) for name, values in columns.items()])
            self.file = pyarrow.parquet.ParquetWriter(self.path, schema)
        self.file.write_table(pyarrow.table(list(columns.values()), schema=self.file.schema))

    def _carried(self, values: Any, name: str) -> Any:
        import pyarrow  # noqa: PLC0415 - imported already

        wanted = None if self.file is None else self.file.schema.field(name).type
        try:
            found = pyarrow.array(values, wanted) if isinstance(values, list) else values
            return found.cast(wanted) if wanted is not None and found.type != wanted else _no_null_type(found)
        except (pyarrow.ArrowException, OverflowError):
            # Values of several types, or of another type than those before.
            values = values if isinstance(values, list) else values.to_pylist()
            if wanted is not None and not pyarrow.types.is_string(wanted):
                raise InputError(
                    expected=f"values of one type in the column {name!r}, for parquet",
                    found=f"{wanted} in the first rows, another type later",
                    change="write jsonl or csv, or choose --carry COLUMN ...",
                ) from None
            return pyarrow.array(
                [v if v is None or isinstance(v, str) else as_json_text(v) for v in values], pyarrow.string()
            )

    def _answers(self, values: list[Any], name: str) -> Any:
        import pyarrow  # noqa: PLC0415 - imported already

        kind = self.types.get(name, pyarrow.string())
        if name == "scores" and pyarrow.types.is_struct(kind.value_type):
            values = [v and [{"label": label, "score": score} for label, score in v.items()] for v in values]
        try:
            return pyarrow.array(values, kind)
        except pyarrow.ArrowException:  # of a head of one's own, or what a head reports in addition
            texts = [v if v is None or isinstance(v, str) else as_json_text(v) for v in values]
            return pyarrow.array(texts, pyarrow.string())

    def close(self) -> None:
        if self.file is not None:
            self.file.close()


def _no_null_type(values: Any) -> Any:
    """A column that has only nulls so far may have texts later."""
    return values.cast("string") if str(values.type) == "null" else values


def _arrow_types(task: Task, pyarrow: Any) -> dict[str, Any]:
    """Returns the types of the answer's columns."""
    text, number, whole = pyarrow.string(), pyarrow.float64(), pyarrow.int64()
    several = isinstance(task.labels, MultiLabel)
    roles = task.columns.by_role()
    prediction = text
    if "endings" in roles:
        prediction = whole
    elif isinstance(task.labels, Regression):
        prediction = number
    elif several or "words" in roles:
        prediction = pyarrow.list_(text)
    each = pyarrow.struct([("label", text), ("score", number)])
    entity = pyarrow.struct(
        [("entity", text), ("start", whole), ("end", whole), ("text", text), ("first_word", whole),
         ("last_word", whole), ("score", number)]
    )  # fmt: skip
    return {
        "row": whole,
        "prediction": prediction,
        "score": pyarrow.list_(number) if several else number,
        "scores": pyarrow.list_(number) if {"endings", "words"} & set(roles) else pyarrow.list_(each),
        "calibrated": pyarrow.list_(number) if several else number,
        "prediction_set": pyarrow.list_(pyarrow.list_(text) if "words" in roles else prediction),
        "abstained": pyarrow.bool_(),
        "entities": pyarrow.list_(entity),
        "file": text,
    }
