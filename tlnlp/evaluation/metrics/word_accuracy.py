"""Word accuracy: the fraction of words with the correct tag."""

from typing import Any

import datasets
import evaluate

DESCRIPTION = "Fraction of words with the correct tag, over all words of all rows."


class WordAccuracy(evaluate.Metric):
    """`compute(predictions=[[tags]], references=[[tags]])["accuracy"]`, 0 to 1; 0.0 if there are no words.

    Every word has the same weight, so a long row counts more than a short one, as usual in part-of-speech tagging (e.g.
    UPOS of Universal Dependencies).

    Raises:
        ValueError: a row has more or fewer predicted tags than words.
    """

    def _info(self) -> evaluate.MetricInfo:
        tags = datasets.Sequence(datasets.Value("string"))
        features = datasets.Features({"predictions": tags, "references": tags})
        return evaluate.MetricInfo(description=DESCRIPTION, citation="", inputs_description="", features=features)

    def _compute(self, predictions: Any, references: Any) -> dict[str, float]:
        right = words = 0
        for row, (told, true) in enumerate(zip(predictions, references, strict=True)):
            if len(told) != len(true):
                raise ValueError(f"row {row} has {len(told)} predicted tags for {len(true)} words")
            right += sum(tag == other for tag, other in zip(told, true, strict=True))
            words += len(true)
        return {"accuracy": right / max(words, 1)}
