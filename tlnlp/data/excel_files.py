"""The first sheet of an Excel file, with the optional package openpyxl."""

from __future__ import annotations

import importlib.util
import io
import zipfile
from typing import Any

import numpy as np

from tlnlp.data.bytes_to_text import FileFormat, most_bytes
from tlnlp.data.csv_files import header_of, numbered
from tlnlp.data.limits import LIFT
from tlnlp.data.table import Table
from tlnlp.errors import InputError


def read_excel(data: bytes, origin: str, form: FileFormat) -> Table:
    """Reads the only sheet with rows in it.

    Raises:
        InputError: openpyxl is not installed, several sheets have rows, or the file is damaged.
    """
    if importlib.util.find_spec("openpyxl") is None:
        raise InputError(
            expected="the package openpyxl, which reads Excel files",
            found=f"{origin}, and no openpyxl",
            change='pip install "tlnlp[excel]"; or save the sheet as CSV UTF-8 in Excel',
        )
    _check_size(data, origin)
    import pandas  # noqa: PLC0415 - takes a second

    try:
        book = pandas.read_excel(
            io.BytesIO(data), sheet_name=None, header=None, dtype=object, keep_default_na=False, engine="openpyxl"
        )
    except Exception as error:  # a damaged file can raise anything in either package
        raise InputError(
            expected="an Excel file (.xlsx)", found=f"{origin}: {error}", change="save it again, or as CSV UTF-8"
        ) from error
    sheets = {str(title): [row for row in _rows(sheet) if any(map(_is_there, row))] for title, sheet in book.items()}
    used = [title for title, rows in sheets.items() if rows]
    if len(used) > 1:
        raise InputError(
            expected="one sheet with rows",
            found=f"{origin}: {', '.join(used)}",
            change="delete the other sheets, or save the one with the rows as CSV UTF-8",
        )
    rows = sheets[used[0]] if used else []
    return _table(rows, origin, form)


def _check_size(data: bytes, origin: str) -> None:
    """Refuses an archive whose content takes more memory than such a file can need."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            whole = sum(each.file_size for each in archive.infolist())
    except zipfile.BadZipFile:
        return  # refused below
    if whole > most_bytes(len(data)):
        raise InputError(
            expected=f"{origin}: an Excel file of a usual size",
            found=f"{whole:,} bytes in {len(data):,} compressed ones",
            change=f"save the sheet as CSV UTF-8; {LIFT}",
        )


def _table(rows: list[list[Any]], origin: str, form: FileFormat) -> Table:
    width = max((place + 1 for row in rows for place, cell in enumerate(row) if _is_there(cell)), default=0)
    full = [[*row, *[None] * width][:width] for row in rows]
    names = header_of(["" if cell is None else str(cell) for cell in full[0]]) if form.header and full else []
    names = names or (numbered(full[0]) if full else [])
    if len(set(names)) < len(names):
        raise InputError(
            expected="a header with unique column names",
            found=f"{origin}: {', '.join(names)}",
            change="rename the columns; if the first line is a row: --no-header, and --columns text=2 label=1",
        )
    below = full[1:] if form.header else full
    columns = {name: [row[place] for row in below] for place, name in enumerate(names)}
    return Table(columns, origin, np.arange(1, len(below) + 1))


def _rows(sheet: Any) -> list[list[Any]]:
    """Returns the cells of each row; an empty one is None."""
    return [[cell if _is_there(cell) else None for cell in row] for row in sheet.to_numpy(dtype=object).tolist()]


def _is_there(cell: Any) -> bool:
    return cell is not None and cell == cell and str(cell).strip() != ""  # noqa: PLR0124 - NaN is not itself
