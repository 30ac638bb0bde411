"""Numbers that JSON does not have: infinity and NaN are written by their names, which every reader of JSON takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

# As in the JSON form of protocol buffers.
_NAMES = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}


def name_numbers(content: Any) -> Any:
    """Returns `content` with infinities and NaN replaced by their names."""
    if isinstance(content, float) and not math.isfinite(content):
        return "NaN" if math.isnan(content) else "Infinity" if content > 0 else "-Infinity"
    if isinstance(content, Mapping):
        return {name: name_numbers(value) for name, value in content.items()}
    return [name_numbers(each) for each in content] if isinstance(content, list | tuple) else content


def restore_numbers(content: Any) -> Any:
    """Returns `content`, which has no texts but these names, with the numbers in their place."""
    if isinstance(content, str):
        return _NAMES.get(content, content)
    if isinstance(content, Mapping):
        return {name: restore_numbers(value) for name, value in content.items()}
    return [restore_numbers(each) for each in content] if isinstance(content, list) else content
