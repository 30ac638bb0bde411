"""Extractive question answering: the span of a context that answers a question, or none (Devlin et al. 2019, sections
4.2 and 4.3; figure 4 c)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from tlnlp.display.formatting import percent
from tlnlp.errors import InputError
from tlnlp.heads.confidences import Confidences
from tlnlp.heads.encoded import TOKENIZED_ROWS, EncodedDataset, Ragged, model_inputs, pad_features, require_fast
from tlnlp.heads.span_search import NOWHERE, SPANS, Spans, apply_threshold, find_spans, tune_threshold
from tlnlp.heads.truncation import Template, tokens_of
from tlnlp.heads.windows import cut_windows
from tlnlp.task import Prediction

if TYPE_CHECKING:
    from tlnlp.data.rows import Rows
    from tlnlp.settings import Settings
    from tlnlp.task import Task

__all__ = ["SPANS", "apply_threshold", "tune_threshold"]  # re-exported from `span_search`

auto_class = "AutoModelForQuestionAnswering"
roles = ("question", "context", "answers")
optional_roles = ("id",)
tokenizer_options: dict[str, Any] = {}
causal = False

# Number of best answers reported for each row, including the prediction.
TOLD = 5
# The best score of a row whose context has no span: finite, since JSON has no infinity.
NO_SPAN = -1e9
# Contexts tokenised at once: the offsets are Python objects, far larger than the arrays made from them.
TOKENIZED_CONTEXTS = 1_000


def config_changes(task: Task, labels: Sequence[str]) -> dict[str, Any]:
    """Returns two outputs per token, even if the checkpoint has a head with another number of labels."""
    return {"num_labels": 2}


@dataclass(frozen=True)
class Context:
    """A tokenised context.

    Args:
        ids: [tokens] token ids.
        starts, ends: [tokens] the characters of each token, without surrounding spaces. A token of spaces only has no
            characters: its end is not above its start.
    """

    ids: np.ndarray
    starts: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(cls, text: str, ids: Sequence[int], offsets: Sequence[tuple[int, int]]) -> Context:
        """Strips spaces: byte-level and sentencepiece tokens include the space before a word, answers do not."""
        starts, ends = np.asarray(offsets, dtype=np.int32).reshape(-1, 2).T
        solid = np.flatnonzero([not letter.isspace() for letter in text])
        starts = np.append(solid, len(text))[np.searchsorted(solid, starts)]
        ends = np.append(0, solid + 1)[np.searchsorted(solid, ends)]
        return cls(np.asarray(ids, np.int32), starts.astype(np.int32), ends.astype(np.int32))

    @cached_property
    def borders(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns for each token the character at which an answer starts if this is its first token, and ends if it is
        its last: [tokens] each, -1 if no answer may start or end there. If a character has several tokens (its bytes),
            an
        answer may start at the first and end at the last of them."""
        solid = np.flatnonzero(self.ends > self.starts)
        starts, ends = np.full_like(self.starts, -1), np.full_like(self.ends, -1)
        first = solid[np.diff(self.starts[solid], prepend=-1) != 0]
        last = solid[np.diff(self.ends[solid], append=-1) != 0]
        starts[first], ends[last] = self.starts[first], self.ends[last]
        return starts, ends

    def find(self, first: int, behind: int) -> tuple[int, int] | None:
        """Returns the first and last token with a character from `first` up to, but not including, `behind`; None if
        there is none."""
        tokens = np.flatnonzero((self.ends > first) & (self.starts < behind) & (self.ends > self.starts))
        return (int(tokens[0]), int(tokens[-1])) if len(tokens) else None


def encode(rows: Rows, task: Task, tokenizer: Any, settings: Settings) -> EncodedDataset:
    """Encodes each row as one item; a row longer than `max_length` tokens is split into windows, each with the whole
    question. Targets are the first and last token of the first answer; if a window does not contain all of it, both are
    0, the first token (section 4.3)."""
    require_fast(tokenizer, settings.model)
    template = Template.of(tokenizer, 2)
    room = settings.max_length - template.size
    if room < 2:
        raise InputError(
            expected=f"--max-length of at least {template.size + 2}: special tokens, question and context",
            found=f"--max-length {settings.max_length}",
            change="raise --max-length",
        )
    margins = len(template.special[0]) + len(template.special[1])
    features: dict[str, list[np.ndarray]] = {}
    starts: list[np.ndarray] = []
    ends: list[np.ndarray] = []
    targets, row_of = [], []
    counted = dict.fromkeys(("questions", "rows", "answers", "long answers"), 0)
    for row, (question, context, answer) in enumerate(_tokenized(rows, tokenizer)):
        asked = np.asarray(question[: room // 2], dtype=np.int32)
        windows = cut_windows(len(context.ids), room - len(asked), settings.window_overlap)
        places = [_place_in(window, margins + len(asked), answer) for window in windows]
        for (first, last), place in zip(windows, places, strict=True):
            for name, sequence in template.join(asked, context.ids[first:last]).items():
                features.setdefault(name, []).append(sequence)
            around = margins + len(asked), len(template.special[2])
            for sequences, border in zip((starts, ends), context.borders, strict=True):
                sequences.append(np.pad(border[first:last], around, constant_values=-1))
            row_of.append(row)
            targets.append(place)
        counted["questions"] += len(question) > len(asked)
        counted["rows"] += len(windows) > 1
        if _has_answer(rows, row):
            counted["answers"] += not any(map(any, places))
            counted["long answers"] += answer is not None and answer[1] - answer[0] >= settings.max_answer
    return EncodedDataset(
        {name: Ragged.from_lists(sequences) for name, sequences in features.items()},
        rows=np.asarray(row_of),
        counts=np.ones(len(row_of)),
        targets=np.asarray(targets) if "answers" in rows.columns else None,
        alignment={"starts": Ragged.from_lists(starts), "ends": Ragged.from_lists(ends)},
        batch_constants={"max_answer": settings.max_answer},
        notes=_notes(counted, rows, room, settings),
    )


def _tokenized(rows: Rows, tokenizer: Any) -> Iterator[tuple[list[int], Context, tuple[int, int] | None]]:
    """Yields for each row the tokens of its question, its context, and the first and last token of its first answer. A
    context that several questions share is tokenised once."""
    texts, contexts = list(dict.fromkeys(rows.columns["context"])), dict[str, Context]()
    for first in range(0, len(texts), TOKENIZED_CONTEXTS):
        some = texts[first : first + TOKENIZED_CONTEXTS]
        found = tokenizer(
            some, add_special_tokens=False, return_attention_mask=False, return_offsets_mapping=True, verbose=False
        )
        read = zip(some, found["input_ids"], found["offset_mapping"], strict=True)
        contexts.update({text: Context.of(text, ids, offsets) for text, ids, offsets in read})
    for first in range(0, len(rows), TOKENIZED_ROWS):
        questions = tokens_of(tokenizer, rows.columns["question"][first : first + TOKENIZED_ROWS])
        for row, question in enumerate(questions, start=first):
            context, answer = contexts[rows.columns["context"][row]], None
            if _has_answer(rows, row):
                answers = rows.columns["answers"][row]
                begins = answers["answer_start"][0]
                if begins >= 0:  # else the context lacks it, which is allowed in evaluation rows only
                    answer = context.find(begins, begins + len(answers["text"][0]))
            yield question, context, answer


def _has_answer(rows: Rows, row: int) -> bool:
    return "answers" in rows.columns and bool(rows.columns["answers"][row]["text"])


def _place_in(window: tuple[int, int], before: int, answer: tuple[int, int] | None) -> tuple[int, int]:
    """Returns the first and last token of the answer in a sequence with `before` tokens before the window; (0, 0) if
    the window does not contain all of it."""
    if answer is None or answer[0] < window[0] or answer[1] >= window[1]:
        return 0, 0
    return before + answer[0] - window[0], before + answer[1] - window[0]


def _notes(counted: dict[str, int], rows: Rows, room: int, settings: Settings) -> list[str]:
    length = settings.max_length
    texts = {
        "questions": f"questions of more than {room // 2} tokens truncated, to leave room for a context",
        "rows": f"rows ({percent(counted['rows'] / len(rows))}) of more than {length} tokens split into windows",
        "answers": "answers fit in no window, so that their rows are trained as unanswerable",
        "long answers": f"answers of more than --max-answer {settings.max_answer} tokens, which are never predicted",
    }
    return [f"{rows.origin}: {counted[what]:,} {text}" for what, text in texts.items() if counted[what]]


def collate(encoded: EncodedDataset, items: np.ndarray, tokenizer: Any, draw: np.random.Generator) -> dict[str, Any]:
    """Returns model inputs [items, longest]; `starts` and `ends` [items, longest], where an answer may start and end;
    `max_answer`; and, if the rows have answers, `labels` [items, 2]."""
    batch: dict[str, Any] = pad_features(encoded, items, tokenizer)
    for name, borders in encoded.alignment.items():
        batch[name] = torch.from_numpy(borders.padded(items, -1) >= 0)
    batch["max_answer"] = torch.tensor(encoded.batch_constants["max_answer"])
    if isinstance(encoded.targets, np.ndarray):
        batch["labels"] = torch.from_numpy(encoded.targets[items])
    return batch


def _starts_and_ends(model: torch.nn.Module, batch: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the start and end logits of each token: [items, longest] each, minus infinity at padding."""
    found, hidden = model(**model_inputs(batch)), batch["attention_mask"] == 0
    return (
        found.start_logits.float().masked_fill(hidden, -torch.inf),
        found.end_logits.float().masked_fill(hidden, -torch.inf),
    )


def loss(model: torch.nn.Module, batch: dict[str, Any], task: Task) -> torch.Tensor:
    """Returns the mean of the start and end cross entropies over all tokens, including the question's, summed over
    items."""
    starts, ends = _starts_and_ends(model, batch)
    first, last = batch["labels"].unbind(1)
    return (cross_entropy(starts, first, reduction="sum") + cross_entropy(ends, last, reduction="sum")) / 2


def logits(model: torch.nn.Module, batch: dict[str, Any]) -> torch.Tensor:
    """Returns the start and end logits of all tokens: [tokens, 2]."""
    found = model(**model_inputs(batch))
    return torch.stack([found.start_logits, found.end_logits], dim=-1)[batch["attention_mask"].bool()]


def forward(model: torch.nn.Module, batch: dict[str, Any]) -> torch.Tensor:
    """Returns the best spans of each item and, in the last row, the score of "no answer": [items, SPANS + 1, 3], see
    `find_spans`. The size does not depend on the length of an item."""
    starts, ends = _starts_and_ends(model, batch)
    begins, finishes = starts.masked_fill(~batch["starts"], -torch.inf), ends.masked_fill(~batch["ends"], -torch.inf)
    spans = find_spans(begins, finishes, int(batch["max_answer"]))
    nulls = torch.zeros_like(spans[:, :1])
    nulls[:, 0, 2] = starts[:, 0] + ends[:, 0]
    return torch.cat([spans, nulls], dim=1)


def decode(outputs: list[np.ndarray], encoded: EncodedDataset, rows: Rows, task: Task) -> list[Prediction]:
    """Returns for each row the text of its best span in the context. It is "" if the task has unanswerable questions
    and "no answer" scores higher than the best span; the score of "no answer" is the lowest over all windows
    (run_squad.py).

    The score is the probability among the best spans (and "no answer"); `start`, the first character, -1 for no
    answer; `null_odds`, the score of "no answer" minus that of the best span; `n_best`, the best answers, including "no
    answer" if the task has it; and the row's `id`, if it has one.
    """
    found = np.stack(outputs).astype(np.float64)
    spans = Spans.merge(found[:, :-1], encoded, len(rows))
    nulls, best = np.full(len(rows), np.inf), np.full(len(rows), NO_SPAN)
    np.minimum.at(nulls, encoded.rows, found[:, -1, 2])
    np.maximum.at(best, spans.rows, spans.scores)
    highest = np.maximum(best, nulls) if task.unanswerable else best
    weights = np.exp(spans.scores - highest[spans.rows])
    null_weights = np.exp(nulls - highest) if task.unanswerable else np.zeros(len(rows))
    totals = np.bincount(spans.rows, weights, len(rows)) + null_weights
    confidences = (weights / totals[spans.rows]).tolist()
    starts, ends, bounds = spans.starts.tolist(), spans.ends.tolist(), spans.bounds.tolist()
    predictions = []
    for row, context in enumerate(rows.columns["context"]):
        first, last = bounds[row], min(bounds[row + 1], bounds[row] + TOLD - task.unanswerable)
        n_best = [
            {"text": context[starts[i] : ends[i]], "start": starts[i], "score": confidences[i]}
            for i in range(first, last)
        ]
        if task.unanswerable:
            n_best.append({"text": "", "start": NOWHERE, "score": float(null_weights[row] / totals[row])})
            n_best.sort(key=lambda told: -told["score"])
        more = {"null_odds": float(nulls[row] - best[row]), "n_best": n_best}
        more |= {"id": rows.columns["id"][row]} if "id" in rows.columns else {}
        predictions.append(Prediction("", 0.0, more=more))
    return apply_threshold(predictions, 0.0)


def confidences(predictions: list[Prediction], rows: Rows, task: Task) -> Confidences:
    """Returns the probability of each prediction among the best spans (and "no answer"). A prediction is correct if it
    is one of the accepted answers."""
    acceptable = [each["text"] or [""] for each in rows.columns["answers"]]
    correct = [each.prediction in texts for each, texts in zip(predictions, acceptable, strict=True)]
    return Confidences(np.array([each.score for each in predictions]), np.array(correct))


def metric_inputs(predictions: list[Prediction], rows: Rows, task: Task) -> dict[str, list[Any]]:
    """Returns predicted texts, and the accepted answers of each row: [] if there is no answer."""
    return {
        "predictions": [each.prediction for each in predictions],
        "references": [each["text"] for each in rows.columns["answers"]],
    }


def majority_baseline(train: Rows, rows: Rows, task: Task) -> list[Prediction] | None:
    """Predicts "no answer" for every question, if the task has unanswerable questions."""
    if not task.unanswerable:
        return None
    without = sum(not _has_answer(train, row) for row in range(len(train))) / len(train)
    return [Prediction("", without)] * len(rows)
