"""Precision, recall and F1 of each label are scikit-learn's; of each entity type, those of conlleval."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from tlnlp.evaluation.label_scores import (
    SCORES,
    join_label_scores,
    score_names,
    score_tags,
    table_of_labels,
)
from tlnlp.evaluation.metrics.entity_f1 import entity_scores

NAMES = ("a", "b", "c", "never")


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_scores_and_their_means_are_scikit_learns(seed: int, *, several: bool) -> None:
    draw = np.random.default_rng(seed)
    shape = (40, 4) if several else 40
    held, told = (draw.integers(0, 2 if several else 3, shape) for _ in range(2))
    if several:
        held[:, 3] = told[:, 3] = 0  # it occurs in neither
    found = score_names(told.tolist(), held.tolist(), NAMES, several=several)
    assert list(found["each"]) == list(NAMES)
    expected = precision_recall_fscore_support(held, told, labels=range(4), zero_division=0)
    for i, name in enumerate(NAMES):
        assert [found["each"][name][each] for each in SCORES] == pytest.approx([part[i] for part in expected[:3]])
        assert found["each"][name]["support"] == expected[3][i]
    assert ("micro" in found) == several
    for mean in ("macro", "weighted", *(["micro"] if several else [])):
        theirs = precision_recall_fscore_support(held, told, labels=range(3), average=mean, zero_division=0)
        assert [found[mean][each] for each in SCORES] == pytest.approx(theirs[:3]), mean


def test_tags_with_prefixes_are_scored_by_entity_type_and_others_one_by_one() -> None:
    held, told = [["B-PER", "I-PER", "O", "B-LOC"], ["O"]], [["B-PER", "I-PER", "B-LOC", "O"], ["O"]]
    found = score_tags(told, held)
    assert found["of"] == "entity type"
    assert found["each"] == {name: pytest.approx(each) for name, each in entity_scores(told, held).items()}
    assert found["micro"] == pytest.approx({"precision": 0.5, "recall": 0.5, "f1": 0.5})
    held, told = [["DET", "NOUN", "VERB"], ["NOUN"]], [["DET", "VERB", "VERB"], ["NOUN"]]
    found = score_tags(told, held)
    assert (found["of"], next(iter(found["each"]))) == ("tag", "NOUN")
    assert found["each"]["NOUN"] == pytest.approx({"precision": 1.0, "recall": 0.5, "f1": 2 / 3, "support": 2})
    assert found["each"]["VERB"] == pytest.approx({"precision": 0.5, "recall": 1.0, "f1": 2 / 3, "support": 1})


def test_where_nothing_occurs_there_is_nothing_to_divide_by() -> None:
    found = score_names([], [], NAMES, several=False)
    assert found["macro"] == found["weighted"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0}
    assert score_tags([["B-X"]], [["O"]]) == {
        "of": "tag",
        "each": {
            "O": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1},
            "B-X": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0},
        },
        "macro": {"precision": 0.0, "recall": 0.0, "f1": 0.0},
        "weighted": {"precision": 0.0, "recall": 0.0, "f1": 0.0},
    }


def test_seeds_are_averaged_and_of_many_labels_the_worst_are_shown() -> None:
    one, other = (score_names(told, [0, 1, 2, 2], NAMES, several=False) for told in ([0, 1, 2, 2], [1, 1, 2, 0]))
    joined = join_label_scores([one, other])
    assert joined is not None
    assert joined["each"]["a"] == pytest.approx({"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 1})
    assert join_label_scores([one, None]) is None
    lines = table_of_labels(joined, most=2)
    assert [line[0] for line in lines] == ["label", "a", "b", "macro mean", "weighted mean"]
    assert lines[1] == ["a", "0.500", "0.500", "0.500", "1"]
    assert len(table_of_labels(joined, most=9)) == 1 + 4 + 2
