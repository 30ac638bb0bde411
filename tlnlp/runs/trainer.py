"""Runs the training loop: progress, checkpoints, evaluation after each epoch, stopping and resuming."""

from __future__ import annotations

import math
import socket
import time
from dataclasses import asdict
from typing import Any

import torch
from accelerate.utils import gather_object

from tlnlp.data.rows import Rows
from tlnlp.display.console import ProgressBar, RunConsole
from tlnlp.errors import InputError, Interrupted
from tlnlp.evaluation.collapse import describe_constant, describe_rise
from tlnlp.evaluation.predict import predict, with_all_classes
from tlnlp.evaluation.scoring import is_better, measure
from tlnlp.heads.encoded import EncodedDataset
from tlnlp.models.finite import not_finite
from tlnlp.runs.folder import BEST, CHECKPOINTS
from tlnlp.runs.setup import PreparedRun
from tlnlp.runs.training_log import TrainingLog
from tlnlp.runs.tuned_labels import score_as_reported, tune_on_dev
from tlnlp.task import Prediction
from tlnlp.training import checkpoint, sharded_checkpoint
from tlnlp.training.distributed import run_on_main
from tlnlp.training.loop import Step, train
from tlnlp.training.signals import UPDATES_BETWEEN, stop_requests

# Time between checkpoints if --save-every is unset: the most training that a crash can lose.
SAVE_SECONDS = 120.0
CURVE_POINTS = 100


class Trainer:
    """Trains a prepared run.

    Args:
        began: when the run was started, in seconds of `time.time()`.
    """

    def __init__(self, work: PreparedRun, screen: RunConsole, began: float) -> None:
        self.began = began
        self.work, self.training, self.settings = work, work.training, work.training.settings
        self.folder, self.identity, self.screen = work.run.request.folder / CHECKPOINTS, work.run.identity, screen
        self.accelerator = self.training.accelerator
        self.record = TrainingLog()
        self._saved_at, self._saved_updates = time.monotonic(), -1
        self._idle_said, self._said = False, set[str]()
        # Summed on the device, in order, so that a resumed run reports the same loss.
        self._loss_sum = torch.zeros((), dtype=torch.float32, device=self.accelerator.device)
        self._curve_sum = torch.zeros_like(self._loss_sum)

    def learn(self) -> tuple[TrainingLog, list[Prediction], dict[str, list[Prediction]]]:
        """Trains to the end and predicts the rows to report on. Returns the log, the predictions, and those for the
        extra splits.

        Raises:
            Interrupted: the run was stopped; a checkpoint has been written.
        """
        work, record = self.work, self._restore() if self.settings.resume else self.record
        epochs = sum(phase.epochs for phase in self.training.phases)
        rows = (
            epochs * len(self.training.encoded)
            + self._evaluations(epochs - 1) * len(work.encoded_dev)
            + len(work.encoded_eval)
        )
        rows += sum(len(encoded) for encoded, _ in work.extra_splits.values())
        if self.settings.show_oracle:
            rows += epochs * sum(len(encoded) for encoded, _ in work.target_languages.values())
        epochs_done = record.updates_done / self.training.updates_per_epoch
        rows_done = int(epochs_done * len(self.training.encoded)) + self._evaluations(int(epochs_done)) * len(
            work.encoded_dev
        )
        record.startup_seconds = time.time() - self.began
        with self.screen.bar(rows, rows_done) as bar:
            self.training.say, self.training.note = bar.say, self.screen.note
            with stop_requests(self.accelerator) as stop_asked:
                steps = train(self.training, record.updates_done) if record.diverged is None else iter(())
                while (step := self._next(steps)) is not None:
                    self._note_idle(step)
                    self.log_step(step, bar)
                    if self._has_diverged():
                        break
                    if step.ends_epoch:
                        self._end_epoch(step, bar)
                        if self._has_diverged():
                            break
                    stopping = stop_asked()
                    if stopping or self._save_due(step):
                        self._save()
                    if stopping:
                        raise Interrupted(record.updates_done, step.updates)
            if self.settings.chooses_on_dev and record.best is not None:
                best = self.folder / BEST
                run_on_main(self.accelerator, lambda: checkpoint.check_weights(best))
                sharded_checkpoint.load_weights(
                    self.accelerator, best, self.training.model, self.training.stored_parameters
                )
                self._run_all_layers()  # the best weights may be from an earlier phase: the cache is invalid
            bar.say("answering")
            answers = self._predict(work.encoded_eval, work.eval_rows, bar, all_classes=True)
            answers = tune_on_dev(work, answers, lambda: self._predict(work.encoded_dev, work.dev_rows, bar))
            extra_splits = {
                name: self._predict(encoded, rows, bar) for name, (encoded, rows) in work.extra_splits.items()
            }
            self._run_all_layers()
            self._warn_of_collapse(answers)
            return record, answers, extra_splits

    def _note_idle(self, step: Step) -> None:
        """Says once that processes have no part in the updates; the last one of an epoch may be smaller."""
        pieces, processes = len(step.update.micro_batches), self.accelerator.num_processes
        rows = len(step.update.items)
        if pieces >= processes or self._idle_said or rows < min(self.settings.batch_size, len(self.training.encoded)):
            return
        self._idle_said = True
        way = f"--micro-batches {processes} uses all" if rows >= processes else "an update has no more rows"
        note = f"{processes - pieces} of {processes} processes are idle: {pieces} micro-batches an update; {way}"
        self.work.notes.append(note)
        self.screen.note(note)

    def _has_diverged(self) -> bool:
        """Returns whether weights are NaN or infinite, and says it. Only losses that are on the host anyway are looked
        at (of the curve's last point, and of the last epoch), and weights if one of them is not finite."""
        record = self.record
        losses = [*(point[1] for point in record.curve[-1:]), *(entry["loss"] for entry in record.history[-1:])]
        if record.diverged is None and not all(map(math.isfinite, losses)) and not_finite(self.training.model):
            record.diverged = record.updates_done
            self.screen.note(
                f"diverged: after update {record.updates_done:,} weights are NaN or infinite; training ends here, and "
                "the scores say nothing (a lower --learning-rate, or --precision fp32)"
            )
        return record.diverged is not None

    def _warn_of_collapse(self, answers: list[Prediction], epoch: int | None = None) -> None:
        """Says that all rows have the same answer, or that the loss has risen far above that at the beginning. During
        training it is only said; what is so at the end is kept."""
        record, said = self.record, list[str]()
        place = "" if epoch is None else f"after epoch {epoch}: "
        if (constant := describe_constant(answers, "rows")) is not None:
            said.append(f"{constant}: nothing was learnt" if epoch is None else constant)
        last, first = record.history[-1:], record.curve[:1]
        if last and first and (risen := describe_rise(last[0]["loss"], first[0][1])) is not None:
            said.append(risen)
        if epoch is None:
            record.warnings = said
        for each in said:
            kind = each.partition(",")[0].partition(" from")[0]
            if epoch is None or kind not in self._said:  # not after every epoch
                self.screen.note(f"warning: {place}{each}")
            self._said.add(kind)

    def _evaluations(self, epochs: int) -> int:
        """Returns how often dev has been evaluated after `epochs` epochs: if there are more dev rows than train rows,
        not after each epoch, or evaluation would take longer than training. Model selection needs every epoch."""
        each = 1 if self.settings.chooses_on_dev else math.ceil(len(self.work.encoded_dev) / len(self.training.encoded))
        return epochs // each

    def _run_all_layers(self) -> None:
        self._log_frozen_bytes()
        if self.training.frozen is not None:
            self.training.frozen.remove()
        self.training.frozen = None

    def _log_frozen_bytes(self) -> None:
        """Logs the size of the cache, the largest if there are several phases."""
        if self.training.frozen is not None:
            self.record.frozen_bytes = max(self.record.frozen_bytes, self.training.frozen.bytes)

    def _next(self, steps: Any) -> Step | None:
        began = time.perf_counter()
        step = next(steps, None)
        self.record.train_seconds += time.perf_counter() - began
        return step

    def log_step(self, step: Step, bar: ProgressBar) -> None:
        """Called after each update: records it, and updates the bar."""
        record = self.record
        record.updates_done = step.updates_done
        rows = record.count(step.update, self.training.encoded, self.training.slots)
        self._loss_sum += step.loss
        self._curve_sum += step.loss
        every = math.ceil(step.updates / CURVE_POINTS)
        if record.updates_taken % every == 0:
            record.curve.append([record.updates_taken, float(self._curve_sum) / every])
            self._curve_sum.zero_()
        bar.advance(rows)
        if bar.due():
            bar.say(f"{step.phase.name}, epoch {step.epoch + 1}, loss {float(step.loss):.3f}")
        if self.settings.tracker:
            self.accelerator.log({"loss": float(step.loss), "learning_rate": step.rate}, step=step.updates_done)

    def _end_epoch(self, step: Step, bar: ProgressBar) -> None:
        """Logs the epoch's loss and, if due, its dev scores. They are not due after the last epoch, which is evaluated
        anyway."""
        self._log_frozen_bytes()
        entry: dict[str, Any] = {"epoch": step.epoch + 1, "updates": step.updates_done}
        entry["loss"] = float(self._loss_sum) / self.training.updates_per_epoch
        self._loss_sum.zero_()
        if not math.isfinite(entry["loss"]) and not_finite(self.training.model):  # there is nothing to score
            self.record.history.append(entry)
            return
        best_wanted = self.settings.chooses_on_dev
        due = self._evaluations(step.epoch + 1) > self._evaluations(step.epoch)
        if due and (step.updates_done < step.updates or best_wanted):
            bar.say("scoring dev")
            answers = self._predict(self.work.encoded_dev, self.work.dev_rows, bar)
            answers = score_as_reported(self.training.task, self.settings, answers, self.work.dev_rows)
            entry["metrics"] = measure(self.training.task, answers, self.work.dev_rows)
        else:
            answers = []
        if best_wanted:
            self._keep_best(entry)
        if self.settings.show_oracle:
            # Logged only: model selection does not use it.
            entry["languages"] = {name: self._score_language(name, bar) for name in self.work.target_languages}
        self.record.history.append(entry)
        if step.updates_done < step.updates:  # the end has its own
            self._warn_of_collapse(answers, step.epoch + 1)
        self._check_patience(step, entry, bar)

    def _score_language(self, language: str, bar: ProgressBar) -> float:
        bar.say(f"scoring {language}")
        encoded, rows = self.work.target_languages[language]
        return next(iter(measure(self.training.task, self._predict(encoded, rows, bar), rows).values()))

    def _check_patience(self, step: Step, entry: dict[str, Any], bar: ProgressBar) -> None:
        """Ends the phase if its dev score has not improved for `--patience` epochs. The counters are saved in the
        checkpoint, so that a resumed run stops at the same epoch."""
        record, training, patience = self.record, self.training, self.settings.patience
        end = training.end_of_phase(step.updates_done)
        if patience is not None and step.updates_done < end:
            score = next(iter(entry["metrics"].values()))
            better = record.phase_best is None or is_better(training.task, score, record.phase_best)
            record.phase_best = score if better else record.phase_best
            record.stale_epochs = 0 if better else record.stale_epochs + 1
            if record.stale_epochs < patience:
                return
            training.stop_phase = True
            record.updates_done = end
            epochs_left = (end - step.updates_done) // training.updates_per_epoch
            bar.advance(epochs_left * (len(training.encoded) + len(self.work.encoded_dev)))  # each evaluated
            self.screen.note(f"{step.phase.name}: no better dev score for {patience} epochs, {epochs_left} left out")
        if record.updates_done == end:
            record.stale_epochs, record.phase_best = 0, None

    def _keep_best(self, entry: dict[str, Any]) -> None:
        score, best = next(iter(entry["metrics"].values())), self.record.best
        if best is None or is_better(self.training.task, score, best["score"]):
            self.record.best = {"updates": entry["updates"], "epoch": entry["epoch"], "score": score}
            stored = self.training.stored_parameters
            sharded_checkpoint.save_weights(
                self.accelerator, self.folder / BEST, self.training.model, self.record.best, stored
            )
            self.accelerator.wait_for_everyone()

    def _predict(
        self, encoded: EncodedDataset, rows: Rows, bar: ProgressBar, *, all_classes: bool = False
    ) -> list[Prediction]:
        training, began = self.training, time.perf_counter()
        task = with_all_classes(training.task, encoded, rows) if all_classes else training.task
        predictions = predict(
            training.model, encoded, rows, task, training.tokenizer, self.settings.max_tokens,
            self.accelerator, bar.advance, training.frozen, training.feed,
        )  # fmt: skip
        training.set_trainable()  # prediction has set evaluation mode
        self.record.evaluate_seconds += time.perf_counter() - began
        return predictions

    def _save_due(self, step: Step) -> bool:
        if self.settings.save_every is not None:
            return step.updates_done % self.settings.save_every == 0
        is_time = time.monotonic() - self._saved_at >= SAVE_SECONDS
        if self.training.sharded is None:  # the main process saves alone
            return is_time
        # Every process writes its share: all go by the clock of the first.
        asks = step.updates_done % UPDATES_BETWEEN == 0
        return asks and bool(run_on_main(self.accelerator, lambda: is_time))

    def _save(self) -> None:
        """Writes a checkpoint, on the main process only unless the network is sharded: under data parallelism all
        processes have the same state."""
        if self.record.updates_done != self._saved_updates:
            self.record.loss_sum, self.record.curve_sum = float(self._loss_sum), float(self._curve_sum)
            scaler = self.accelerator.scaler
            state = {
                "identity": self.identity,
                "updates_done": self.record.updates_done,
                "record": asdict(self.record),
                "scaler": scaler.state_dict() if scaler is not None else None,
            }
            stored = self.training.stored_parameters
            sharded_checkpoint.save_checkpoint(
                self.accelerator, self.folder, self.training.model, self.training.optimizer, state, stored
            )
        self._saved_at, self._saved_updates = time.monotonic(), self.record.updates_done

    def _restore(self) -> TrainingLog:
        """Restores the newest complete checkpoint of the main process on every process: no other has to see its folder.
        Returns its log, or a new one if there is none."""
        self._refuse_newer_elsewhere()
        newest = run_on_main(
            self.accelerator, lambda: checkpoint.load_newest(self.folder, self.identity, self.screen.note)
        )
        if newest is not None:
            path, state = newest
            stored = self.training.stored_parameters
            sharded_checkpoint.restore(self.accelerator, path, self.training.model, self.training.optimizer, stored)
            if self.accelerator.scaler is not None and state["scaler"]:
                self.accelerator.scaler.load_state_dict(state["scaler"])
            self.record = TrainingLog(**state["record"])
            self.record.resumed += 1
            self._loss_sum.fill_(self.record.loss_sum)
            self._curve_sum.fill_(self.record.curve_sum)
            self._saved_updates = self.record.updates_done
            self.screen.note(f"going on after update {self.record.updates_done:,}")
        return self.record

    def _refuse_newer_elsewhere(self) -> None:
        """Raises an error if another process sees a newer checkpoint: machines have changed places, and the first one
        would begin with less than there is."""
        newest = max((int(path.name) for path in checkpoint.checkpoints_in(self.folder)), default=-1)
        if self.accelerator.num_processes > 1:
            of_main, *others = gather_object([(newest, socket.gethostname())])
            if (best := max(others))[0] > of_main[0]:
                raise InputError(
                    expected=f"the newest checkpoint of the run on the first machine, {of_main[1]}",
                    found=f"that of update {best[0]:,} on {best[1]}",
                    change=f"start with {best[1]} as the first one, or copy {self.folder.parent} to {of_main[1]}",
                )
