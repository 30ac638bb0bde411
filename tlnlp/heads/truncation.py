"""Texts to token sequences: adding special tokens, and truncation to the maximum length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tlnlp.display.formatting import percent
from tlnlp.errors import InputError
from tlnlp.heads.encoded import TOKENIZED_ROWS, Ragged

if TYPE_CHECKING:
    from tlnlp.settings import Settings

Sides = tuple[str, ...]  # where each text is truncated: at its "end", its "start", or "never"


@dataclass(frozen=True)
class Template:
    """The special tokens that a tokenizer adds around one text, or around and between two.

    Args:
        special: special tokens before each text and after the last: [texts + 1] arrays.
        special_types, text_types: token type ids of the special tokens, and of the texts; None: the tokenizer has none.
    """

    special: tuple[np.ndarray, ...]
    special_types: tuple[np.ndarray, ...] | None
    text_types: tuple[int, ...] | None

    @classmethod
    def of(cls, tokenizer: Any, texts: int) -> Template:
        """Finds the template by tokenising two short texts separately and then together."""
        bare = [tokens_of(tokenizer, [text])[0] for text in ("a", "b")[:texts]]
        joined = tokenizer(*("a", "b")[:texts])
        ids, types = np.asarray(joined["input_ids"]), joined.get("token_type_ids")
        bounds = [0]
        for part in bare:
            first = next(
                i for i in range(bounds[-1], len(ids)) if np.array_equal(ids[i : i + len(part)], part)
            )  # fmt: skip
            bounds += [first, first + len(part)]
        bounds.append(len(ids))
        gaps = list(zip(bounds[::2], bounds[1::2], strict=True))
        return cls(
            tuple(ids[first:last].astype(np.int32) for first, last in gaps),
            None if types is None else tuple(np.asarray(types[first:last], dtype=np.int32) for first, last in gaps),
            None if types is None else tuple(int(types[last]) for _, last in gaps[:-1]),
        )

    @property
    def size(self) -> int:
        """Total number of special tokens."""
        return sum(map(len, self.special))

    def join(self, *texts: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the model inputs for the tokens of `texts`: "input_ids" and, if the tokenizer has them, token
        types."""
        first, *gaps = self.special
        parts = [first, *(part for pair in zip(texts, gaps, strict=True) for part in pair)]
        features = {"input_ids": np.concatenate(parts).astype(np.int32)}
        if self.special_types is not None and self.text_types is not None:
            first, *gaps = self.special_types
            of_texts = [np.full(len(text), kind, np.int32) for text, kind in zip(texts, self.text_types, strict=True)]
            parts = [first, *(part for pair in zip(of_texts, gaps, strict=True) for part in pair)]
            features["token_type_ids"] = np.concatenate(parts)
        return features


def tokens_of(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Returns the token ids of each text, without special tokens."""
    found = tokenizer(list(texts), add_special_tokens=False, return_attention_mask=False, verbose=False)
    return found["input_ids"]


def join_texts(
    columns: Mapping[str, Sequence[str]],
    tokenizer: Any,
    settings: Settings,
    origin: str,
    template: Template | None = None,
) -> tuple[dict[str, Ragged], list[str]]:
    """Encodes each row of `columns`, one text or two, as one sequence of at most `max_length` tokens.

    Args:
        columns: {role: texts}; `--truncate` sets for each role where it is truncated.
        template: the tokenizer's own if unset.

    Returns:
        Model inputs, and notes: how many rows were truncated.

    Raises:
        InputError: a row is too long, and none of its texts may be truncated.
    """
    template = template or Template.of(tokenizer, len(columns))
    room = settings.max_length - template.size
    sides = tuple(settings.truncation_by_role().get(role, "end") for role in columns)
    features: dict[str, list[np.ndarray]] = {}
    cut_rows, cut_texts = 0, dict.fromkeys(columns, 0)
    for row, texts in enumerate(tokens_of_rows(columns, tokenizer)):
        kept = kept_tokens([len(text) for text in texts], room, sides)
        if kept is None:
            raise InputError(
                expected=f"rows of at most --max-length {settings.max_length} tokens, if no text may be truncated",
                found=f"{origin}, row {row + 1}: {sum(map(len, texts))} tokens, --truncate {_written(columns, sides)}",
                change="allow a text to be truncated (--truncate ROLE=end), or increase --max-length",
            )
        fitted = [
            np.asarray(text[:number] if side != "start" else text[len(text) - number :], dtype=np.int32)
            for text, number, side in zip(texts, kept, sides, strict=True)
        ]
        for role, text, number in zip(columns, texts, kept, strict=True):
            cut_texts[role] += number < len(text)
        cut_rows += any(number < len(text) for text, number in zip(texts, kept, strict=True))
        for name, sequence in template.join(*fitted).items():
            features.setdefault(name, []).append(sequence)
    notes = []
    if cut_rows:
        rows = len(features["input_ids"])
        where = ", ".join(f"{role} of {number:,}" for role, number in cut_texts.items() if number)
        what = "" if len(columns) == 1 else f" ({where})"
        notes.append(
            f"{origin}: {cut_rows:,} rows ({percent(cut_rows / rows)}) truncated to {settings.max_length} tokens{what}"
        )
    return {name: Ragged.from_lists(sequences) for name, sequences in features.items()}, notes


def tokens_of_rows(columns: Mapping[str, Sequence[str]], tokenizer: Any) -> Iterator[tuple[list[int], ...]]:
    """Yields the tokens of each row's texts."""
    rows = len(next(iter(columns.values())))
    for first in range(0, rows, TOKENIZED_ROWS):
        batches = [tokens_of(tokenizer, texts[first : first + TOKENIZED_ROWS]) for texts in columns.values()]
        yield from zip(*batches, strict=True)


def join_rows(texts: Sequence[str], tokenizer: Any, max_length: int, separator: int | None = None) -> Ragged:
    """Concatenates the texts and splits them into sequences of `max_length` tokens, special tokens included, which need
    hardly any padding (Liu et al. 2019, section 4.2, FULL-SENTENCES). Only the last sequence is shorter.

    Args:
        separator: a token inserted after each text.
    """
    start, end = Template.of(tokenizer, 1).special
    room, behind = max_length - len(start) - len(end), [] if separator is None else [separator]
    stream = np.concatenate(
        [np.asarray(ids + behind, dtype=np.int32) for row in tokens_of_rows({"text": texts}, tokenizer) for ids in row]
    )
    return Ragged.from_lists(
        np.concatenate([start, stream[first : first + room], end]) for first in range(0, len(stream), room)
    )


def kept_tokens(lengths: Sequence[int], room: int, sides: Sides) -> tuple[int, ...] | None:
    """Returns how many tokens of one text, or of two, remain so that they fit into `room`; None if that is impossible.

    If both may be truncated, the longer one is truncated first, as with transformers' "longest_first".
    """
    if sum(lengths) <= room:
        return tuple(lengths)
    yielding = [place for place, side in enumerate(sides) if side != "never"]
    if len(yielding) == 2:
        short = min(*lengths, room // 2)
        return (short, room - short) if lengths[0] <= lengths[1] else (room - short, short)
    fixed = sum(length for place, length in enumerate(lengths) if place not in yielding)
    if not yielding or fixed >= room:
        return None
    return tuple(room - fixed if place in yielding else length for place, length in enumerate(lengths))


def _written(columns: Mapping[str, Any], sides: Sides) -> str:
    return " ".join(f"{role}={side}" for role, side in zip(columns, sides, strict=True))
