"""Fill-mask: whole words for [MASK], also for several masks and for words of several tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
import transformers

from tlnlp.errors import InputError
from tlnlp.inference.word_pieces import sort_pieces
from tlnlp.models.checkpoint import find_checkpoint, read_config
from tlnlp.models.loading import load_language_model, load_tokenizer
from tlnlp.models.positions import count_positions

MASK = "[MASK]"
LEAST_BEAMS = 32
# Each combination of numbers of tokens per masked word needs a search of its own.
MOST_WAYS = 64


@dataclass(frozen=True)
class FilledMask:
    """One way to fill all masks.

    Args:
        words: one word per mask.
        text: the text with the words filled in.
        probability: the probability of these words, see `MaskFiller.fill`.
    """

    words: tuple[str, ...]
    text: str
    probability: float


class MaskFiller:
    """A masked language model and its tokenizer, in evaluation mode."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model, self.tokenizer = model.eval(), tokenizer
        sorted_pieces = sort_pieces(tokenizer, model.config.vocab_size)
        self._begins = torch.from_numpy(sorted_pieces.begins)
        self._continues = torch.from_numpy(sorted_pieces.continues)
        self._begins_text = torch.from_numpy(sorted_pieces.begins_text)
        self._ends = None if sorted_pieces.ends is None else torch.from_numpy(sorted_pieces.ends)

    @classmethod
    def load(cls, name: str) -> MaskFiller:
        """Loads a model by the name of a bundled model, a folder or a Hub id.

        Raises:
            InputError: the model cannot be loaded, or has no masked-language-model head.
        """
        place = find_checkpoint(name)
        config = read_config(place, name)
        tokenizer = load_tokenizer(place, name)
        auto = transformers.AutoModelForMaskedLM
        is_encoder = type(config) in auto._model_mapping and not config.is_encoder_decoder
        if tokenizer.mask_token_id is None or not is_encoder:
            kind = ", an encoder and a decoder" if config.is_encoder_decoder else ""
            is_causal = type(config) in transformers.AutoModelForCausalLM._model_mapping and not kind
            raise InputError(
                expected="a masked language model (BERT, RoBERTa, ModernBERT)",
                found=f"{name}, of type {config.model_type}{kind}",
                change=f"another --model{'; use `tlnlp next-word` for causal models such as GPT-2' * is_causal}",
            )
        return cls(load_language_model(auto, place, name, config), tokenizer)

    def fill(self, text: str, *, top: int = 5, pieces: int = 1) -> list[FilledMask]:
        """Returns the `top` most probable ways to fill the masks of `text` with whole words.

        The tokens of a word, and the words of several masks, are chosen from left to right by beam search, each
        conditioned on those before it; probabilities are multiplied (chain rule). Each number of tokens per word, up to
        `pieces`, is assumed to be equally likely. For one mask and one token the probability is the model's softmax.

        Raises:
            InputError: the text has no mask, or is too long.
        """
        masks = len(self._parts(text)) - 1
        ways = list(product(range(1, pieces + 1), repeat=masks))
        if len(ways) > MOST_WAYS:
            raise InputError(
                expected=f"at most {MOST_WAYS} combinations of tokens per masked word",
                found=f"{masks} masks of up to {pieces} tokens: {len(ways):,} combinations",
                change="fewer --pieces, or fewer masks at a time",
            )
        found: dict[tuple[str, ...], float] = {}
        for way in ways:
            for words, probability in self._search(text, way, max(top, LEAST_BEAMS)):
                # One word may be tokenised in two ways: its probabilities are added.
                found[words] = found.get(words, 0.0) + probability / len(ways)
        best = sorted(found.items(), key=lambda each: -each[1])[:top]
        return [FilledMask(words, self._text_with(text, words), probability) for words, probability in best]

    def compare(self, text: str, words: Sequence[str]) -> list[FilledMask]:
        """Returns the probability of each of `words` at the mask of `text` (chain rule over its tokens), highest first.

        Raises:
            InputError: the text has no mask or several, or a word is empty.
        """
        parts = self._parts(text)
        if len(parts) != 2:
            raise InputError(
                expected="exactly one [MASK] to compare words",
                found=f"{len(parts) - 1}: {text[:80]}",
                change="the text",
            )
        found = []
        for word in words:
            spelled = self._spell(word, after=parts[0])
            ids, places = self._encode(text, (len(spelled),))
            log_probability = 0.0
            for place, piece in zip(places, spelled, strict=True):
                log_probability += float(self._log_probabilities(ids[None], place)[0, piece])
                ids[place] = piece
            filled = FilledMask((word,), self._text_with(text, (word,)), float(torch.tensor(log_probability).exp()))
            found.append(filled)
        return sorted(found, key=lambda each: -each.probability)

    def _parts(self, text: str) -> list[str]:
        """Splits the text at its masks, written as [MASK] or as the tokenizer's mask token."""
        own = self.tokenizer.mask_token
        parts = re.split("|".join(map(re.escape, dict.fromkeys((MASK, own)))), text)
        if len(parts) < 2:
            raise InputError(
                expected=f"a text with {MASK} in it",
                found=text[:80] or "nothing",
                change=f"put {MASK} in place of a word",
            )
        return parts

    def _encode(self, text: str, way: Sequence[int]) -> tuple[torch.Tensor, list[int]]:
        """Returns the token ids with `way` mask tokens for each mask, and the positions of these tokens."""
        parts, mask = self._parts(text), self.tokenizer.mask_token
        joined = parts[0] + "".join(mask * count + part for count, part in zip(way, parts[1:], strict=True))
        ids = self.tokenizer(joined, return_tensors="pt", verbose=False)["input_ids"][0]
        places = (ids == self.tokenizer.mask_token_id).nonzero()[:, 0].tolist()
        positions = count_positions(self.model)
        if positions is not None and len(ids) > positions:
            raise InputError(
                expected=f"a text of at most {positions:,} tokens",
                found=f"{len(ids):,} tokens",
                change="a shorter text around the mask",
            )
        if len(places) != sum(way):
            raise RuntimeError(f"{len(places)} masks in the tokens of a text with {sum(way)}")
        return ids, places

    def _log_probabilities(self, ids: torch.Tensor, place: int) -> torch.Tensor:
        """Returns log probabilities [sequences, vocabulary] at one position of `ids` [sequences, tokens]."""
        with torch.no_grad():
            logits = self.model(input_ids=ids.to(self.model.device)).logits[:, place]
        return logits.float().log_softmax(-1).cpu()

    def _search(self, text: str, way: Sequence[int], beams: int) -> Iterator[tuple[tuple[str, ...], float]]:
        """Yields the most probable fillings with words of `way` tokens each, and their probabilities."""
        ids, places = self._encode(text, way)
        parts = self._parts(text)
        firsts = [self._first_pieces(part) for part in parts[:-1]]
        kinds = [
            self._of_place(first if piece == 0 else self._continues, is_last=piece == count - 1)
            for first, count in zip(firsts, way, strict=True)
            for piece in range(count)
        ]
        sequences, scores = ids[None], torch.zeros(1)
        for place, kind in zip(places, kinds, strict=True):
            found = self._log_probabilities(sequences, place)
            found[:, ~kind] = -torch.inf
            together = (scores[:, None] + found).flatten()
            scores, chosen = together.topk(min(beams, int(kind.sum()) * len(sequences)))
            sequences = sequences[chosen // found.shape[1]].clone()
            sequences[:, place] = chosen % found.shape[1]
        ends = torch.tensor(way).cumsum(0).tolist()
        spans = [places[end - count : end] for end, count in zip(ends, way, strict=True)]
        for sequence, score in zip(sequences, scores, strict=True):
            words = tuple(self.tokenizer.decode(sequence[span]).strip() for span in spans)
            yield words, float(score.exp())

    def _of_place(self, kind: torch.Tensor, *, is_last: bool) -> torch.Tensor:
        """Returns those of `kind` that may be the last token of a word, or that may not [vocabulary]."""
        if self._ends is None:
            return kind
        return kind & (self._ends if is_last else ~self._ends)

    def _first_pieces(self, before: str) -> torch.Tensor:
        """Returns which tokens may start a word after `before` [vocabulary]: after a letter, those that continue a
        word."""
        if not before:
            return self._begins_text
        return self._continues if before[-1].isalnum() else self._begins

    def _spell(self, word: str, after: str) -> list[int]:
        """Returns the tokens of a word that follows `after`."""
        glued = after[-1:].isalnum()
        pieces = self.tokenizer.encode(word if glued else f" {word.strip()}", add_special_tokens=False, verbose=False)
        if not pieces:
            raise InputError(expected="words to compare", found=repr(word), change="the words after --words")
        return pieces

    def _text_with(self, text: str, words: Sequence[str]) -> str:
        parts = self._parts(text)
        return parts[0] + "".join(word + part for word, part in zip(words, parts[1:], strict=True))
