"""Likely label errors: those that were put into a constructed set are found, and cleanlab finds the same."""

from __future__ import annotations

import numpy as np
import pytest

from tlnlp.data.rows import Rows
from tlnlp.evaluation import label_errors
from tlnlp.evaluation.label_errors import confident_errors, cross_validated, find_label_errors

TOPICS = {
    "sport": ["match", "goal", "team", "coach", "league", "season", "striker", "referee", "stadium", "transfer"],
    "kitchen": ["flour", "oven", "butter", "recipe", "onion", "simmer", "spoon", "garlic", "bake", "salt"],
    "weather": ["rain", "storm", "cloud", "wind", "forecast", "snow", "degrees", "sunny", "fog", "thunder"],
    "law": ["court", "judge", "appeal", "verdict", "statute", "lawyer", "trial", "witness", "ruling", "evidence"],
}
COMMON = ["the", "a", "of", "people", "said", "today", "new", "long", "about", "after", "before", "town", "year"]
NAMES = tuple(sorted(TOPICS))
FLIPPED = 0.05


def make(count: int, *, words: int = 5, seed: int = 0) -> tuple[Rows, np.ndarray]:
    """Rows on one topic each, a word in four of another one; and which of them have another label than their topic."""
    draw = np.random.default_rng(seed)
    right = draw.integers(0, len(NAMES), count)
    texts = []
    for topic in right.tolist():
        of_words = np.where(draw.random(words) < 0.25, draw.integers(0, len(NAMES), words), topic)
        own = [draw.choice(TOPICS[NAMES[i]]) for i in of_words.tolist()]
        both = [*own, *draw.choice(COMMON, 6).tolist()]
        draw.shuffle(both)
        texts.append(" ".join(both))
    flipped = draw.random(count) < FLIPPED
    given = np.where(flipped, (right + draw.integers(1, len(NAMES), count)) % len(NAMES), right)
    return Rows({"text": texts, "label": given.tolist()}, "tests", np.arange(1, count + 1), NAMES), flipped


@pytest.mark.parametrize("seed", [0, 1])
def test_flipped_labels_are_found(seed: int) -> None:
    """Five in a hundred labels are flipped: at least seven in ten of them are found, and at least eight in ten of what
    is found were flipped; of the ten first named, nine."""
    rows, flipped = make(1_000, seed=seed)
    found = find_label_errors(rows)
    assert found is not None and found.is_reliable and found.looked_at == len(rows)
    right = flipped[found.rows]
    precision, recall = right.mean(), right.sum() / flipped.sum()
    print(f"precision {precision:.2f}, recall {recall:.2f} of {flipped.sum()} flipped labels")
    assert recall >= 0.7 and precision >= 0.8
    assert right[:10].sum() >= 9
    texts = rows.columns["text"]
    for row, likely in zip(found.rows[:10].tolist(), found.likely.tolist(), strict=False):
        words = set(texts[row].split())
        of_topics = [len(words & set(TOPICS[name])) for name in NAMES]
        assert likely != rows.columns["label"][row] and of_topics[likely] >= of_topics[rows.columns["label"][row]]


def test_cleanlab_finds_the_same_rows() -> None:
    """With cleanlab installed (it is not a dependency), from the same probabilities."""
    filter = pytest.importorskip("cleanlab.filter")
    rows, _ = make(600, seed=2)
    labels = np.asarray(rows.columns["label"])
    chances = cross_validated(list(rows.columns["text"]), labels)
    theirs = filter.find_label_issues(
        labels, chances, filter_by="confident_learning", return_indices_ranked_by="self_confidence", n_jobs=1
    )
    ours, _ = confident_errors(chances, labels)
    assert len(ours) > 10 and ours.tolist() == theirs.tolist()


def test_confident_errors_by_hand() -> None:
    """Two labels with mean probabilities 0.7 and 0.8 in their own rows."""
    chances = np.array([[0.9, 0.1], [0.9, 0.1], [0.3, 0.7], [0.1, 0.9], [0.3, 0.7], [0.05, 0.95]])
    given = np.array([0, 0, 0, 1, 1, 0])  # the third is not confident enough for label 1, the last one is
    found, likely = confident_errors(chances, given)
    assert (found.tolist(), likely.tolist()) == ([5], [1])


def test_words_that_say_nothing_of_the_label_find_nothing() -> None:
    rows, _ = make(300)
    draw = np.random.default_rng(3)
    chance = Rows({**rows.columns, "label": draw.integers(0, 4, 300).tolist()}, "tests", rows.numbers, NAMES)
    found = find_label_errors(chance)
    assert found is not None and not found.is_reliable and not len(found.rows)


def test_many_rows_are_drawn_and_rare_labels_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_errors, "MOST_ROWS", 300)
    rows, flipped = make(900)
    labels = [*rows.columns["label"][:-2], 4, 4]
    found = find_label_errors(Rows({**rows.columns, "label": labels}, "tests", rows.numbers, (*NAMES, "rare")))
    assert found is not None and 290 <= found.looked_at <= 300
    assert flipped[found.rows].mean() >= 0.5


@pytest.mark.parametrize(
    "columns",
    [{"text": ["a", "b"], "label": [0.5, 1.5]}, {"text": ["a", "b"], "label": [(0,), ()]}, {"text": ["a", "b"]}],
    ids=["scores", "several labels", "none"],
)
def test_rows_without_one_label_each_are_left_out(columns: dict[str, list[object]]) -> None:
    assert find_label_errors(Rows(columns, "tests", np.arange(2), ("x", "y"))) is None
