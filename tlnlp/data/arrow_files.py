"""Parquet and Arrow files, also those of `Dataset.save_to_disk`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tlnlp.data.bytes_to_text import FileFormat, other_kind
from tlnlp.data.class_names import class_names
from tlnlp.data.table import Table
from tlnlp.errors import InputError

if TYPE_CHECKING:
    import pyarrow

# What `Dataset.save_to_disk` writes beside its Arrow files: the list of these.
STATE = "state.json"
# What `DatasetDict.save_to_disk` writes beside a folder for each split: the list of these.
SAVED_SPLITS = "dataset_dict.json"


def read_parquet(data: bytes, origin: str, form: FileFormat) -> Table:
    """Reads a parquet file; its columns stay in Arrow until they are used."""
    # Importing pyarrow takes a quarter of a second, so it is imported only for its files.
    import pyarrow.parquet  # noqa: PLC0415

    return _table(
        data, origin, ".parquet", lambda source: pyarrow.parquet.read_table(source, page_checksum_verification=True)
    )


def read_arrow(data: bytes, origin: str, form: FileFormat) -> Table:
    """Reads an Arrow file in either of its forms: a file (also Feather) or a stream (`save_to_disk`)."""
    import pyarrow  # noqa: PLC0415

    opened = pyarrow.ipc.open_file if data.startswith(b"ARROW1") else pyarrow.ipc.open_stream
    return _table(data, origin, ".arrow", lambda source: opened(source).read_all())


def _table(data: bytes, origin: str, suffix: str, read: Callable[[Any], pyarrow.Table]) -> Table:
    import pyarrow  # noqa: PLC0415

    try:
        table = read(pyarrow.BufferReader(data))
        table.validate(full=True)  # damaged texts are no UTF-8
    except (pyarrow.ArrowException, OSError) as error:
        what = {".parquet": "a parquet file", ".arrow": "an Arrow file"}[suffix]
        raise InputError(
            expected=what,
            found=f"{origin}: {other_kind(data, suffix) or f'damaged or incomplete ({str(error)[:120]})'}",
            change="download or write it again, or give it the suffix that fits its content",
        ) from error
    columns = {name: table.column(name) for name in table.column_names}
    return Table(columns, origin, np.arange(1, table.num_rows + 1), class_names(table.schema.metadata))


def saved_files(folder: Path) -> list[Path]:
    """Returns the Arrow files of a folder that `Dataset.save_to_disk` has written, in order.

    Raises:
        InputError: the list of files is damaged, or one of them is missing.
    """
    try:
        names = [each["filename"] for each in json.loads((folder / STATE).read_text(encoding="utf-8"))["_data_files"]]
        missing = [name for name in names if Path(name).name != name or not (folder / name).is_file()]
        found = f"{folder.name}: no {', '.join(missing)}" if missing else None
    except (OSError, ValueError, LookupError, TypeError) as error:
        names, found = [], f"{folder.name}/{STATE}: {error}"
    if found:
        raise InputError(
            expected="the folder of a data set as save_to_disk has written it",
            found=found,
            change="copy the whole folder again",
        )
    return [folder / name for name in names]
