"""The labels of a checkpoint with a trained head, and those of the rows: the same names, however they are written."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tlnlp.display.formatting import name_some
from tlnlp.errors import InputError

# The names that transformers gives to labels without a name.
_NAMELESS = "LABEL_{}"
# Positions of a word in a chunk, as the tagging schemes IOB and IOBES name them.
_CHUNK_POSITIONS = {"b", "i", "e", "s", "o"}


def match_labels(own: Sequence[str], labels: Sequence[str], model: str) -> tuple[tuple[str, ...], list[str]]:
    """Returns the labels in the checkpoint's order, written as in the rows, and notes on what was changed.

    The names are matched exactly, otherwise without case and separators (NEGATIVE, not-entailment, PER-B for B-PER), if
    that makes no two of them the same. Names without a meaning (LABEL_0) are taken in the order of `labels`. Labels
    that only the checkpoint knows are kept.

    Args:
        own: the checkpoint's label names, in the order of its outputs.
        labels: those of the rows.
        model: the value of `--model`.

    Raises:
        InputError: the checkpoint does not know all labels of the rows.
    """
    if list(own) == [_NAMELESS.format(i) for i in range(len(own))] and set(own) != set(labels):
        if len(own) == len(labels):
            pairs = name_some([f"{old} = {new}" for old, new in zip(own, labels, strict=True)])
            return tuple(labels), [f"{model} names its labels only by number: {pairs} is assumed (else --new-head)"]
        raise _other_labels(own, labels, model)
    written = _spellings(own, labels)
    extra = len(own) - len(labels)
    if not set(written) >= set(labels):
        raise _other_labels(own, labels, model)
    changed = [f"{old} = {new}" for old, new in zip(own, written, strict=True) if old != new]
    notes = [f"labels that {model} writes in another way: {name_some(changed)}"] if changed else []
    if extra:
        more = [name for name in written if name not in labels]
        notes.append(f"{model} knows {extra} more than the rows have, and keeps them: {name_some(more)}")
    return tuple(written), notes


def _spellings(own: Sequence[str], labels: Sequence[str]) -> list[str]:
    """Returns `own`, each name replaced by the one of `labels` that differs only in how it is written."""
    theirs, ours = [_plain(name) for name in own], [_plain(name) for name in labels]
    if len(set(theirs)) < len(theirs) or len(set(ours)) < len(ours):
        return list(own)  # the way of writing tells labels apart
    by_plain = dict(zip(ours, labels, strict=True))
    return [by_plain.get(plain, name) for plain, name in zip(theirs, own, strict=True)]


def _plain(name: str) -> str:
    """Returns a label without case and separators, with the position in a chunk in front: "PER_B" is "b per"."""
    words = re.split(r"[\s_-]+", name.strip().casefold())
    if len(words) > 1 and words[-1] in _CHUNK_POSITIONS and words[0] not in _CHUNK_POSITIONS:
        words = [words[-1], *words[:-1]]
    return " ".join(words)


def _other_labels(own: Sequence[str], labels: Sequence[str], model: str) -> InputError:
    return InputError(
        expected=f"a checkpoint without a head, or one with the labels {name_some(labels)}",
        found=f"{model}, whose head has the labels {', '.join(own[:8])}{' ...' if len(own) > 8 else ''}",
        change="id2label in its config.json if only the names differ, or use --new-head for a new head",
    )
