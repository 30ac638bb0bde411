"""Predictions of a saved model for new rows."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from tlnlp.acceleration.padding_free import PaddingFree
from tlnlp.acceleration.varlen_attention import feed_of
from tlnlp.data.bytes_to_text import FileFormat
from tlnlp.data.columns import choose_columns, choose_roles
from tlnlp.data.memory import rows_of, tables_of
from tlnlp.data.roles import ASKED, PROMPT, WEIGHT, ReadOptions, read_rows
from tlnlp.data.rows import Rows
from tlnlp.data.shapes import shape_inputs
from tlnlp.data.table import Table, show
from tlnlp.errors import InputError
from tlnlp.evaluation.calibration import calibrate
from tlnlp.evaluation.predict import predict
from tlnlp.heads.encoded import EncodedDataset, model_inputs
from tlnlp.models.base_weights import QUANTISED
from tlnlp.models.feature_classifier import FeatureClassifier, mean_of_items
from tlnlp.models.loading import load_tokenizer
from tlnlp.models.task_file import load_network, loaded_in, read_task
from tlnlp.runs.network_trials import BF16, FP32, pack_on_device, padding_is_ignored
from tlnlp.settings import Precision, Settings
from tlnlp.task import Prediction
from tlnlp.training.distributed import start_accelerator
from tlnlp.training.plan import cut
from tlnlp.transfer.layers import find_layers

# Rows processed at once, for input of any length.
ROWS_AT_ONCE = 10_000
# Rows of a file that are encoded, predicted and written at once: of a longer file no more are in memory.
ROWS_OF_A_PART = 50_000


class Predictor:
    """A saved model, ready for inference."""

    def __init__(self, folder: Path, *, max_tokens: int = 4096, precision: Precision = "fp32") -> None:
        self.task, settings, self.threshold, self.temperature = read_task(folder)
        if loaded_in(folder) in QUANTISED:  # which compute in bf16, whatever the rest does
            precision = "bf16"
        self.settings: Settings = replace(
            settings,
            max_tokens=max(max_tokens, settings.max_length),
            precision=precision,
        )
        self.accelerator: Accelerator = start_accelerator(precision)
        head = self.task.head
        self.tokenizer = load_tokenizer(str(folder), str(folder), **head.tokenizer_options)
        as_trained, device = self.settings.precision == "bf16", self.accelerator.device
        self.model = load_network(folder, head, as_trained=as_trained, device=device).eval().to(device)
        self.packing: PaddingFree | None = None
        self._can_pad = True

    def __repr__(self) -> str:
        return f"Predictor({self.task.name}: {type(self.model).__name__}, on {self.accelerator.device})"

    def predict(self, inputs: Any, columns: Mapping[str, str] | None = None) -> list[Prediction]:
        """Returns a prediction for each row, in order.

        Args:
            inputs: texts, tuples of texts (a pair; a question and its context), lists of words for tags, dicts, a dict
                of columns, a DataFrame, a `datasets.Dataset`, or any iterable of rows.
            columns: {role: column}, if the rows have other column names than the task.

        Raises:
            InputError: a column is missing, or a value cannot be read.
        """
        is_table = isinstance(inputs, Mapping | str) or hasattr(inputs, "column_names") or hasattr(inputs, "iloc")
        if isinstance(inputs, str):
            raise InputError(
                expected="rows, e.g. a list of texts", found=show(inputs), change="put it into a list: [...]"
            )
        if is_table:
            return self._predict(inputs, dict(columns or {}))
        found: list[Prediction] = []
        rows = iter(inputs)
        while chunk := list(itertools.islice(rows, ROWS_AT_ONCE)):
            found += self._predict(rows_of(chunk, self._asked_roles()), dict(columns or {}))
        return found

    def features(self, inputs: Iterable[Any], *, layer: int | str = "last", pooling: str = "mean") -> np.ndarray:
        """Returns the hidden states of the network, pooled over each row: [rows, width], in fp32. For a row in windows
        (`--windows mean`) it is the mean over its windows, of each window's pooled states.

        Args:
            inputs: same as in `predict`.
            layer: 0 (the input of the first layer) to the number of layers, or "last".
            pooling: "mean" of the tokens, "first" or "last", as in the strategy `shallow`.
        """
        (table,) = tables_of(rows_of(inputs, self._asked_roles()), FileFormat()).values()
        encoded = self.task.head.encode(self._read(table, {}), self.task, self.tokenizer, self.settings)
        encoded = self._batchable(encoded)
        if len(encoded) != len(table) or "endings" in self.task.columns.by_role():
            raise InputError(
                expected="one sequence per row",
                found=f"{self.task.name}, whose rows have several sequences",
                change="the model",
            )
        network = getattr(self.model, "base_model", self.model)
        last = len(find_layers(network))
        wanted = last if layer == "last" else int(layer)
        if not 0 <= wanted <= last or pooling not in ("mean", "first", "last"):
            raise InputError(
                expected=f"layer: 0 to {last} or last; pooling: mean, first or last",
                found=f"layer={layer}, pooling={pooling}",
                change="the argument",
            )
        reader = FeatureClassifier(network, [wanted], pooling, 1).to(self.accelerator.device)
        lines: dict[int, np.ndarray] = {}
        for items in cut(np.arange(len(encoded)), encoded.lengths, self.settings.max_tokens, can_pad=encoded.can_pad):
            batch = self.task.head.collate(encoded, items, self.tokenizer, np.random.default_rng(0))
            on_device = {name: value.to(self.accelerator.device) for name, value in model_inputs(batch).items()}
            padded = contextlib.nullcontext() if self.packing is None else self.packing.paused()
            with torch.no_grad(), self.accelerator.autocast(), padded:
                found = reader.read(on_device)[:, 0].float().cpu().numpy()
            lines.update(zip(items.tolist(), mean_of_items(found, encoded, items), strict=True))
        return np.stack([lines[item] for item in range(len(encoded))])

    def _batchable(self, encoded: EncodedDataset) -> EncodedDataset:
        """Returns the rows with what is known of how this network batches them."""
        if self._can_pad and self.packing is None:
            with self.accelerator.autocast():
                rounding = FP32 if self.accelerator.mixed_precision == "no" else BF16
                self._can_pad = padding_is_ignored(self.model, encoded, self.task, self.tokenizer, rounding)
        return replace(encoded, can_pad=self._can_pad)

    def _predict(self, data: Any, columns: dict[str, str]) -> list[Prediction]:
        (table,) = tables_of(data, FileFormat()).values()
        return self.predict_table(table, columns)

    def _asked_roles(self) -> list[str]:
        """Returns the roles that a row needs for prediction, in the task's order."""
        return [role for role in self.task.columns.by_role() if role not in (*ASKED, WEIGHT, PROMPT)]

    def predict_table(
        self, table: Table, chosen: dict[str, str], advance: Any = lambda items: None
    ) -> list[Prediction]:
        """Returns a prediction for each row of `table`, in order.

        Raises:
            InputError: a column is missing, or a value cannot be read.
        """
        return self._predict_rows(self._read(table, chosen), advance)

    def predict_in_parts(
        self, table: Table, chosen: dict[str, str], advance: Any = lambda items: None
    ) -> Iterator[tuple[np.ndarray, list[Prediction]]]:
        """Same as `predict_table`, but yields the numbers of `ROWS_OF_A_PART` rows at a time and their predictions. All
        rows are checked before the first of them is predicted.

        Raises:
            InputError: a column is missing, or a value cannot be read.
        """
        rows = self._read(table, chosen)
        for first in range(0, len(rows), ROWS_OF_A_PART):
            places = np.arange(first, min(first + ROWS_OF_A_PART, len(rows)))
            part = rows if len(places) == len(rows) else rows.select(places)
            yield part.numbers, self._predict_rows(part, advance)

    def _predict_rows(self, rows: Rows, advance: Any) -> list[Prediction]:
        task, head = self.task, self.task.head
        encoded = self._batchable(head.encode(rows, task, self.tokenizer, self.settings))
        if self.packing is None:
            self.packing = pack_on_device(self.model, encoded, task, self.tokenizer, self.accelerator)
        predictions = predict(
            self.model, encoded, rows, task, self.tokenizer, self.settings.max_tokens, self.accelerator, advance,
            feed=feed_of(self.packing, self.accelerator.device),
        )  # fmt: skip
        apply = getattr(head, "apply_threshold", None)
        if apply is not None and self.threshold is not None:
            predictions = apply(predictions, self.threshold)
        if self.temperature is None:
            return predictions
        return [replace(each, calibrated=calibrate(each, self.temperature)) for each in predictions]

    def _read(self, table: Table, chosen: dict[str, str]) -> Rows:
        roles = choose_roles(self.task, chosen)
        table = shape_inputs(table, roles, chosen)
        columns = choose_columns(table, roles, chosen, {}, not_needed=(*ASKED, WEIGHT, PROMPT))
        columns = {role: column for role, column in columns.items() if role not in (*ASKED, WEIGHT)}
        reading = ReadOptions(self.task.labels, fix_answers=False, unanswerable=True)
        return read_rows(table, columns, reading, train=False)[0]
