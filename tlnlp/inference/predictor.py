"""Predictions of a saved model for new rows."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from tlnlp.acceleration.padding_free import PaddingFree
from tlnlp.acceleration.varlen_attention import feed_of
from tlnlp.data.bytes_to_text import FileFormat
from tlnlp.data.memory import rows_of, tables_of
from tlnlp.data.table import Table, show
from tlnlp.errors import InputError
from tlnlp.evaluation.calibration import calibrate
from tlnlp.evaluation.conformal import Calibration, SetMethod
from tlnlp.evaluation.predict import predict, with_all_classes
from tlnlp.heads.encoded import EncodedDataset, model_inputs
from tlnlp.inference.answer_options import (
    AnswerOptions,
    abstain,
    add_entities,
    add_sets,
    has_entities,
    keep_best,
    names_of,
)
from tlnlp.inference.input_parts import Part, asked_roles, choose_inputs, parts_of, read_inputs
from tlnlp.models.base_weights import QUANTISED
from tlnlp.models.feature_classifier import FeatureClassifier, mean_of_items
from tlnlp.models.loading import load_tokenizer
from tlnlp.models.task_file import load_network, loaded_in, read_conformal, read_task
from tlnlp.runs.network_trials import BF16, FP32, pack_on_device, padding_is_ignored
from tlnlp.settings import Precision, Settings
from tlnlp.task import Prediction
from tlnlp.training.distributed import start_accelerator
from tlnlp.training.plan import cut
from tlnlp.transfer.layers import find_layers

# Rows processed at once, for input of any length.
ROWS_AT_ONCE = 10_000
# Rows of a file that are encoded, sorted by length, predicted and written at once: of a longer file no more are in
# memory.
ROWS_OF_A_PART = 16_384
# Probabilities of a part: with thousands of labels it has fewer rows.
SCORES_OF_A_PART = 4_000_000
ALL_OF_THEM = AnswerOptions()


class Predictor:
    """A saved model, ready for inference."""

    def __init__(self, folder: Path, *, max_tokens: int = 4096, precision: Precision = "fp32") -> None:
        self.task, settings, self.threshold, self.temperature = read_task(folder)
        self.conformal = conformal_of(folder)
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

    def predict(
        self,
        inputs: Any,
        columns: Mapping[str, str] | None = None,
        *,
        top: int | None = None,
        error_rate: float | None = None,
        set_method: SetMethod = "lac",
        abstain_below: float | None = None,
    ) -> list[Prediction]:
        """Returns a prediction for each row, in order.

        Args:
            inputs: texts, tuples of texts (a pair; a question and its context), lists of words for tags, dicts, a dict
                of columns, a DataFrame, a `datasets.Dataset`, or any iterable of rows.
            columns: {role: column}, if the rows have other column names than the task.
            top: number of `scores` of a row, the best first; all if None, and the best ten of more than 100 labels.
            error_rate: adds a `prediction_set`, of which at most this share lacks the right label: split conformal
                prediction, calibrated on the run's dev rows.
            set_method: "lac" (Sadinle et al. 2019, the smallest sets) or "aps" (Romano et al. 2020, larger ones for
                harder rows).
            abstain_below: a prediction of less confidence than this is None, and `abstained` true.

        Raises:
            InputError: a column is missing, or a value cannot be read; the model has no such sets or confidences.
        """
        options = AnswerOptions(top, error_rate, set_method, abstain_below)
        options.check(self.task, self.conformal)
        is_table = isinstance(inputs, Mapping | str) or hasattr(inputs, "column_names") or hasattr(inputs, "iloc")
        if isinstance(inputs, str):
            raise InputError(
                expected="rows, e.g. a list of texts", found=show(inputs), change="put it into a list: [...]"
            )
        if is_table:
            return self._predict(inputs, dict(columns or {}), options)
        found: list[Prediction] = []
        rows = iter(inputs)
        while chunk := list(itertools.islice(rows, ROWS_AT_ONCE)):
            found += self._predict(rows_of(chunk, asked_roles(self.task)), dict(columns or {}), options)
        return found

    def features(self, inputs: Iterable[Any], *, layer: int | str = "last", pooling: str = "mean") -> np.ndarray:
        """Returns the hidden states of the network, pooled over each row: [rows, width], in fp32. For a row in windows
        (`--windows mean`) it is the mean over its windows, of each window's pooled states.

        Args:
            inputs: same as in `predict`.
            layer: 0 (the input of the first layer) to the number of layers, or "last".
            pooling: "mean" of the tokens, "first" or "last", as in the strategy `shallow`.
        """
        (table,) = tables_of(rows_of(inputs, asked_roles(self.task)), FileFormat()).values()
        rows = read_inputs(table, self.task, choose_inputs(table, self.task, {}))
        encoded = self.task.head.encode(rows, self.task, self.tokenizer, self.settings)
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

    def _predict(self, data: Any, columns: dict[str, str], options: AnswerOptions) -> list[Prediction]:
        (table,) = tables_of(data, FileFormat()).values()
        return self.predict_table(table, columns, options=options)

    def predict_table(
        self,
        table: Table,
        chosen: Mapping[str, str],
        advance: Any = lambda items: None,
        options: AnswerOptions = ALL_OF_THEM,
    ) -> list[Prediction]:
        """Returns a prediction for each row of `table`, in order.

        Raises:
            InputError: a column is missing, or a value cannot be read.
        """
        columns = choose_inputs(table, self.task, chosen)
        found: list[Prediction] = []
        for part in parts_of(table, self.task, columns, self.rows_of_a_part, refuse_empty=True):
            found += self.predict_part(part, advance, options)
        return found

    @property
    def rows_of_a_part(self) -> int:
        """The number of rows that are encoded and predicted at once."""
        return max(1, min(ROWS_OF_A_PART, SCORES_OF_A_PART // max(1, len(names_of(self.task)))))

    def predict_part(
        self, part: Part, advance: Any = lambda items: None, options: AnswerOptions = ALL_OF_THEM
    ) -> list[Prediction]:
        """Returns a prediction for each of the part's `rows`, in order."""
        rows, task, head = part.rows, self.task, self.task.head
        if not len(rows):
            return []
        encoded = self._batchable(head.encode(rows, task, self.tokenizer, self.settings))
        if self.packing is None:
            self.packing = pack_on_device(self.model, encoded, task, self.tokenizer, self.accelerator)
        asked = task if options.error_rate is None else with_all_classes(task, encoded, rows)
        predictions = predict(
            self.model, encoded, rows, asked, self.tokenizer, self.settings.max_tokens, self.accelerator, advance,
            feed=feed_of(self.packing, self.accelerator.device),
        )  # fmt: skip
        return self._refine(predictions, part, options)

    def _refine(self, predictions: list[Prediction], part: Part, options: AnswerOptions) -> list[Prediction]:
        """Returns the predictions with what was learnt from the dev rows (thresholds, temperature, sets) and what was
        asked for."""
        apply = getattr(self.task.head, "apply_threshold", None)
        if apply is not None and self.threshold is not None:
            predictions = apply(predictions, self.threshold)
        if self.temperature is not None:
            predictions = [replace(each, calibrated=calibrate(each, self.temperature)) for each in predictions]
        if options.error_rate is not None:
            assert self.conformal is not None
            predictions = add_sets(predictions, part.rows, self.task, self.conformal, options)
        if options.abstain_below is not None:
            predictions = abstain(predictions, options.abstain_below)
        if "words" in part.rows.columns and has_entities(part.rows.labels):
            predictions = add_entities(predictions, part.rows.columns["words"], part.texts)
        return keep_best(predictions, options.top, part.rows.labels)


def conformal_of(folder: Path) -> Calibration | None:
    """Returns the calibration of prediction sets that is kept with a model; None if there is none."""
    kept = read_conformal(folder)
    return None if kept is None else Calibration.from_json(kept)
