"""The label names that a parquet file of the `datasets` library has for its integers."""

from __future__ import annotations

import json
from typing import Any


def class_names(metadata: dict[bytes, bytes] | None) -> dict[str, tuple[str, ...]]:
    """Returns the label names that the `datasets` library stores in its parquet files."""
    features = json.loads((metadata or {}).get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    leaves = {column: _leaf(feature) for column, feature in features.items()}
    return {
        column: tuple(leaf["names"])
        for column, leaf in leaves.items()
        if isinstance(leaf, dict) and leaf.get("_type") == "ClassLabel"
    }


def _leaf(feature: Any) -> Any:
    """Returns the element type of a list, {"feature": ..., "_type": "List"} (or "Sequence") or [...]; otherwise the
    feature itself."""
    if isinstance(feature, list):
        return feature[0]
    return feature.get("feature", feature) if isinstance(feature, dict) else feature
