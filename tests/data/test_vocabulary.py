"""A new vocabulary: the fast tokenizer cuts as sentencepiece, its source, does."""

from pathlib import Path

import pytest
import sentencepiece
import transformers

from tests.conftest import REVIEWS
from tlnlp.data.vocabulary import SOURCE_FILE, train_vocabulary
from tlnlp.errors import InputError
from tlnlp.model import BUNDLED

TEXTS = [
    "A film to see twice.", "  two  spaces\tand a tab ", "\uff26\uff35\uff2c\uff2c width, ﬁne ligatures and ½",
    "naïve café — “quotes”…", "Ünïcode: Straße, İstanbul",
    "100,000 numbers & signs #hash @at", "русский, فارسی and 日本語", "", "x" * 60,
]  # fmt: skip


@pytest.mark.parametrize("lowercase", [True, False])
def test_the_fast_tokenizer_cuts_as_sentencepiece_does(tmp_path: Path, lowercase: bool) -> None:
    lines = (REVIEWS / "train.jsonl").read_text().splitlines()
    tokenizer = train_vocabulary(lines, tmp_path, pieces=400, lowercase=lowercase)
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
    with pytest.raises(InputError, match="8,000 word pieces") as refused:
        train_vocabulary(["a few words", "and no more"], tmp_path, pieces=8_000, lowercase=True)
    assert "more text" in refused.value.change
