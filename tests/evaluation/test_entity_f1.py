"""Entity F1 against seqeval (strict and default mode) and against the rules of the conlleval script, on any tags."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import sequence_labeling as lenient
from seqeval.metrics import v1 as strict
from seqeval.scheme import BILOU, IOB1, IOB2, IOBES, Tokens

from tlnlp import metrics
from tlnlp.evaluation.metrics.entity_f1 import entity_scores, find_entities

STRICT = {"IOB1": IOB1, "IOB2": IOB2, "IOBES": IOBES}
# One type begins as another does, and one is written with a hyphen.
TYPES = ("X", "XY", "X-Y")
NAMES = ("f1", "precision", "recall")


def draw_tag(letters: str) -> Any:
    with_type = st.builds("{}-{}".format, st.sampled_from(sorted(set(letters) - {"O"})), st.sampled_from(TYPES))
    return with_type | st.just("O") | st.sampled_from(letters)


def draw_rows(letters: str) -> Any:
    """Rows of (predicted, true) for each word. Nothing keeps to any scheme's rules."""
    return st.lists(st.lists(st.tuples(draw_tag(letters), draw_tag(letters)), max_size=9), min_size=1, max_size=4)


def split(rows: list[list[tuple[str, str]]]) -> tuple[list[list[str]], list[list[str]]]:
    return [[told for told, _ in row] for row in rows], [[true for _, true in row] for row in rows]


def entity_f1(predictions: Any, references: Any, config: str | None = None) -> dict[str, float]:
    metric = metrics.entity_f1.EntityF1(config_name=config, keep_in_memory=True)
    return metric.compute(predictions=predictions, references=references)


def ask_seqeval(module: Any, predictions: Any, references: Any, **named: Any) -> tuple[dict, dict]:
    """What seqeval says of all types, and of each."""
    asked = dict(y_true=references, y_pred=predictions, zero_division=0, **named)
    report = module.classification_report(**asked, output_dict=True)
    types = {name: scores for name, scores in report.items() if not name.endswith(" avg")}
    precision, recall, f1, _ = module.precision_recall_fscore_support(**asked, average="micro")
    of_types = {
        kind: {**{name: of["f1-score" if name == "f1" else name] for name in NAMES}, "support": of["support"]}
        for kind, of in types.items()
    }
    return {"entity_f1": f1, "entity_precision": precision, "entity_recall": recall}, of_types


@pytest.mark.filterwarnings("ignore")  # seqeval's report divides by the number of types, also where there is none
@pytest.mark.parametrize("scheme", STRICT)
def test_a_strict_configuration_is_seqevals_strict_mode(scheme: str) -> None:
    @given(draw_rows("BIOES" if scheme == "IOBES" else "BIO"))
    def compare(rows: list[list[tuple[str, str]]]) -> None:
        predictions, references = split(rows)
        for tags in predictions + references:
            theirs = [(each.tag, each.start, each.end - 1) for each in Tokens(tags, STRICT[scheme]).entities]
            assert find_entities(tags, scheme) == theirs
        of_all, of_types = ask_seqeval(strict, predictions, references, scheme=STRICT[scheme])
        assert entity_f1(predictions, references, f"strict-{scheme}") == pytest.approx(of_all)
        found = entity_scores(predictions, references, scheme)
        assert list(found) == sorted(of_types)
        for kind, scores in found.items():
            assert scores == pytest.approx(of_types[kind])

    compare()


@pytest.mark.filterwarnings("ignore")  # seqeval wonders at bare letters
@given(draw_rows("BIOES"))
def test_the_default_configuration_is_seqevals_default_mode(rows: list[list[tuple[str, str]]]) -> None:
    predictions, references = split(rows)
    for tags in predictions + references:
        assert find_entities(tags) == lenient.get_entities(tags)
    of_all, of_types = ask_seqeval(lenient, predictions, references)
    assert entity_f1(predictions, references) == pytest.approx(of_all)
    found = entity_scores(predictions, references)
    assert list(found) == sorted(of_types)
    for kind, scores in found.items():
        assert scores == pytest.approx(of_types[kind])


# The rules of conlleval (Tjong Kim Sang, version of 2004-01-26): between which letters a chunk starts or ends; beside
# that, both happen wherever the type changes.
STARTS = {"BB", "IB", "OB", "OI", "EE", "EI", "OE"}
ENDS = {"BB", "BO", "IB", "IO", "EE", "EI", "EO"}


def read_chunk_tag(tag: str) -> tuple[str, str]:
    letter, hyphen, kind = tag.partition("-")
    return (letter, kind) if hyphen else (tag, "")


def starts(last: tuple[str, str], now: tuple[str, str]) -> bool:
    return last[0] + now[0] in STARTS or (now[0] != "O" and last[1] != now[1])


def ends(last: tuple[str, str], now: tuple[str, str]) -> bool:
    return last[0] + now[0] in ENDS or (last[0] != "O" and last[1] != now[1])


def count_chunks(rows: list[list[tuple[str, str]]]) -> tuple[Counter, Counter, Counter]:
    """As the script counts, word by word over both sides at once: right, found and true chunks of each type."""
    right: Counter = Counter()
    found: Counter = Counter()
    true: Counter = Counter()
    last_told = last_true = ("O", "")
    in_right = False
    for told_tag, true_tag in [pair for row in rows for pair in [*row, ("O", "O")]]:
        now_told, now_true = read_chunk_tag(told_tag), read_chunk_tag(true_tag)
        told_ends, true_ends = ends(last_told, now_told), ends(last_true, now_true)
        if in_right and told_ends and true_ends and last_told[1] == last_true[1]:
            in_right = False
            right[last_true[1]] += 1
        elif in_right and (told_ends != true_ends or now_told[1] != now_true[1]):
            in_right = False
        told_starts, true_starts = starts(last_told, now_told), starts(last_true, now_true)
        in_right = in_right or (told_starts and true_starts and now_told[1] == now_true[1])
        found[now_told[1]] += told_starts
        true[now_true[1]] += true_starts
        last_told, last_true = now_told, now_true
    return right, found, true


@pytest.mark.parametrize("letters", ["BIO", "IEO"])
def test_the_default_configuration_counts_as_conlleval_does(letters: str) -> None:
    @given(draw_rows(letters))
    def compare(rows: list[list[tuple[str, str]]]) -> None:
        right, found, true = count_chunks(rows)
        precision, recall = right.total() / (found.total() or 1), right.total() / (true.total() or 1)
        f1 = 2 * precision * recall / ((precision + recall) or 1)
        ours = entity_f1(*split(rows))
        assert ours == pytest.approx({"entity_f1": f1, "entity_precision": precision, "entity_recall": recall})
        by_type = entity_scores(*split(rows))
        assert {kind if kind != "_" else "": of["support"] for kind, of in by_type.items()} == {
            kind: true[kind] for kind in found.keys() | true.keys() if found[kind] or true[kind]
        }

    compare()


def write_tags(entities: list[tuple[str, int, int]], words: int, letters: str) -> list[str]:
    """Tags with `letters` for an entity's first, inner and last word, and for its only one."""
    tags = ["O"] * words
    for kind, first, last in entities:
        for word in range(first, last + 1):
            place = 3 if first == last else 0 if word == first else 2 if word == last else 1
            tags[word] = f"{letters[place]}-{kind}"
    return tags


@given(st.lists(st.tuples(st.sampled_from(TYPES), st.integers(1, 4), st.integers(0, 2)), max_size=6))
def test_entities_written_by_the_rules_are_found_again_by_all_that_know_the_rules(
    pieces: list[tuple[str, int, int]],
) -> None:
    entities, words = [], 0
    for kind, length, gap in pieces:
        entities.append((kind, words + gap, words + gap + length - 1))
        words += gap + length
    for scheme, letters in {"IOB2": "BIIB", "IOBES": "BIES"}.items():
        tags = write_tags(entities, words, letters)
        assert find_entities(tags, scheme) == find_entities(tags) == entities
    bilou = write_tags(entities, words, "BILU")
    assert find_entities(bilou) == entities == [(e.tag, e.start, e.end - 1) for e in Tokens(bilou, BILOU).entities]
    # IOB1: I throughout, but B where an entity follows one of its own type. Plain types cannot tell those apart.
    iob1 = write_tags(entities, words, "IIII")
    touching = [then for one, then in pairwise(entities) if one[0] == then[0] and one[2] + 1 == then[1]]
    plain = [tag.removeprefix("I-") for tag in iob1]
    for kind, first, _ in touching:
        iob1[first] = f"B-{kind}"
    assert find_entities(iob1, "IOB1") == find_entities(iob1) == entities
    if not touching:
        assert find_entities(plain) == entities


def test_what_the_configurations_make_of_tags_that_break_the_rules() -> None:
    tags = ["O", "I-X", "I-X", "B-Y", "I-X"]
    assert find_entities(tags) == [("X", 1, 2), ("Y", 3, 3), ("X", 4, 4)]
    assert find_entities(tags, "IOB2") == [("Y", 3, 3)]
    assert find_entities(["B-X", "I-X", "O", "B-X", "E-X", "S-Y", "E-Y"], "IOBES") == [("X", 3, 4), ("Y", 5, 5)]
    assert find_entities([]) == find_entities([], "IOB2") == []


def test_an_entity_is_right_only_with_its_type_both_ends_and_row() -> None:
    true = [["B-X", "I-X", "O"], ["O", "B-X", "I-X"]]
    for told in (
        [["B-Y", "I-Y", "O"], ["O"] * 3],
        [["B-X", "O", "O"], ["O"] * 3],
        [["O", "B-X", "O"], ["O"] * 3],
        [["O"] * 3, ["B-X", "I-X", "O"]],
    ):
        assert entity_f1(told, true) == {"entity_f1": 0.0, "entity_precision": 0.0, "entity_recall": 0.0}
    found = entity_f1([true[0], ["O"] * 3], true)
    assert found == pytest.approx({"entity_f1": 2 / 3, "entity_precision": 1.0, "entity_recall": 0.5})
    assert next(iter(found)) == "entity_f1"  # the headline


@pytest.mark.parametrize("rows", [[], [[]], [[], ["O"], []]])
def test_where_no_entity_is_found_or_true_everything_is_nothing(rows: list[list[str]]) -> None:
    assert set(entity_f1(rows, rows).values()) == {0.0}
    assert entity_scores(rows, rows) == {}


def test_rows_may_have_any_length_and_none() -> None:
    rows = [[], ["B-X"], ["O"] * 7, [], ["B-Y", "I-Y"]]
    assert set(entity_f1(rows, rows).values()) == {1.0}
    assert {kind: of["support"] for kind, of in entity_scores(rows, rows).items()} == {"X": 1, "Y": 1}


def test_what_cannot_be_read_is_an_error() -> None:
    with pytest.raises(ValueError, match="row 1 has 1 predicted tags for 2 words"):
        entity_f1([["O"], ["O"]], [["O"], ["O", "O"]])
    with pytest.raises(ValueError, match=r"expected one of the schemes conlleval, IOB1.* found 'IOB3'"):
        find_entities(["O"], "IOB3")
    with pytest.raises(ValueError, match="schemes"):
        entity_f1([["O"]], [["O"]], "multilabel")
    for scheme, tag in (("IOB2", "E-X"), ("IOB1", "S-X"), ("IOBES", "X"), ("IOB2", "")):
        with pytest.raises(ValueError, match=rf"\({scheme}\), found '{tag}'"):
            find_entities([tag], scheme)
