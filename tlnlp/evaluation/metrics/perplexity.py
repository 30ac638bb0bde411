"""Perplexity of the predicted tokens: e to the mean loss in nats."""

import math
from typing import Any

import datasets
import evaluate

DESCRIPTION = (
    "exp(nats / tokens) over all sequences; predictions are the nats of a sequence, references its predicted tokens."
)


class Perplexity(evaluate.Metric):
    """`compute(predictions=[nats], references=[places])["perplexity"]`, from 1 to infinity; lower is better."""

    lower_is_better = True

    def _info(self) -> evaluate.MetricInfo:
        value = datasets.Value("float64")
        features = datasets.Features({"predictions": value, "references": value})
        return evaluate.MetricInfo(description=DESCRIPTION, citation="", inputs_description="", features=features)

    def _compute(self, predictions: Any, references: Any) -> dict[str, float]:
        try:
            return {"perplexity": math.exp(sum(predictions) / sum(references))}
        except OverflowError:  # a diverged network: more than 709 nats per token
            return {"perplexity": math.inf}
