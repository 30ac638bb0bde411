"""Encoded rows as files: flat arrays that are mapped into memory, and a small JSON file."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from tlnlp.heads.encoded import EncodedDataset, Ragged
from tlnlp.heads.growing_arrays import slices

REST = "rest.json"
# What an `EncodedDataset` consists of, by how it is kept.
RAGGED_BY_NAME, ARRAYS = ("features", "alignment"), ("rows", "counts", "sequence_offsets", "label_weights")
PLAIN = ("batch_constants", "notes", "can_pad")
KEPT = {*RAGGED_BY_NAME, *ARRAYS, *PLAIN, "targets"}


def save_encoded(encoded: EncodedDataset, folder: Path) -> None:
    """Writes encoded rows into a folder."""
    if unknown := {each.name for each in fields(encoded) if each.init} - KEPT:
        raise TypeError(f"encoded rows have {', '.join(sorted(unknown))}, which would not be kept")
    for kind in RAGGED_BY_NAME:
        for name, ragged in getattr(encoded, kind).items():
            _save_ragged(ragged, folder, f"{kind}.{name}")
    for name in ARRAYS:
        if (array := getattr(encoded, name)) is not None:
            _save_array(array, folder / f"{name}.npy")
    if isinstance(encoded.targets, Ragged):
        _save_ragged(encoded.targets, folder, "targets")
    elif encoded.targets is not None:
        _save_array(encoded.targets, folder / "targets.npy")
    rest = {name: getattr(encoded, name) for name in PLAIN}
    # In the heads' own order, in which model inputs are handed on.
    rest |= {kind: list(getattr(encoded, kind)) for kind in RAGGED_BY_NAME}
    (folder / REST).write_text(json.dumps(rest, ensure_ascii=False), encoding="utf-8")


def load_encoded(folder: Path) -> EncodedDataset:
    """Returns the encoded rows that `save_encoded` wrote. Their arrays are mapped: they cannot be written to, and take
    memory only while they are read."""
    rest: dict[str, Any] = json.loads((folder / REST).read_text(encoding="utf-8"))
    parts: dict[str, Any] = {
        kind: {name: _load_ragged(folder, f"{kind}.{name}") for name in rest[kind]} for kind in RAGGED_BY_NAME
    }
    parts |= {name: _load_array(path) for name in (*ARRAYS, "targets") if (path := folder / f"{name}.npy").exists()}
    if (folder / _parts("targets")[0]).exists():
        parts["targets"] = _load_ragged(folder, "targets")
    return EncodedDataset(**parts, **{name: rest[name] for name in PLAIN})


def _parts(name: str) -> tuple[str, str]:
    return f"{name}.flat.npy", f"{name}.offsets.npy"


def _save_ragged(ragged: Ragged, folder: Path, name: str) -> None:
    for part, array in zip(_parts(name), (ragged.flat, ragged.offsets), strict=True):
        _save_array(array, folder / part)


def _load_ragged(folder: Path, name: str) -> Ragged:
    return Ragged(*(_load_array(folder / part) for part in _parts(name)))


def _save_array(array: np.ndarray, path: Path) -> None:
    array = np.ascontiguousarray(array)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        for part in slices(array):
            file.write(part.data)


def _load_array(path: Path) -> Any:
    try:
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except ValueError:  # nothing can be mapped of an empty array
        return np.load(path, allow_pickle=False)
