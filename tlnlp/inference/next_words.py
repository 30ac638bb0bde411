"""Next-word prediction with a causal language model: whole words, whatever their number of tokens."""

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
from tlnlp.models.loading import load_language_model, load_tokenizer
from tlnlp.models.positions import count_positions

# Words of more tokens than this are not considered.
MOST_PIECES = 8


@dataclass(frozen=True)
class NextWord:
    """A word or a punctuation mark, how it is joined to the text, and its probability."""

    word: str
    joined: str
    probability: float


class NextWordPredictor:
    """A causal language model and its tokenizer, in evaluation mode."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model, self.tokenizer = model.eval(), tokenizer
        pieces = sort_pieces(tokenizer, model.config.vocab_size)
        self._starts = torch.from_numpy(pieces.begins | pieces.marks)
        self._continues = torch.from_numpy(pieces.continues)
        self._marks = torch.from_numpy(pieces.marks)
        self._ends = None if pieces.ends is None else torch.from_numpy(pieces.ends)

    @classmethod
    def load(cls, name: str) -> NextWordPredictor:
        """Loads a model by the name of a bundled model, a folder or a Hub id.

        Raises:
            InputError: the model cannot be loaded, or is not a causal language model.
        """
        place = find_checkpoint(name)
        config = read_config(place, name)
        auto = transformers.AutoModelForCausalLM
        is_masked = type(config) in transformers.AutoModelForMaskedLM._model_mapping
        if type(config) not in auto._model_mapping or is_masked or config.is_encoder_decoder:
            kind = ", an encoder and a decoder" if config.is_encoder_decoder else ""
            raise InputError(
                expected="a causal language model (GPT-2)",
                found=f"{name}, of type {config.model_type}{kind}",
                change=f"another --model{'; use `tlnlp fill-mask` for this one' * (is_masked and not kind)}",
            )
        tokenizer = load_tokenizer(place, name)
        model = load_language_model(auto, place, name, config)
        if not _is_causal(model, len(tokenizer)):
            raise InputError(
                expected="a causal language model (GPT-2), whose words depend only on those before them",
                found=f"{name}, of type {config.model_type}, whose words depend on later ones too",
                change="another --model",
            )
        return cls(model, tokenizer)

    def follow(self, text: str, *, top: int = 5) -> list[NextWord]:
        """Returns the `top` most probable words after `text`, exactly: the probability of a word is that of its tokens
        (chain rule) times the probability that no further token of the word follows. The last word of `text` is assumed
        to be complete.

        The search is best-first over prefixes of words. A prefix is at least as probable as every word that starts with
        it, so no more probable word can be found after a completed one.

        Raises:
            InputError: the text is empty or too long.
        """
        ids = self._encode(text)
        first = self._probabilities(ids)
        first /= first[self._starts].sum()
        # Tokens that can neither start a word nor follow one (special tokens) are excluded.
        queue: list[tuple[float, int, tuple[int, ...], bool]] = []
        number = count()  # breaks ties: the one found first

        def push(chance: float, pieces: tuple[int, ...], *, is_whole: bool) -> None:
            heapq.heappush(queue, (-chance, next(number), pieces, is_whole))

        for piece in self._starts.nonzero()[:, 0].tolist():
            push(float(first[piece]), (piece,), is_whole=self._is_last(piece))
        found: list[NextWord] = []
        while queue and len(found) < top:
            chance, _, pieces, is_whole = heapq.heappop(queue)
            if is_whole:
                found.append(NextWord(self._word(pieces), self._join(text, pieces), -chance))
                continue
            after = self._probabilities(torch.cat([ids, torch.tensor(pieces)]))
            if self._ends is None:
                push(-chance * (1 - float(after[self._continues].sum())), pieces, is_whole=True)
            if len(pieces) < MOST_PIECES:
                for piece in self._continues.nonzero()[:, 0].tolist():
                    push(-chance * float(after[piece]), (*pieces, piece), is_whole=self._is_last(piece))
        return found

    def _is_last(self, piece: int) -> bool:
        """Returns whether no token continues the word after `piece`: a punctuation mark, or a token that says so."""
        return bool(self._marks[piece]) if self._ends is None else bool(self._ends[piece])

    def _encode(self, text: str) -> torch.Tensor:
        if not text.strip():
            raise InputError(expected="a text to continue", found="nothing", change="a few words")
        ids = self.tokenizer(text.rstrip(), return_tensors="pt", verbose=False)["input_ids"][0]
        if self.tokenizer.sep_token_id is not None and ids[-1] == self.tokenizer.sep_token_id:
            ids = ids[:-1]  # no end token: the text continues
        positions = count_positions(self.model)
        return ids if positions is None else ids[-(positions - MOST_PIECES) :]  # the end of a longer text

    def _probabilities(self, ids: torch.Tensor) -> torch.Tensor:
        """Returns the probability of each token after `ids`: [vocabulary]."""
        with torch.no_grad():
            return self.model(input_ids=ids[None].to(self.model.device)).logits[0, -1].double().softmax(-1).cpu()

    def _word(self, pieces: tuple[int, ...]) -> str:
        return self.tokenizer.decode(list(pieces)).strip()

    def _join(self, text: str, pieces: tuple[int, ...]) -> str:
        blank = "" if bool(self._marks[pieces[0]]) else " "
        return text.rstrip() + blank + self._word(pieces)


def _is_causal(model: Any, tokens: int) -> bool:
    """Returns whether the outputs at a token are the same whatever follows it, as tried with a few tokens. Not every
    network with a next-word class is (XLNet)."""
    ids = torch.arange(12) * 7 % tokens
    other = ids.clone()
    other[-4:] = (other[-4:] + tokens // 2) % tokens
    with torch.no_grad():
        before, after = (model(input_ids=each[None].to(model.device)).logits[0, :-4].float() for each in (ids, other))
    return torch.allclose(before, after, rtol=1e-3, atol=1e-4)
