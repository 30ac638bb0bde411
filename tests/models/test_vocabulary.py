"""A new vocabulary: the fast tokenizer cuts as sentencepiece, its source, does."""

from pathlib import Path

import pytest
import sentencepiece
import transformers

from tests.fixtures import REVIEWS
from tlnlp.errors import InputError
from tlnlp.models.checkpoint import BUNDLED
from tlnlp.models.vocabulary import SOURCE_FILE, train_vocabulary

TEXTS = [
    "A film to see twice.", "  two  spaces\tand a tab ", "\uff26\uff35\uff2c\uff2c width, ﬁne ligatures and ½",
    "naïve café — “quotes”…", "Ünïcode: Straße, İstanbul",
    "100,000 numbers & signs #hash @at", "русский, فارسی and 日本語", "", "x" * 60,
]  # fmt: skip


@pytest.mark.parametrize("lowercase", [True, False])
def test_the_fast_tokenizer_cuts_as_sentencepiece_does(tmp_path: Path, lowercase: bool) -> None:
    lines = (REVIEWS / "train.jsonl").read_text().splitlines()
    tokenizer = train_vocabulary(lines, tmp_path, vocab_size=400, lowercase=lowercase)
    source = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / SOURCE_FILE))
    for text in TEXTS + lines[:200]:
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == source.encode(text), text


def test_the_bundled_tokenizer_loads_as_it_is_and_cuts_as_its_source_does() -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(BUNDLED / "mini")
    source = sentencepiece.SentencePieceProcessor(model_file=str(BUNDLED / "mini" / SOURCE_FILE))
    for text in TEXTS:
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == source.encode(text), text
    assert tokenizer("a", "b")["input_ids"][0] == tokenizer.cls_token_id
    assert tokenizer.convert_ids_to_tokens(tokenizer("a", "b")["input_ids"]).count("[SEP]") == 2


def test_too_little_text_for_the_vocabulary_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="8,000 tokens") as refused:
        train_vocabulary(["a few words", "and no more"], tmp_path, vocab_size=8_000, lowercase=True)
    assert "more text" in refused.value.change


def test_characters_that_are_typed_in_two_ways_are_one(tmp_path: Path) -> None:
    """Persian is typed with the letters of Arabic, too: both are read alike, before and after saving."""
    texts = ["کتاب یک خانه است", "این کتاب خوب است", "خانه بزرگ یک باغ دارد"] * 20
    arabic = {"ي": "ی", "ك": "ک"}
    tokenizer = train_vocabulary(
        texts, tmp_path, vocab_size=60, lowercase=True, vocab_size_is_maximum=True, character_map=arabic
    )
    for reader in (tokenizer, transformers.AutoTokenizer.from_pretrained(tmp_path)):
        assert reader("كتاب يك خانه")["input_ids"] == reader("کتاب یک خانه")["input_ids"]
        assert reader.unk_token_id not in reader("كتاب يك")["input_ids"]


def test_rare_characters_are_known_where_coverage_says_so(tmp_path: Path) -> None:
    texts = [*(REVIEWS / "train.jsonl").read_text().splitlines(), "a film ‹of› old"]
    few, whole = (
        train_vocabulary(texts, tmp_path / str(coverage), vocab_size=400, lowercase=True, coverage=coverage)
        for coverage in (0.995, 1.0)
    )
    assert few.unk_token_id in few("‹old›")["input_ids"]
    assert whole.unk_token_id not in whole("‹old›")["input_ids"]
