"""Windows: a row that is longer than the network reads is cut into overlapping sequences, all of one item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tlnlp.display.formatting import percent
from tlnlp.errors import InputError
from tlnlp.heads.encoded import Ragged
from tlnlp.heads.truncation import Template, tokens_of_rows

if TYPE_CHECKING:
    from tlnlp.settings import Settings


def cut_windows(length: int, room: int, overlap: int) -> list[tuple[int, int]]:
    """Returns (start, end) of each window of a text of `length` tokens; there is at least one window.

    Args:
        room: maximum number of tokens per window.
        overlap: number of tokens that consecutive windows share, at most half of `room`.
    """
    step = room - min(overlap, room // 2)
    windows = 1 + max(0, -(-(length - room) // step))
    return [(first, min(first + room, length)) for first in range(0, windows * step, step)]


def join_windows(
    columns: Mapping[str, Sequence[str]],
    tokenizer: Any,
    settings: Settings,
    origin: str,
    template: Template | None = None,
) -> tuple[dict[str, Ragged], np.ndarray, list[str]]:
    """Encodes each row of `columns`, one text or two, as one or several sequences of at most `max_length` tokens.

    In a pair, the longer text is cut into windows, each with the whole of the shorter one; only where the shorter one
    alone takes more than half of the room is it truncated to that half, at its end.

    Args:
        columns: {role: texts}.
        template: the tokenizer's own if unset.

    Returns:
        Model inputs; the first sequence of each row [rows + 1]; and notes: how many rows are in how many windows.

    Raises:
        InputError: `--max-length` has no room for a token of each text.
    """
    template = template or Template.of(tokenizer, len(columns))
    room = settings.max_length - template.size
    if room < len(columns):
        raise InputError(
            expected=f"--max-length of at least {template.size + len(columns)}: a token of each text, and special ones",
            found=f"--max-length {settings.max_length}",
            change="raise --max-length",
        )
    features: dict[str, list[np.ndarray]] = {}
    windows_of, cut_texts = [], dict.fromkeys(columns, 0)
    for texts in tokens_of_rows(columns, tokenizer):
        fitted = [np.asarray(text, dtype=np.int32) for text in texts]
        longer = int(np.argmax([len(text) for text in fitted]))
        kept = room // 2
        for place, role in enumerate(columns):
            if place != longer and len(fitted[place]) > kept and sum(map(len, fitted)) > room:
                fitted[place] = fitted[place][:kept]
                cut_texts[role] += 1
        text = fitted[longer]
        left = room - (sum(map(len, fitted)) - len(text))
        windows = cut_windows(len(text), left, settings.window_overlap)
        for first, last in windows:
            parts = [text[first:last] if place == longer else other for place, other in enumerate(fitted)]
            for name, sequence in template.join(*parts).items():
                features.setdefault(name, []).append(sequence)
        windows_of.append(len(windows))
    offsets = np.cumsum([0, *windows_of])
    inputs = {name: Ragged.from_lists(sequences) for name, sequences in features.items()}
    return inputs, offsets, _notes(np.asarray(windows_of), cut_texts, inputs, settings, origin)


def _notes(
    windows_of: np.ndarray, cut_texts: Mapping[str, int], inputs: Mapping[str, Ragged], settings: Settings, origin: str
) -> list[str]:
    long = windows_of > 1
    if not long.any():
        return []
    share, most = percent(float(long.mean())), int(windows_of.max())
    notes = [
        f"{origin}: {int(long.sum()):,} rows ({share}) of more than {settings.max_length} tokens split into "
        f"{int(windows_of[long].sum()):,} windows, at most {most:,} in a row; their logits are averaged"
    ]
    notes += [
        f"{origin}: {number:,} texts of {role}, the shorter of a pair, truncated to half of --max-length"
        for role, number in cut_texts.items()
        if number
    ]
    firsts = np.cumsum([0, *windows_of[:-1]])
    tokens = int((np.maximum.reduceat(inputs["input_ids"].lengths, firsts) * windows_of).max())
    if tokens > settings.max_tokens:
        notes.append(
            f"{origin}: a row is never divided: one has {tokens:,} tokens in its windows, a micro-batch above "
            f"--max-tokens {settings.max_tokens}"
        )
    return notes
