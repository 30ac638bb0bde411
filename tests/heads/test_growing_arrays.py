"""Arrays that grow in memory or in a file, and tokens as transformers returns them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers

from tests.heads.conftest import TEXTS
from tlnlp.heads import growing_arrays
from tlnlp.heads.growing_arrays import GrowingArray, GrowingRagged, slices
from tlnlp.heads.truncation import flat_tokens_of, tokens_of

PARTS = [np.arange(first, first + 7) for first in range(0, 70, 7)]


@pytest.mark.parametrize("most", [0, 100, 10_000], ids=["in a file", "in both", "in memory"])
def test_an_array_is_the_same_in_memory_and_in_a_file(
    most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growing_arrays, "IN_MEMORY_BYTES", most)
    array = GrowingArray(np.int32, str(tmp_path))
    for part in PARTS:
        array.append(part)
    whole = array.finish()
    assert whole.dtype == np.int32 and whole.tolist() == list(range(70))
    assert np.concatenate(list(slices(whole))).tolist() == list(range(70))
    assert list(tmp_path.iterdir()) == []


def test_without_room_for_a_file_an_array_stays_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growing_arrays, "IN_MEMORY_BYTES", 30)
    array = GrowingArray(np.int32, str(tmp_path))
    array.append(PARTS[0])
    array.append(PARTS[1])
    file = array._file
    assert file is not None

    class Full:
        def __getattr__(self, name: str) -> Any:
            return getattr(file, name)

        def write(self, data: Any) -> int:
            raise OSError(28, "No space left on device")

    array._file = Full()  # type: ignore[assignment]
    for part in PARTS[2:]:
        array.append(part)
    assert array.finish().tolist() == list(range(70))


def test_sequences_keep_their_bounds() -> None:
    sequences = GrowingRagged()
    sequences.append(np.array([5, 6, 7]), np.array([1, 0, 2]))
    sequences.append(np.array([8]), np.array([1]))
    found = sequences.finish()
    assert [found[i].tolist() for i in range(len(found))] == [[5], [], [6, 7], [8]]


@pytest.mark.parametrize("network", ["bert_with_types", "roberta", "modernbert", "gpt2"])
def test_tokens_in_one_array_are_those_of_transformers(network: str, request: pytest.FixtureRequest) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(request.getfixturevalue(network))
    texts = [*TEXTS, "", "a " * 300, "[MASK] <mask> </s> [SEP]"] * 3
    padding = "max_length" if tokenizer.pad_token is not None else False
    tokenizer(texts[0], padding=padding, truncation=True, max_length=9)  # what it was asked before is forgotten
    found = flat_tokens_of(tokenizer, texts)
    assert [found[i].tolist() for i in range(len(found))] == tokens_of(tokenizer, texts)


def test_a_tokenizer_with_ways_of_its_own_is_asked_itself(bert: Path) -> None:
    plain = transformers.AutoTokenizer.from_pretrained(bert)

    class Reversed(type(plain)):  # type: ignore[misc]
        def _encode_plus(self, *arguments: Any, **options: Any) -> Any:
            found = super()._encode_plus(*arguments, **options)
            found["input_ids"] = [ids[::-1] for ids in found["input_ids"]]
            return found

    own = Reversed.from_pretrained(bert)
    found = flat_tokens_of(own, TEXTS)
    assert [found[i].tolist() for i in range(len(found))] == [ids[::-1] for ids in tokens_of(plain, TEXTS)]
