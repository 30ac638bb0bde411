"""A run without updates: the frozen network computes the features of each train row once, and a classifier is fitted to
them."""

from __future__ import annotations

import time
from typing import cast

import numpy as np
import torch

from tlnlp.data.rows import Rows
from tlnlp.display.console import ProgressBar, RunConsole
from tlnlp.errors import Interrupted
from tlnlp.evaluation.collapse import describe_constant
from tlnlp.evaluation.predict import predict, with_all_classes
from tlnlp.heads.encoded import NOT_SCORED, EncodedDataset, Ragged, model_inputs
from tlnlp.heads.losses import cell_weights
from tlnlp.models.feature_classifier import FeatureClassifier, mean_of_items
from tlnlp.runs.setup import PreparedRun
from tlnlp.runs.training_log import TrainingLog
from tlnlp.runs.tuned_labels import tune_on_dev
from tlnlp.task import MultiLabel, Prediction, Regression
from tlnlp.training.distributed import run_on_main
from tlnlp.training.plan import cut, shard_micro_batches
from tlnlp.training.signals import stop_requests
from tlnlp.transfer.linear_probe import Classifier, Kind, fit_classifier

# Number of feature vectors that processes exchange at once: a GPU must hold all of them.
LINES_AT_ONCE = 10_000


class FeatureTrainer:
    """Trains with strategy `shallow`. Such a run is short: it writes no checkpoints, and a resumed run starts again.

    Args:
        began: when the run was started, in seconds of `time.time()`.
    """

    def __init__(self, work: PreparedRun, screen: RunConsole, began: float) -> None:
        self.began = began
        self.work, self.training, self.screen = work, work.training, screen
        self.accelerator, self.settings = work.training.accelerator, work.training.settings
        self.reader: FeatureClassifier = cast(FeatureClassifier, work.training.model)
        self.record = TrainingLog()

    def learn(self) -> tuple[TrainingLog, list[Prediction], dict[str, list[Prediction]]]:
        """Fits the classifier and predicts the rows to report on. Returns the log, the predictions, and those for
        `PreparedRun.extra_splits`.

        Raises:
            Interrupted: the run was stopped.
        """
        work, record = self.work, self.record
        record.startup_seconds = time.time() - self.began
        rows = len(self.training.encoded) + len(work.encoded_eval)
        rows += sum(len(encoded) for encoded, _ in work.extra_splits.values())
        with self.screen.bar(rows, 0) as bar:
            began = time.perf_counter()
            features, targets, weights = self._read_train_rows(bar)
            bar.say("fitting")
            # Fitted on one process and broadcast, so that solvers need not agree to the last bit.
            classifier = run_on_main(self.accelerator, lambda: self._fit(features, targets, weights))
            self._take(classifier)
            record.train_seconds = time.perf_counter() - began
            bar.say("answering")
            answers = self._predict(work.encoded_eval, work.eval_rows, bar, all_classes=True)
            answers = tune_on_dev(work, answers, lambda: self._predict(work.encoded_dev, work.dev_rows, bar))
            extra_splits = {
                name: self._predict(encoded, rows, bar) for name, (encoded, rows) in work.extra_splits.items()
            }
            if (constant := describe_constant(answers, "rows")) is not None:
                record.warnings.append(f"{constant}: nothing was learnt")
                self.screen.note(f"warning: {record.warnings[-1]}")
            return record, answers, extra_splits

    def _read_train_rows(self, bar: ProgressBar) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns features [lines, layers, width], targets, and weights [lines], with one line per row; for tags, one
        per word.

        The split into micro-batches does not depend on the number of processes; each process computes a share of them.
        """
        encoded, (targets, first_lines) = self.training.encoded, _lines(self.training.encoded)
        self.reader.eval()
        features = np.zeros((first_lines[-1], *self.reader.weight.shape[1:]), dtype=np.float32)
        seen = np.zeros((first_lines[-1], 1), dtype=np.int32)
        micro_batches = cut(np.arange(len(encoded)), encoded.lengths, self.settings.max_tokens, can_pad=encoded.can_pad)
        bar.say("reading")
        with stop_requests(self.accelerator) as stop_asked:
            for number, items in shard_micro_batches(
                micro_batches, self.accelerator.process_index, self.accelerator.num_processes
            ):
                if items is not None:
                    lines = np.concatenate([np.arange(first_lines[i], first_lines[i + 1]) for i in items])
                    features[lines] += self._read(items)
                    seen[lines] += 1
                    bar.advance(len(items))
                if stop_asked():
                    raise Interrupted(sum(map(len, micro_batches[: number + 1])), len(encoded), "row")
        self._log_counts(micro_batches)
        self._sum_over_processes(features)
        self._sum_over_processes(seen)
        if not (seen == 1).all():
            raise RuntimeError("a train row that was not read exactly once")
        return features, targets, _weights(encoded, targets)

    def _read(self, items: np.ndarray) -> np.ndarray:
        """Returns the features of `items` in order: for tags, those of the first token of each word; if an item has
        several sequences (both orders of a pair, windows), their mean."""
        training = self.training
        batch = training.head.collate(training.encoded, items, training.tokenizer, np.random.default_rng(0))
        batch = {name: value.to(self.accelerator.device) for name, value in batch.items()}
        with torch.no_grad(), self.accelerator.autocast():
            found = self.reader.read(model_inputs(batch))
        if self.reader.pooling is None:
            found = found[batch["labels"] != NOT_SCORED]
        features = found.cpu().numpy()
        return mean_of_items(features, training.encoded, items)

    def _log_counts(self, micro_batches: list[np.ndarray]) -> None:
        record, encoded = self.record, self.training.encoded
        lengths = [encoded.sequence_lengths(items) for items in micro_batches]
        record.rows_seen = len(encoded)
        record.tokens = sum(int(each.sum()) for each in lengths)
        record.places = sum(self.training.slots(each) for each in lengths)

    def _sum_over_processes(self, lines: np.ndarray) -> None:
        """Sums the features over processes, in place: each line is zero on all processes but one."""
        if self.accelerator.num_processes == 1:
            return
        for some in torch.from_numpy(lines).split(LINES_AT_ONCE):
            some.copy_(self.accelerator.reduce(some.to(self.accelerator.device), "sum").cpu())

    def _fit(self, features: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> Classifier:
        (phase,), labels = self.training.phases, self.training.task.labels
        assert phase.fit is not None
        kind: Kind = (
            "score" if isinstance(labels, Regression) else "several" if isinstance(labels, MultiLabel) else "one"
        )
        outputs = len(self.reader.bias)
        of_labels = self.training.encoded.label_weights if kind == "several" else None
        return fit_classifier(features, targets, weights, kind, outputs, phase.fit, self.settings.seed, of_labels)

    def _take(self, classifier: Classifier) -> None:
        self.reader.take(classifier, int(self.training.encoded.batch_constants.get("orders", 1)))
        if classifier.shares is not None:
            note = f"shares of layers 0 to {len(classifier.shares) - 1}: "
            note += ", ".join(f"{share:.3f}" for share in classifier.shares)
            self.work.notes.append(note)
            self.screen.note(note)

    def _predict(
        self, encoded: EncodedDataset, rows: Rows, bar: ProgressBar, *, all_classes: bool = False
    ) -> list[Prediction]:
        training, began = self.training, time.perf_counter()
        task = with_all_classes(training.task, encoded, rows) if all_classes else training.task
        predictions = predict(
            training.model, encoded, rows, task, training.tokenizer, self.settings.max_tokens,
            self.accelerator, bar.advance,
        )  # fmt: skip
        self.record.evaluate_seconds += time.perf_counter() - began
        return predictions


def _weights(encoded: EncodedDataset, targets: np.ndarray) -> np.ndarray:
    """Returns the weight of each line; for several labels without the labels' weights."""
    of_labels = encoded.label_weights
    if isinstance(encoded.targets, Ragged):
        return np.ones(len(targets)) if of_labels is None else of_labels[targets]
    return encoded.counts if of_labels is None else encoded.counts / cell_weights(targets, of_labels).mean(axis=1)


def _lines(encoded: EncodedDataset) -> tuple[np.ndarray, np.ndarray]:
    """Returns the target of each line, and the index of each item's first line [items + 1]."""
    targets = encoded.targets
    assert targets is not None  # train rows have labels
    if isinstance(targets, Ragged):
        scored = targets.flat != NOT_SCORED
        return targets.flat[scored].astype(np.int64), np.concatenate([[0], np.cumsum(scored)])[targets.offsets]
    return targets, np.arange(len(encoded) + 1)
