"""Runs that learnt nothing: one answer for all rows, or a loss that has risen beyond that of knowing nothing."""

from __future__ import annotations

from collections.abc import Sequence

from tlnlp.task import Prediction

# Times the loss before training, and at least so many nats (or squared units of a number): a fine-tuned network that
# goes on from a loss near 0 may rise by a large factor without harm, and no network that works has a loss of ten nats a
# row.
RISEN, LEAST_LOSS = 10.0, 10.0


def is_constant(predictions: Sequence[Prediction]) -> bool:
    """Returns whether all predictions are the same; for tags and sets of labels, whether only one tag or label is
    predicted."""
    return len(_answers(predictions)) <= 1


def describe_constant(predictions: Sequence[Prediction], rows: str) -> str | None:
    """Returns "one answer, ok, for all 20 dev rows"; None if there are several answers, or one row only."""
    answers = _answers(predictions)
    if len(predictions) < 2 or len(answers) > 1:
        return None
    (answer,) = answers or {""}
    named = f"{answer:.4g}" if isinstance(answer, float) else str(answer) or "none"
    return f"one answer, {named}, for all {len(predictions):,} {rows}"


def _answers(predictions: Sequence[Prediction]) -> set[object]:
    said = [each.prediction for each in predictions]
    return {part for whole in said for part in whole} if said and isinstance(said[0], list) else set(said)


def describe_rise(loss: float, first: float) -> str | None:
    """Returns "the loss has risen from 1.85 to 1,754: the run diverges"; None if it has not."""
    if not has_risen(loss, first):
        return None
    numbers = f"from {first:.3g} to {loss:,.0f}"
    return f"the loss has risen {numbers}: the run diverges (a lower --learning-rate, --max-grad-norm 1)"


def has_risen(loss: float, first: float) -> bool:
    """Returns whether an epoch's mean loss is far above that of the first updates."""
    return loss > max(LEAST_LOSS, RISEN * first)
