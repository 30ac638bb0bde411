"""The words in the place of [MASK], against transformers' pipeline and against trying every word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

from tlnlp.errors import InputError
from tlnlp.inference import masked_words as masked
from tlnlp.inference.masked_words import MaskFiller
from tlnlp.inference.word_pieces import sort_pieces


def sharpen(model: Any, factor: float = 4) -> Any:
    """Random weights say nearly the same of all pieces: larger ones have preferences."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(factor)
    return model


@pytest.fixture(params=["bert", "modernbert"])
def filler(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> MaskFiller:
    folder: Path = request.getfixturevalue(request.param)
    model = sharpen(transformers.AutoModelForMaskedLM.from_pretrained(folder))
    monkeypatch.setattr(masked, "LEAST_BEAMS", 400)  # more than pieces: the search leaves nothing out
    return MaskFiller(model, transformers.AutoTokenizer.from_pretrained(folder))


def confidences(filler: MaskFiller, ids: torch.Tensor, place: int) -> torch.Tensor:
    with torch.no_grad():
        return filler.model(input_ids=ids).logits[:, place].double().softmax(-1)


def masks_in(filler: MaskFiller, text: str) -> tuple[torch.Tensor, list[int]]:
    ids = filler.tokenizer(text, return_tensors="pt")["input_ids"]
    return ids, (ids[0] == filler.tokenizer.mask_token_id).nonzero()[:, 0].tolist()


def test_one_mask_is_answered_as_transformers_pipeline_answers_it(filler: MaskFiller) -> None:
    text = "the film was [MASK] and the end was good"
    ask = transformers.pipeline("fill-mask", model=filler.model, tokenizer=filler.tokenizer)
    begins = sort_pieces(filler.tokenizer, filler.model.config.vocab_size).begins
    pieces = len(filler.tokenizer)
    expected = [each for each in ask(text, top_k=pieces) if begins[each["token"]]][:10]
    found = filler.fill(text, top=10)
    assert [each.words[0] for each in found] == [each["token_str"].strip() for each in expected]
    assert [each.probability for each in found] == pytest.approx([each["score"] for each in expected], rel=1e-4)
    assert found[0].text == text.replace("[MASK]", found[0].words[0])


def test_two_masks_are_the_best_of_all_pairs_of_words(filler: MaskFiller) -> None:
    text = "the [MASK] was very [MASK] ."
    ids, (first, second) = masks_in(filler, text)
    begins = sort_pieces(filler.tokenizer, filler.model.config.vocab_size).begins.nonzero()[0].tolist()
    alone = confidences(filler, ids, first)[0, begins]
    sequences = ids.repeat(len(begins), 1)
    sequences[:, first] = torch.tensor(begins)
    together = alone[:, None] * confidences(filler, sequences, second)[:, begins]
    values, best = together.flatten().topk(5)
    decode = filler.tokenizer.decode
    pairs = [(decode(begins[i // len(begins)]).strip(), decode(begins[i % len(begins)]).strip()) for i in best.tolist()]
    found = filler.fill(text, top=5)
    assert [each.words for each in found] == pairs
    assert [each.probability for each in found] == pytest.approx(values.tolist(), rel=1e-4)


def test_words_of_two_pieces_are_the_best_of_all_of_them_beside_those_of_one(filler: MaskFiller) -> None:
    text = "a [MASK] film"
    kinds = sort_pieces(filler.tokenizer, filler.model.config.vocab_size)
    begins, continues = (kind.nonzero()[0].tolist() for kind in (kinds.begins, kinds.continues))
    ids, (place,) = masks_in(filler, text)
    one = confidences(filler, ids, place)[0]
    expected: dict[str, float] = {}
    for piece in begins:
        word = filler.tokenizer.decode(piece).strip()
        expected[word] = expected.get(word, 0) + float(one[piece]) / 2
    ids, (first, second) = masks_in(filler, text.replace("[MASK]", "[MASK][MASK]"))
    alone = confidences(filler, ids, first)[0]
    sequences = ids.repeat(len(begins), 1)
    sequences[:, first] = torch.tensor(begins)
    then = confidences(filler, sequences, second)
    for row, piece in enumerate(begins):
        for other in continues:
            word = filler.tokenizer.decode([piece, other]).strip()
            expected[word] = expected.get(word, 0) + float(alone[piece] * then[row, other]) / 2
    best = sorted(expected.items(), key=lambda each: -each[1])[:8]
    found = filler.fill(text, top=8, pieces=2)
    assert [each.words[0] for each in found] == [word for word, _ in best]
    assert [each.probability for each in found] == pytest.approx([value for _, value in best], rel=1e-3)


def test_words_that_are_given_have_the_probability_of_their_pieces(filler: MaskFiller) -> None:
    text = "a [MASK] film"
    found = filler.compare(text, ["good", "unwatchable", "bad"])
    assert {each.words[0] for each in found} == {"good", "unwatchable", "bad"}
    assert [each.probability for each in found] == sorted((each.probability for each in found), reverse=True)
    pieces = filler.tokenizer.encode("unwatchable", add_special_tokens=False)
    assert len(pieces) > 1
    ids, places = masks_in(filler, text.replace("[MASK]", "[MASK]" * len(pieces)))
    expected = 1.0
    for place, piece in zip(places, pieces, strict=True):
        expected *= float(confidences(filler, ids, place)[0, piece])
        ids[0, place] = piece
    (given,) = [each for each in found if each.words == ("unwatchable",)]
    assert given.probability == pytest.approx(expected, rel=1e-4)


def test_a_mask_behind_a_letter_is_the_rest_of_its_word(filler: MaskFiller) -> None:
    kinds = sort_pieces(filler.tokenizer, filler.model.config.vocab_size)
    rest = {filler.tokenizer.decode(piece) for piece in kinds.continues.nonzero()[0].tolist()}
    found = filler.fill("un[MASK] film", top=3)
    assert {each.words[0] for each in found} <= rest
    assert all(each.text.startswith(f"un{each.words[0]}") for each in found)


@pytest.mark.parametrize(
    ("text", "said"),
    [("no mask here", "a text with [MASK] in it"), ("", "nothing"), ("[MASK] " + "a " * 500, "at most 128 tokens")],
)
def test_what_cannot_be_filled_is_refused_in_words(filler: MaskFiller, text: str, said: str) -> None:
    with pytest.raises(InputError) as refusal:
        filler.fill(text)
    assert said in str(refusal.value)


def test_too_many_ways_and_two_masks_to_compare_in_are_refused(filler: MaskFiller) -> None:
    with pytest.raises(InputError, match="7 masks of up to 2 tokens: 128 combinations"):
        filler.fill("[MASK] " * 7, pieces=2)
    with pytest.raises(InputError, match=r"exactly one \[MASK\] to compare words"):
        filler.compare("[MASK] and [MASK]", ["a"])


def test_the_three_conventions_of_where_a_word_begins(vocabulary: Any, gpt2: Path) -> None:
    def kinds(tokenizer: Any, *names: str) -> list[str]:
        sorted_pieces = sort_pieces(tokenizer, len(tokenizer))
        ids = tokenizer.convert_tokens_to_ids(list(names))
        named = {"begins": sorted_pieces.begins, "continues": sorted_pieces.continues, "marks": sorted_pieces.marks}
        return [next((name for name, kind in named.items() if kind[piece]), "none") for piece in ids]

    assert kinds(vocabulary, "▁the", "s", ".", "[MASK]") == ["begins", "continues", "marks", "none"]
    byte_level = transformers.AutoTokenizer.from_pretrained(gpt2)
    assert kinds(byte_level, "Ġthe", "s", ".", "<|endoftext|>") == ["begins", "continues", "marks", "none"]
    word_pieces = Tokenizer(models.WordPiece({"[UNK]": 0, "film": 1, "##s": 2, ".": 3, "##.": 4}, unk_token="[UNK]"))
    word_pieces.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=word_pieces, unk_token="[UNK]")
    assert kinds(tokenizer, "film", "##s", ".", "[UNK]") == ["begins", "continues", "marks", "none"]
