"""Token classification: a label for each word (Devlin et al. 2019, section 5.3; figure 4 d)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tlnlp.heads.confidences import Confidences
from tlnlp.heads.encoded import (
    NOT_SCORED,
    TOKENIZED_ROWS,
    EncodedDataset,
    Ragged,
    model_inputs,
    pad_features,
    require_fast,
)
from tlnlp.heads.losses import balanced_weights, label_losses, loss_constants, loss_inputs
from tlnlp.heads.truncation import Template, tokens_of
from tlnlp.task import Prediction

if TYPE_CHECKING:
    from tlnlp.data.rows import Rows
    from tlnlp.settings import Settings
    from tlnlp.task import Task

auto_class = "AutoModelForTokenClassification"
roles = ("words", "tags")
optional_roles: tuple[str, ...] = ()
# Byte-level tokenizers merge the space before a word into its first token: here each word gets such a space.
tokenizer_options: dict[str, Any] = {"add_prefix_space": True}
causal = False

# In `alignment["words"]`: a token that is not scored, since it is not the first of its word.
NO_WORD = -1


def config_changes(task: Task, labels: Sequence[str]) -> dict[str, Any]:
    """Returns `id2label` and `label2id`, as transformers' models and pipelines read them."""
    return {"id2label": dict(enumerate(labels)), "label2id": {name: i for i, name in enumerate(labels)}}


def encode(rows: Rows, task: Task, tokenizer: Any, settings: Settings) -> EncodedDataset:
    """Encodes each row as one item; a row longer than `max_length` tokens is split into overlapping windows, and each
    word is tagged in the window where it has more context on both sides. Only the first token of a word is scored."""
    require_fast(tokenizer, settings.model)
    template = Template.of(tokenizer, 1)
    room = settings.max_length - template.size
    margins = len(template.special[0]), len(template.special[1])
    features: dict[str, list[np.ndarray]] = {}
    alignment, targets, row_of = [], [], []
    for row, (ids, word_of) in enumerate(_pieces(rows.columns["words"], tokenizer, room)):
        starts = np.flatnonzero(np.diff(word_of, prepend=-1))  # the first token of each word
        tags = np.asarray(rows.columns["tags"][row]) if "tags" in rows.columns else None
        for window, scored in cut_windows(np.diff([*starts, len(ids)]), room, settings.window_overlap):
            first, last = starts[window.start], np.append(starts, len(ids))[window.stop]
            words = np.full(last - first, NO_WORD)
            words[starts[scored] - first] = np.arange(scored.start, scored.stop)
            words = np.pad(words, margins, constant_values=NO_WORD)
            for name, sequence in template.join(ids[first:last]).items():
                features.setdefault(name, []).append(sequence)
            alignment.append(words)
            row_of.append(row)
            if tags is not None:
                targets.append(np.where(words == NO_WORD, NOT_SCORED, tags[words]))
    notes = []
    if len(row_of) > len(rows):
        windowed = sum(count > 1 for count in Counter(row_of).values())
        notes.append(f"{rows.origin}: {windowed:,} rows of more than {settings.max_length} tokens split into windows")
    places = Ragged.from_lists(alignment)
    weights = tag_weights(rows, settings)
    return EncodedDataset(
        {name: Ragged.from_lists(sequences) for name, sequences in features.items()},
        rows=np.asarray(row_of),
        counts=np.asarray([(words != NO_WORD).sum() for words in alignment], dtype=np.float64)
        if weights is None
        else np.asarray([weights[tags[tags != NOT_SCORED]].sum() for tags in targets]),
        targets=Ragged.from_lists(targets) if targets else None,
        alignment={"words": places},
        batch_constants=loss_constants(settings),
        label_weights=weights,
        notes=notes,
    )


def tag_weights(rows: Rows, settings: Settings) -> np.ndarray | None:
    """Returns the weight of each tag in the loss [tags]; None without `--class-weights`."""
    if settings.class_weights == "none" or "tags" not in rows.columns:
        return None
    flat = np.concatenate([np.asarray(tags, dtype=np.int64) for tags in rows.columns["tags"]])
    return balanced_weights(flat, len(rows.labels or ()))


def _pieces(rows: Sequence[list[str]], tokenizer: Any, room: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields for each row its token ids and the word of each token, in ascending order; every word has at least one
    token.

    A word for which the tokenizer returns no tokens becomes one unknown token; one of more than `room` tokens is
    truncated.
    """
    # Some byte-level tokenizers ignore `add_prefix_space`.
    first_piece, *others = tokens_of(tokenizer, ["a a"])[0]
    blank = "" if first_piece in others else " "
    nothing = tokenizer.unk_token_id if tokenizer.unk_token_id is not None else tokenizer.eos_token_id
    for first in range(0, len(rows), TOKENIZED_ROWS):
        some = [[blank + word for word in words] for words in rows[first : first + TOKENIZED_ROWS]]
        found = tokenizer(
            some, is_split_into_words=True, add_special_tokens=False, return_attention_mask=False, verbose=False
        )
        for words, encoding in zip(some, found.encodings, strict=True):
            ids, word_of = np.asarray(encoding.ids, np.int32), np.asarray(encoding.word_ids, np.int64)
            counts = np.bincount(word_of, minlength=len(words))
            if counts.max(initial=0) > room:
                place_in_word = np.arange(len(ids)) - np.repeat(np.cumsum(counts) - counts, counts)
                ids, word_of = ids[place_in_word < room], word_of[place_in_word < room]
            if missing := np.flatnonzero(counts == 0).tolist():
                places = np.searchsorted(word_of, missing)
                ids, word_of = np.insert(ids, places, nothing or 0), np.insert(word_of, places, missing)
            yield ids, word_of


def cut_windows(pieces: np.ndarray, room: int, overlap: int) -> list[tuple[slice, slice]]:
    """Returns (the words in a window, those of them that are scored there) for each window of a row.

    Args:
        pieces: [words] number of tokens of each word, at most `room`.
        overlap: number of tokens that consecutive windows share, at most half of `room`; words are never split.
    """
    before = np.concatenate([[0], np.cumsum(pieces)])  # [words + 1] tokens before each word
    overlap = min(overlap, room // 2)
    windows, first = [], 0
    while True:
        last = int(np.searchsorted(before, before[first] + room, side="right")) - 1
        windows.append((first, last))
        if last == len(pieces):
            break
        # As far back as `overlap` allows, as long as the next word still fits.
        first = int(max(first + 1, *np.searchsorted(before, [before[last] - overlap, before[last + 1] - room])))
    borders = [0]
    for (_, last), (first, _) in pairwise(windows):
        middle = np.searchsorted(before, (before[first] + before[last]) / 2)
        borders.append(max(int(middle), borders[-1]))
    borders.append(len(pieces))
    return [
        (slice(*window), slice(*scored)) for window, *scored in zip(windows, borders[:-1], borders[1:], strict=True)
    ]


def collate(encoded: EncodedDataset, items: np.ndarray, tokenizer: Any, draw: np.random.Generator) -> dict[str, Any]:
    """Returns model inputs [items, longest] and, if the rows have tags, `labels` [items, longest]: NOT_SCORED except at
    the first token of each word; `focal_gamma` and `label_weights` [tags] if they are set."""
    batch: dict[str, Any] = pad_features(encoded, items, tokenizer) | loss_inputs(encoded)
    if isinstance(encoded.targets, Ragged):
        batch["labels"] = torch.from_numpy(encoded.targets.padded(items, NOT_SCORED))
    return batch


def loss(model: torch.nn.Module, batch: dict[str, Any], task: Task) -> torch.Tensor:
    """Returns the cross entropy, or focal loss, summed over words, each with the weight of its tag."""
    found, targets = model(**model_inputs(batch)).logits, batch["labels"]
    of_words = targets[targets != NOT_SCORED]
    losses = label_losses(found[targets != NOT_SCORED].float(), of_words, batch.get("focal_gamma"))
    return (losses * batch["label_weights"][of_words]).sum() if "label_weights" in batch else losses.sum()


def logits(model: torch.nn.Module, batch: dict[str, Any]) -> torch.Tensor:
    """Returns logits [tokens, tags]."""
    return model(**model_inputs(batch)).logits[batch["attention_mask"].bool()]


def forward(model: torch.nn.Module, batch: dict[str, Any]) -> torch.Tensor:
    """Returns the most probable tag of each token and its probability: [items, longest, 2]."""
    confidences, tags = model(**model_inputs(batch)).logits.float().softmax(-1).max(-1)
    return torch.stack([tags.to(confidences), confidences], dim=-1)


def forward_all(model: torch.nn.Module, batch: dict[str, Any]) -> torch.Tensor:
    """Same as `forward`, followed by the probabilities of all tags: [items, longest, 2 + tags]."""
    chances = model(**model_inputs(batch)).logits.float().softmax(-1)
    confidences, tags = chances.max(-1, keepdim=True)
    return torch.cat([tags.to(chances), confidences, chances], dim=-1)


def decode(outputs: list[np.ndarray], encoded: EncodedDataset, rows: Rows, task: Task) -> list[Prediction]:
    """Returns for each row the tags of its words, their probabilities, and the mean probability; from the outputs of
    `forward_all` also the probabilities of all tags."""
    names = np.asarray(rows.labels or ())
    tags = [np.full(len(words), NO_WORD) for words in rows.columns["words"]]
    confidences = [np.zeros(len(words)) for words in rows.columns["words"]]
    classes = outputs[0].shape[-1] - 2 if outputs else 0
    of_all = [np.zeros((len(words), classes), np.float32) if classes else None for words in rows.columns["words"]]
    for item, (output, row) in enumerate(zip(outputs, encoded.rows, strict=True)):
        words = encoded.alignment["words"][item]
        places = np.flatnonzero(words != NO_WORD)
        tags[row][words[places]] = output[places, 0].astype(np.int64)
        confidences[row][words[places]] = output[places, 1]
        if (of_row := of_all[row]) is not None:
            of_row[words[places]] = output[places, 2:]
    if any((each == NO_WORD).any() for each in tags):
        raise RuntimeError("a word without a tag: each word must have exactly one")
    return [
        Prediction(names[tag].tolist(), float(chance.mean()), chance.round(4).tolist(), distribution=distribution)
        for tag, chance, distribution in zip(tags, confidences, of_all, strict=True)
    ]


def confidences(predictions: list[Prediction], rows: Rows, task: Task) -> Confidences:
    """Returns the probability of each word's predicted tag."""
    names = rows.labels or ()
    correct = [
        predicted == names[tag]
        for each, tags in zip(predictions, rows.columns["tags"], strict=True)
        for predicted, tag in zip(each.prediction, tags, strict=True)
    ]
    return Confidences(np.array([chance for each in predictions for chance in each.scores]), np.array(correct))


def metric_inputs(predictions: list[Prediction], rows: Rows, task: Task) -> dict[str, list[Any]]:
    """Returns tag names, one list per row."""
    names = rows.labels or ()
    return {
        "predictions": [each.prediction for each in predictions],
        "references": [[names[tag] for tag in tags] for tags in rows.columns["tags"]],
    }


def majority_baseline(train: Rows, rows: Rows, task: Task) -> list[Prediction]:
    """Predicts the most frequent tag of `train` for every word."""
    counts = Counter(tag for tags in train.columns["tags"] for tag in tags)
    tag, count = counts.most_common(1)[0]
    name, share = (train.labels or ())[tag], count / counts.total()
    return [Prediction([name] * len(words), share) for words in rows.columns["words"]]
