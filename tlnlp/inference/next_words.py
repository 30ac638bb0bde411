"""The words that a causal model says next: whole words, whatever pieces they are made of."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import count
from typing import Any

import torch
import transformers

from tlnlp.errors import InputError
from tlnlp.inference.word_pieces import sort_pieces
from tlnlp.models.checkpoint import find_checkpoint, read_config
from tlnlp.models.loading import load_tokenizer

# A word of more pieces than this is not looked for.
MOST_PIECES = 8


@dataclass(frozen=True)
class NextWord:
    """A word or a mark, how it is joined to the text, and its probability."""

    word: str
    joined: str
    probability: float


class NextWordPredictor:
    """A causal model and its tokenizer, in evaluation mode."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model, self.tokenizer = model.eval(), tokenizer
        pieces = sort_pieces(tokenizer, model.config.vocab_size)
        self._starts = torch.from_numpy(pieces.begins | pieces.marks)
        self._continues = torch.from_numpy(pieces.continues)
        self._marks = torch.from_numpy(pieces.marks)

    @classmethod
    def load(cls, name: str) -> NextWordPredictor:
        """A bundled name, a folder or a Hub id.

        Raises:
            InputError: it cannot be had, or does not say the next word.
        """
        place = find_checkpoint(name)
        config = read_config(place, name)
        known = transformers.AutoModelForCausalLM._model_mapping
        is_masked = type(config) in transformers.AutoModelForMaskedLM._model_mapping
        if type(config) not in known or is_masked:
            raise InputError(
                expected="a checkpoint that says the next word (GPT's kind)",
                found=f"{name}, of the kind {config.model_type}",
                change="another --model; `tlnlp fill-mask` is for BERT's kind",
            )
        model = transformers.AutoModelForCausalLM.from_pretrained(place, trust_remote_code=False)
        return cls(model, load_tokenizer(place, name))

    def follow(self, text: str, *, top: int = 5) -> list[NextWord]:
        """The `top` likeliest words after `text`, exactly: a word's probability is that of its pieces one after the
        other (chain rule), times that of something else than one more piece of it behind. The last word of `text` is
        taken to be whole.

        Prefixes of words are taken up from the likeliest on (best first). A prefix is at least as likely as all that
        begins with it, so that no likelier word can come after one that was taken up.

        Raises:
            InputError: nothing to follow, or a text that is too long.
        """
        ids = self._encode(text)
        first = self._probabilities(ids)
        first /= first[self._starts].sum()
        # What cannot begin a word or stand behind one (special pieces) is no answer.
        queue: list[tuple[float, int, tuple[int, ...], bool]] = []
        number = count()  # of two equally likely ones that found first

        def push(chance: float, pieces: tuple[int, ...], *, is_whole: bool) -> None:
            heapq.heappush(queue, (-chance, next(number), pieces, is_whole))

        for piece in self._starts.nonzero()[:, 0].tolist():
            push(float(first[piece]), (piece,), is_whole=bool(self._marks[piece]))  # a mark is never gone on with
        found: list[NextWord] = []
        while queue and len(found) < top:
            chance, _, pieces, is_whole = heapq.heappop(queue)
            if is_whole:
                found.append(NextWord(self._word(pieces), self._join(text, pieces), -chance))
                continue
            after = self._probabilities(torch.cat([ids, torch.tensor(pieces)]))
            push(-chance * (1 - float(after[self._continues].sum())), pieces, is_whole=True)
            if len(pieces) < MOST_PIECES:
                for piece in self._continues.nonzero()[:, 0].tolist():
                    push(-chance * float(after[piece]), (*pieces, piece), is_whole=False)
        return found

    def _encode(self, text: str) -> torch.Tensor:
        if not text.strip():
            raise InputError(expected="a text to go on with", found="nothing", change="a few words")
        ids = self.tokenizer(text.rstrip(), return_tensors="pt", verbose=False)["input_ids"][0]
        if self.tokenizer.sep_token_id is not None and ids[-1] == self.tokenizer.sep_token_id:
            ids = ids[:-1]  # the frame around a whole text is not closed: it goes on
        positions = self.model.config.max_position_embeddings
        return ids[-(positions - MOST_PIECES) :]  # of a longer text the end

    def _probabilities(self, ids: torch.Tensor) -> torch.Tensor:
        """Of each piece after `ids`: [pieces]."""
        with torch.no_grad():
            return self.model(input_ids=ids[None].to(self.model.device)).logits[0, -1].double().softmax(-1).cpu()

    def _word(self, pieces: tuple[int, ...]) -> str:
        return self.tokenizer.decode(list(pieces)).strip()

    def _join(self, text: str, pieces: tuple[int, ...]) -> str:
        blank = "" if bool(self._marks[pieces[0]]) else " "
        return text.rstrip() + blank + self._word(pieces)
