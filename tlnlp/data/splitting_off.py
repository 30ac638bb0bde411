"""Splits rows off, for dev or for the choice of weights: seeded, stratified, and with like rows on one side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tlnlp.data.rows import Rows, number_inputs, strata_of
from tlnlp.data.sampling import cut_groups, cut_rows
from tlnlp.errors import InputError

if TYPE_CHECKING:
    from tlnlp.settings import Settings

# Rows with the same inputs are kept together unless so many times the rows asked for would then be split off.
MOST_TOO_MANY = 1.5


def split_off(rows: Rows, settings: Settings, purpose: int, fraction: float) -> tuple[Rows, Rows, str]:
    """Splits rows in two: those that remain, and those that are split off. Rows with the same context are not
    separated, nor are those with the same inputs.

    Args:
        fraction: of the rows, unless `--dev-fraction` is set.

    Returns:
        Both, and what to say of rows that repeat others; "" if there are none.

    Raises:
        InputError: there are too few rows.
    """
    groups, strata = _contexts(rows), strata_of(rows)
    least = len(strata) - len(set(strata.tolist())) if groups is None else len(set(groups.tolist())) - 1
    if least < 1:
        what = "a label with two rows" if groups is None else "two contexts"
        raise InputError(
            expected=f"enough rows to cut some off: {what} at least",
            found=f"{rows.origin}: {len(rows)} rows",
            change="give more rows, or a folder with train.* and validation.*",
        )
    most = {} if settings.dev_fraction is None else {"most_rows": len(rows)}
    asked = settings.dev_fraction or fraction
    if groups is not None:
        cut, said = cut_groups(groups, settings.seed, purpose, asked, **most), ""
    else:
        cut, said = _cut_together(number_inputs(rows), strata, settings.seed, purpose, asked, most)
    return rows.select(np.setdiff1d(np.arange(len(rows)), cut)), rows.select(cut), said


def _cut_together(
    same: np.ndarray, strata: np.ndarray, seed: int, purpose: int, fraction: float, most: dict[str, int]
) -> tuple[np.ndarray, str]:
    """Returns the positions of the rows to hold out, those with the same inputs together, and what to say of these.

    Args:
        same: [rows] the same number for rows with the same inputs, from 0 in the order of the first ones.
    """
    firsts = np.unique(same, return_index=True)[1]
    repeated = len(same) - len(firsts)
    if repeated == 0:
        return cut_rows(strata, seed, purpose, fraction, **most), ""
    if len(firsts) > len(set(strata[firsts].tolist())):
        cut = np.flatnonzero(np.isin(same, cut_rows(strata[firsts], seed, purpose, fraction, **most)))
        if len(cut) <= max(MOST_TOO_MANY * fraction * len(same), 1):
            return cut, f"; {repeated:,} rows that repeat the inputs of another stay on its side"
    cut = cut_rows(strata, seed, purpose, fraction, **most)
    return cut, f"; {repeated:,} rows repeat the inputs of another, which may be on the other side"


def _contexts(rows: Rows) -> np.ndarray | None:
    """Returns the index of each row's context [rows], or of its first text if most of these occur in several rows, as
    premises do; None if rows share no text."""
    shared = rows.columns.get("context", rows.columns.get("text") if "text_pair" in rows.columns else None)
    if shared is None:
        return None
    numbers: dict[str, int] = {}
    groups = np.array([numbers.setdefault(each, len(numbers)) for each in shared])
    return groups if "context" in rows.columns or len(numbers) <= len(rows) / 2 else None
