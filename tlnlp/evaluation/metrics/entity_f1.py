"""Entity F1: precision and recall over entities, which must match in type and both ends."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import datasets
import evaluate

DESCRIPTION = "F1, precision and recall of entities, which must match in type and both ends."

# Allowed prefixes of tags. BILOU's L and U are IOBES's E and S.
LETTERS = {"conlleval": "BIOESLU", "IOB1": "BIO", "IOB2": "BIO", "IOBES": "BIOES"}
SAME_LETTER = {"L": "E", "U": "S"}
OUTSIDE = ("O", "")
UNNAMED = "_"  # the type of a bare B or I, as in seqeval

# Row, type, first and last word.
Entity = tuple[int, str, int, int]


class EntityF1(evaluate.Metric):
    """`compute(predictions=[[tags]], references=[[tags]])`: `entity_f1`, `entity_precision`, `entity_recall`, 0 to 1,
    over all entities of all types (micro). 0.0 if there is nothing to divide by.

    Configurations (schemes of `find_entities`):
        default: as in conlleval, every tag except O belongs to an entity.
        "strict-IOB1", "strict-IOB2", "strict-IOBES": as in seqeval with mode="strict" and that scheme.

    Raises:
        ValueError: a row has more or fewer predicted tags than words; a tag that the scheme does not know.
    """

    configs = ("strict-IOB1", "strict-IOB2", "strict-IOBES")

    def _info(self) -> evaluate.MetricInfo:
        tags = datasets.Sequence(datasets.Value("string"))
        features = datasets.Features({"predictions": tags, "references": tags})
        return evaluate.MetricInfo(description=DESCRIPTION, citation="", inputs_description="", features=features)

    def _compute(self, predictions: Any, references: Any) -> dict[str, float]:
        scheme = "conlleval" if self.config_name == "default" else self.config_name.removeprefix("strict-")
        found, true = _entities_of_rows(predictions, references, scheme)
        return {f"entity_{name}": value for name, value in _score(found, true).items()}


def find_entities(tags: Sequence[str], scheme: str = "conlleval") -> list[tuple[str, int, int]]:
    """Returns the entities of one row, in order: (type, first word, last word), counted from 0, the last included.

    Args:
        tags: for each word "O", or a prefix and a type ("B-PER"). "conlleval" also allows plain types ("PER"): adjacent
            words of one type are then one entity.
        scheme: "conlleval" (every tag except O belongs to an entity: a tag that cannot continue one starts a new one),
            or "IOB1", "IOB2", "IOBES" (an entity that violates the scheme is ignored).

    "conlleval" equals the CoNLL-2000 script for tags with B, I, O and with I, E, O; for B together with E and S, which
    the script does not support, it equals seqeval's default mode. The others equal seqeval's strict mode (Nakayama
    2018), with the particular behaviour of its IOB1: if an entity starts with an unjustified B, its I's form an entity,
    and a single B between an entity of its type and a B of another type is ignored.

    Raises:
        ValueError: the scheme is unknown, or has no such prefix.
    """
    if scheme not in LETTERS:
        raise ValueError(f"expected one of the schemes {', '.join(LETTERS)}, found {scheme!r}")
    marks = [*(_read_tag(tag, scheme) for tag in tags), OUTSIDE]
    entities = []
    first = 0
    for last, (mark, following) in enumerate(pairwise(marks)):
        if not _are_apart(mark, following):
            continue
        begin = _find_begin(marks, first, last, scheme) if mark != OUTSIDE else None
        if begin is not None:
            entities.append((mark[1], begin, last))
        first = last + 1
    return entities


def entity_scores(
    predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]], scheme: str = "conlleval"
) -> dict[str, dict[str, float]]:
    """Returns {type: {f1, precision, recall, support}} over all rows, types in alphabetical order; `support` is the
    number of entities in the references. For `scheme` and errors see `find_entities` and `EntityF1`."""
    found, true = _entities_of_rows(predictions, references, scheme)
    scores = {}
    for kind in sorted({entity[1] for entity in found | true}):
        ours, theirs = ({entity for entity in side if entity[1] == kind} for side in (found, true))
        scores[kind] = {**_score(ours, theirs), "support": len(theirs)}
    return scores


def entity_counts(
    predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]], scheme: str = "conlleval"
) -> dict[str, tuple[int, int, int]]:
    """Returns {type: (correctly predicted, predicted, in the references)} over all rows, types in alphabetical
    order."""
    found, true = _entities_of_rows(predictions, references, scheme)
    right, ours, theirs = (Counter(entity[1] for entity in side) for side in (found & true, found, true))
    return {kind: (right[kind], ours[kind], theirs[kind]) for kind in sorted(ours | theirs)}


def _read_tag(tag: str, scheme: str) -> tuple[str, str]:
    """Splits a tag into (prefix, type); a type may contain hyphens."""
    letter, _, kind = tag.partition("-")
    if letter in LETTERS[scheme] and letter:
        return OUTSIDE if letter == "O" else (SAME_LETTER.get(letter, letter), kind or UNNAMED)
    if scheme == "conlleval":
        return "I", tag
    raise ValueError(f"expected tags that begin with one of {', '.join(LETTERS[scheme])} ({scheme}), found {tag!r}")


def _are_apart(mark: tuple[str, str], following: tuple[str, str]) -> bool:
    """Returns whether two adjacent words cannot belong to the same entity."""
    return mark[0] in "OES" or following[0] in "OBS" or mark[1] != following[1]


def _find_begin(marks: list[tuple[str, str]], first: int, last: int, scheme: str) -> int | None:
    """Returns the first word of the entity in the connected words `first` to `last`; None if there is no entity."""
    letter, kind = marks[first]
    if scheme == "IOB2" and letter != "B":
        return None
    if scheme == "IOBES" and letter + marks[last][0] not in ("BE", "SS"):
        return None
    if scheme == "IOB1" and letter == "B":
        # In IOB1, B is justified only right after an entity of the same type.
        if first == 0 or marks[first - 1][1] != kind:
            return first + 1 if first < last else None
        if first == last and marks[last + 1][0] == "B" and marks[last + 1][1] != kind:
            return None
    return first


def _entities_of_rows(
    predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]], scheme: str
) -> tuple[set[Entity], set[Entity]]:
    """Returns the entities of predictions and references: (row, type, first, last)."""
    for row, (told, true) in enumerate(zip(predictions, references, strict=True)):
        if len(told) != len(true):
            raise ValueError(f"row {row} has {len(told)} predicted tags for {len(true)} words")
    found, held = (
        {(row, *entity) for row, tags in enumerate(rows) for entity in find_entities(tags, scheme)}
        for rows in (predictions, references)
    )
    return found, held


def _score(found: set[Entity], true: set[Entity]) -> dict[str, float]:
    right = len(found & true)
    return {
        "f1": 2 * right / max(len(found) + len(true), 1),
        "precision": right / max(len(found), 1),
        "recall": right / max(len(true), 1),
    }
