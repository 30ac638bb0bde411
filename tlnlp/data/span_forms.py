"""The forms in which tools for labelling write spans of a text: character offsets and a label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tlnlp.data.written_values import looks_written, parse_written

STARTS = ("start", "start_offset", "begin", "startOffset", "start_char", "offset_start")
ENDS = ("end", "end_offset", "endOffset", "end_char", "offset_end")
LABELS = (
    "label",
    "labels",
    "type",
    "entity",
    "entity_group",
    "entity_type",
    "tag",
    "category",
    "class",
    "hypertextlabels",
)
TEXTS = ("text", "word", "value")
# Under these names a value has its spans.
INSIDE = ("entities", "spans", "annotations", "annotation", "labels", "label", "result")


class Span(NamedTuple):
    """A span of a text.

    Args:
        start, end: its first character and the one behind its last, as the source counts them from 0.
        label: its label.
        text: what the source says stands there; None if it does not say.
    """

    start: int
    end: int
    label: str
    text: str | None = None


def read_spans(value: Any) -> list[Span] | None:
    """Returns the spans in a value; None if it holds anything else.

    Args:
        value: a list of [start, end, label] (doccano, spaCy) or of objects (prodigy, label-studio, Dataturks); an
            object with such a list in it, as spaCy's {"entities": [...]}; or the text of any of these.
    """
    if isinstance(value, str):
        if not looks_written(value):
            return None
        try:
            value = parse_written(value)
        except ValueError:
            return None
    if isinstance(value, Mapping):
        inside = next((value[name] for name in INSIDE if isinstance(value.get(name), list)), None)
        return None if inside is None else read_spans(inside)
    if not isinstance(value, list | tuple):
        return None
    spans: list[Span] = []
    for each in value:
        read = _read_one(each)
        if read is None:
            return None
        spans += read
    return spans


def _read_one(item: Any) -> list[Span] | None:
    """Returns one span, or several if the item has several labels or places; [] for a relation or a choice, which has
    no place; None if it is something else."""
    if isinstance(item, list | tuple) and len(item) >= 3:
        start, end, label = (item[1], item[2], item[0]) if isinstance(item[0], str) and len(item) == 3 else item[:3]
        return _spans(start, end, label, None)
    if not isinstance(item, Mapping):
        return None
    if isinstance(item.get("points"), list):  # Dataturks counts up to the last character
        read = [_spans(*_last_included(point), item.get("label"), _text(point)) for point in item["points"]]
        return [span for spans in read for span in spans or []] if None not in read else None
    if isinstance(item.get("value"), Mapping):  # label-studio
        value = item["value"]
        if isinstance(value.get("globalOffsets"), Mapping):  # of a text shown as HTML
            value = {**value, **value["globalOffsets"]}
        return _of_object(value) if set(STARTS) & set(value) else []
    if item.get("type") == "relation" or {"from_id", "to_id"} <= set(item):
        return []
    return _of_object(item)


def _of_object(item: Mapping[str, Any]) -> list[Span] | None:
    start, end, label = (next((item[name] for name in names if name in item), None) for names in (STARTS, ENDS, LABELS))
    return _spans(start, end, label, _text(item))


def _text(item: Mapping[str, Any]) -> str | None:
    return next((item[name] for name in TEXTS if isinstance(item.get(name), str)), None)


def _last_included(point: Any) -> tuple[Any, Any]:
    if not isinstance(point, Mapping) or not isinstance(point.get("end"), int):
        return None, None
    return point.get("start"), point["end"] + 1


def _spans(start: Any, end: Any, label: Any, text: str | None) -> list[Span] | None:
    if isinstance(start, float) and start.is_integer() and isinstance(end, float) and end.is_integer():
        start, end = int(start), int(end)
    are_places = all(isinstance(place, int) and not isinstance(place, bool) for place in (start, end))
    labels = label if isinstance(label, list) else [label]
    if not are_places or not all(isinstance(each, str) and each.strip() for each in labels):
        return None
    return [Span(start, end, each.strip(), text) for each in labels]
