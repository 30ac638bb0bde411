"""Texts to token sequences: adding special tokens, and truncation to the maximum length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import transformers

from tlnlp.data.cache_folder import scratch_folder
from tlnlp.display.formatting import percent
from tlnlp.errors import InputError
from tlnlp.heads.encoded import TOKENIZED_ROWS, Ragged
from tlnlp.heads.growing_arrays import GrowingArray, GrowingRagged, forget_pages

if TYPE_CHECKING:
    from tlnlp.settings import Settings

# Texts of a batch that are tokenised in both ways.
TRIED_TEXTS = 8

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

    @property
    def features(self) -> dict[str, Any]:
        """Returns {model input: type of its numbers}; there are few token types."""
        return {"input_ids": np.int32} | ({} if self.special_types is None else {"token_type_ids": np.int8})

    def join_rows(self, texts: Sequence[np.ndarray], lengths: np.ndarray) -> dict[str, np.ndarray]:
        """Same as `join` for many rows: returns their model inputs, concatenated.

        Args:
            texts: for each text of a row the tokens of all rows, concatenated.
            lengths: [texts, rows] number of tokens.
        """
        sizes = np.array([len(part) for part in self.special])
        of_rows = sizes.sum() + lengths.sum(axis=0)
        features = {name: np.empty(int(of_rows.sum()), dtype=dtype) for name, dtype in self.features.items()}
        place = np.cumsum(of_rows) - of_rows  # [rows] where the next part of each row begins
        for gap, special in enumerate(self.special):
            for i, token in enumerate(special):
                features["input_ids"][place + i] = token
                if self.special_types is not None:
                    features["token_type_ids"][place + i] = self.special_types[gap][i]
            place = place + sizes[gap]
            if gap < len(texts):
                places = ranges(place, lengths[gap])
                features["input_ids"][places] = texts[gap]
                if self.text_types is not None:
                    features["token_type_ids"][places] = self.text_types[gap]
                place = place + lengths[gap]
        return features


def ranges(firsts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Returns the concatenated ranges firsts[i], ..., firsts[i] + lengths[i] - 1."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(firsts - before, lengths) + np.arange(int(lengths.sum()))


def tokens_of(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Returns the token ids of each text, without special tokens."""
    found = tokenizer(list(texts), add_special_tokens=False, return_attention_mask=False, verbose=False)
    return found["input_ids"]


def flat_tokens_of(tokenizer: Any, texts: Sequence[str]) -> Ragged:
    """Same as `tokens_of`, in one array: a fast tokenizer is asked without what transformers makes of its answers, a
    third of the time. That both answer the same is tried on the first texts."""
    texts = list(texts)
    expected = tokens_of(tokenizer, texts[:TRIED_TEXTS])  # also turns off padding and truncation
    if _is_plain(tokenizer):
        encodings = tokenizer.backend_tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        lengths = np.fromiter(map(len, encodings), np.int64, len(encodings))
        ids = chain.from_iterable(encoding.ids for encoding in encodings)
        flat = np.fromiter(ids, np.int32, int(lengths.sum()))
        found = Ragged(flat, np.concatenate([[0], np.cumsum(lengths)]))
        if all(np.array_equal(found[i], tokens) for i, tokens in enumerate(expected)):
            return found
    return Ragged.from_lists(tokens_of(tokenizer, texts))


def _is_plain(tokenizer: Any) -> bool:
    """Returns whether the tokenizer hands texts to the `tokenizers` library as transformers' own class does."""
    own, kind = transformers.PreTrainedTokenizerFast, type(tokenizer)
    names = ("__call__", "_encode_plus", "_batch_encode_plus")
    return isinstance(tokenizer, own) and all(getattr(kind, name, None) is getattr(own, name, None) for name in names)


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
    features = {name: GrowingRagged(dtype, scratch_folder()) for name, dtype in template.features.items()}
    rows, cut_rows, cut_texts = 0, 0, np.zeros(len(columns), dtype=np.int64)
    for texts in _batches(columns, tokenizer):
        lengths = np.stack([text.lengths for text in texts])  # [texts, rows of the batch]
        kept = lengths.copy()
        for row in np.flatnonzero(lengths.sum(axis=0) > room).tolist():
            fitting = kept_tokens(lengths[:, row].tolist(), room, sides)
            if fitting is None:
                raise InputError(
                    expected=f"rows of at most --max-length {settings.max_length} tokens, if no text may be truncated",
                    found=f"{origin}, row {rows + row + 1}: {lengths[:, row].sum()} tokens, "
                    f"--truncate {_written(columns, sides)}",
                    change="allow a text to be truncated (--truncate ROLE=end), or increase --max-length",
                )
            kept[:, row] = fitting
        is_cut = kept < lengths
        cut_rows += int(is_cut.any(axis=0).sum())
        cut_texts += is_cut.sum(axis=1)
        rows += lengths.shape[1]
        firsts = [
            text.offsets[:-1] + (lengths[i] - kept[i] if sides[i] == "start" else 0) for i, text in enumerate(texts)
        ]
        fitted = [text.flat[ranges(first, number)] for text, first, number in zip(texts, firsts, kept, strict=True)]
        for name, flat in template.join_rows(fitted, kept).items():
            features[name].append(flat, template.size + kept.sum(axis=0))
    notes = []
    if cut_rows:
        where = ", ".join(f"{role} of {number:,}" for role, number in zip(columns, cut_texts, strict=True) if number)
        what = "" if len(columns) == 1 else f" ({where})"
        notes.append(
            f"{origin}: {cut_rows:,} rows ({percent(cut_rows / rows)}) truncated to {settings.max_length} tokens{what}"
        )
    return {name: sequences.finish() for name, sequences in features.items()}, notes


def _batches(columns: Mapping[str, Sequence[str]], tokenizer: Any) -> Iterator[list[Ragged]]:
    """Yields the tokens of the texts of `TOKENIZED_ROWS` rows at a time, for each column."""
    for first in range(0, len(next(iter(columns.values()))), TOKENIZED_ROWS):
        yield [flat_tokens_of(tokenizer, texts[first : first + TOKENIZED_ROWS]) for texts in columns.values()]


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
    room = max_length - len(start) - len(end)
    stream = GrowingArray(np.int32, scratch_folder())
    for (tokens,) in _batches({"text": texts}, tokenizer):
        stream.append(tokens.flat if separator is None else np.insert(tokens.flat, tokens.offsets[1:], separator))
    whole, joined = stream.finish(), GrowingRagged(np.int32, scratch_folder())
    for first in range(0, len(whole), room * TOKENIZED_ROWS):
        some = whole[first : first + room * TOKENIZED_ROWS]
        full = some[: len(some) // room * room].reshape(-1, room)
        margins = [np.broadcast_to(part, (len(full), len(part))) for part in (start, end)]
        joined.append(np.concatenate([margins[0], full, margins[1]], axis=1).ravel(), np.full(len(full), max_length))
        if len(rest := some[full.size :]):
            joined.append(np.concatenate([start, rest, end]), np.array([len(start) + len(rest) + len(end)]))
        forget_pages(whole)
    return joined.finish()


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
