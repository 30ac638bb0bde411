"""The labels of a checkpoint and of the rows: what counts as the same name, and what does not."""

from __future__ import annotations

import pytest

from tlnlp.errors import InputError
from tlnlp.models.label_names import match_labels


@pytest.mark.parametrize(
    ("own", "labels", "expected"),
    [
        (("NEGATIVE", "POSITIVE"), ("negative", "positive"), ("negative", "positive")),
        (("not entailment", "entailment"), ("entailment", "not_entailment"), ("not_entailment", "entailment")),
        (("O", "PER-B", "PER-I"), ("O", "B-PER", "I-PER"), ("O", "B-PER", "I-PER")),
        (("O", "I_per", "B_per"), ("O", "B-PER", "I-PER"), ("O", "I-PER", "B-PER")),
        (("1 star", "2 stars"), ("2 stars", "1 star"), ("1 star", "2 stars")),
    ],
)
def test_names_that_differ_in_case_separators_or_order_of_a_tag_are_the_same(
    own: tuple[str, ...], labels: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    found, notes = match_labels(own, labels, "m")
    assert found == expected
    assert bool(notes) == (set(own) != set(labels)), "what is mapped is said, and nothing else"


@pytest.mark.parametrize(
    ("own", "labels"),
    [
        (("joy", "anger"), ("negative", "positive")),
        (("negative",), ("negative", "positive")),
        (("neg", "pos"), ("negative", "positive")),
        (("a", "A"), ("a", "b")),
        (("us", "US", "x"), ("Us", "x")),  # which of the two is it?
        (("LABEL_0", "LABEL_1", "LABEL_2"), ("negative", "positive")),
        (("LABEL_1", "LABEL_0"), ("negative", "positive")),
    ],
)
def test_other_names_are_refused_with_both(own: tuple[str, ...], labels: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as caught:
        match_labels(own, labels, "m")
    assert ", ".join(own) in caught.value.found
    assert ", ".join(labels) in caught.value.expected
    assert "--new-head" in caught.value.change


def test_names_without_a_meaning_are_taken_in_the_order_of_the_task_and_that_is_said() -> None:
    assert match_labels(("LABEL_0", "LABEL_1"), ("no", "yes"), "m") == (
        ("no", "yes"),
        ["m names its labels only by number: LABEL_0 = no, LABEL_1 = yes is assumed (else --new-head)"],
    )
    assert match_labels(("LABEL_0", "LABEL_1"), ("LABEL_1", "LABEL_0"), "m") == (("LABEL_0", "LABEL_1"), [])


def test_labels_that_only_case_tells_apart_stay_apart() -> None:
    assert match_labels(("US", "us"), ("us", "US"), "m") == (("US", "us"), [])


def test_further_labels_of_the_checkpoint_stay_and_are_said() -> None:
    found, notes = match_labels(("Neutral", "b", "A"), ("a", "b"), "m")
    assert found == ("Neutral", "b", "a")
    assert any("A = a" in note for note in notes) and any(
        "knows 1 more" in note and "Neutral" in note for note in notes
    )
