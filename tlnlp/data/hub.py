"""Reads published data sets from the Hub with the `datasets` library."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tlnlp.data.rows import DEV, TEST, TRAIN, SplitKey
from tlnlp.data.table import Table
from tlnlp.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from tlnlp.task import Data


def read_hub(
    task_name: str,
    data: Data,
    more: Mapping[SplitKey, str] | None = None,
    *,
    need: Literal["train", "dev"] = "train",
) -> dict[SplitKey, Table]:
    """Returns {TRAIN: table, DEV: table, ...}.

    Args:
        more: {key: split} of further splits; TEST only if the task names one, "few" only if it exists.
        need: "dev": read no train rows.

    Raises:
        InputError: the task has no published data set, the Hub cannot be reached, or the data set, subset or split does
            not exist.
    """
    if data.hub is None:
        raise InputError(
            expected="a task with a published data set",
            found=f"{task_name} has none on the Hub",
            change="--data sample, or --data PATH for your own rows",
        )
    loaded = _load(data)
    wanted = {TRAIN: data.train, DEV: data.dev, **(more or {})}
    if data.test is None:
        wanted.pop(TEST, None)
    if need == "dev":
        del wanted[TRAIN]
    wanted = {key: name for key, name in wanted.items() if key.kind != "few" or name in loaded}
    for name in wanted.values():
        if name not in loaded:
            raise InputError(
                expected=f"a split {name!r} in {_origin(data)}",
                found=f"{', '.join(loaded)}{did_you_mean(name, loaded)}",
                change="the split's name in the task's Data(...)",
            )
    return {split: _table(loaded[name], f"{_origin(data)} {name}") for split, name in wanted.items()}


def _origin(data: Data) -> str:
    return f"{data.hub} {data.subset}" if data.subset else f"{data.hub}"


def _load(data: Data) -> Any:
    # Importing `datasets` takes a second and reads HF_ENDPOINT, so it is imported only for --data hub.
    import datasets  # noqa: PLC0415

    try:
        with _quiet():
            return datasets.load_dataset(data.hub, data.subset)
    except datasets.exceptions.DatasetNotFoundError as error:
        raise InputError(
            expected=f"the data set {data.hub} on the Hub",
            found=str(error),
            change="the data set's id in the task; for a gated data set, log in (hf auth login)",
        ) from error
    except ValueError as error:
        raise InputError(
            expected=f"{_origin(data)} on the Hub", found=str(error), change="the task's Data(...)"
        ) from error
    except (OSError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise InputError(
            expected=f"access to the Hub, to read {_origin(data)}",
            found=f"{type(error).__name__}: {error}",
            change="set HF_ENDPOINT to a Hub that you can reach, or use --data sample or --data PATH",
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Disables progress bars and log lines of the Hub's libraries while it is open."""
    import datasets  # noqa: PLC0415
    import huggingface_hub.utils  # noqa: PLC0415

    bars: tuple[Any, ...] = (datasets, huggingface_hub.utils)
    shown = [not library.are_progress_bars_disabled() for library in bars]
    loggers = [logging.getLogger(name) for name in ("datasets", "huggingface_hub", "fsspec")]
    levels = [logger.level for logger in loggers]
    for library in bars:
        library.disable_progress_bars()
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for library, was_shown in zip(bars, shown, strict=True):
            if was_shown:
                library.enable_progress_bars()
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def class_names_of(split: Any) -> dict[str, tuple[str, ...]]:
    """Returns {column: names} for the ClassLabel columns of a `datasets.Dataset`, and for lists of ClassLabels."""
    return {
        column: tuple(leaf.names)
        for column, feature in split.features.items()
        if hasattr(leaf := getattr(feature, "feature", feature), "names")
    }


def _table(split: Any, origin: str) -> Table:
    """Returns a split as a table; its columns stay in Arrow until they are used."""
    columns = {name: split.data.column(name) for name in split.column_names}
    return Table(columns, origin, np.arange(1, len(split) + 1), class_names_of(split))
