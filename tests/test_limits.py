"""Input of absurd size is refused before it takes memory or hours, and the limits can be lifted."""

from __future__ import annotations

import gzip
import json
import lzma
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tlnlp
from tests.recipe_runs import Ended, begin, run_function
from tlnlp.data import bytes_to_text, texts
from tlnlp.data.bytes_to_text import FileFormat
from tlnlp.data.files import read_file
from tlnlp.data.limits import LONGEST_TEXT_CHARACTERS, MOST_LAYERS, VARIABLE
from tlnlp.errors import InputError
from tlnlp.inference.masked_words import MaskFiller

# --- compressed files


def write_zeros(path: Path, mebibytes: int) -> None:
    """A compressed file of one repeated letter: the same compressed mebibyte again and again."""
    content = b"a" * (1 << 20)
    path.write_bytes((gzip.compress(content) if path.suffix == ".gz" else lzma.compress(content)) * mebibytes)


@pytest.mark.parametrize("suffix", [".gz", ".xz"])
def test_a_small_file_that_becomes_a_large_one_is_refused_before_it_takes_the_memory(
    suffix: str, tmp_path: Path
) -> None:
    file = tmp_path / f"train.txt{suffix}"
    write_zeros(file, 500)
    assert file.stat().st_size < 1 << 20
    run_function(_read_in_little_memory, file, processes=1)


def _read_in_little_memory(file: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError) as refused:
        read_file(file)
    assert VARIABLE in refused.value.change
    assert f"{file.stat().st_size:,} compressed" in refused.value.expected
    taken = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert taken < 320, f"{taken:.0f} MiB"


def test_more_than_the_memory_is_refused_and_the_limit_can_be_lifted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "train.txt.gz"
    with gzip.open(file, "wb") as written:
        written.write(b"a line\n" * 1000)
    monkeypatch.setattr(bytes_to_text, "ALWAYS_DECOMPRESSED_BYTES", 100)
    monkeypatch.setattr(bytes_to_text, "DECOMPRESSED_SHARE_OF_MEMORY", 0)
    with pytest.raises(InputError, match="at most 100 bytes"):
        read_file(file)
    monkeypatch.setenv(VARIABLE, "off")
    assert len(read_file(file)) == 1000


# --- texts


def _read(rows: list[dict[str, Any]], folder: Path, role: str = "text") -> Any:
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = read_file(file, form=FileFormat())
    read: Callable[..., Any] = {"text": texts.read_texts, "prompt": texts.read_prompts, "words": texts.read_words}[role]
    return read(table, role, role)


@pytest.mark.parametrize("role", ["text", "prompt"])
def test_a_line_that_would_never_end_is_refused(role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{role: "a film"}, {role: "a" * (LONGEST_TEXT_CHARACTERS + 1)}]
    with pytest.raises(InputError) as refused:
        _read(rows, tmp_path, role)
    assert "rows.jsonl, row 2: 10,000,001 characters" in refused.value.found
    assert len(_read([{role: "a" * LONGEST_TEXT_CHARACTERS}], tmp_path, role)) == 1
    monkeypatch.setenv(VARIABLE, "off")
    assert len(_read(rows, tmp_path, role)) == 2


def test_so_is_a_sentence_of_too_many_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "MOST_WORDS_IN_ROW", 10)
    assert len(_read([{"words": ["a"] * 10}], tmp_path, "words")) == 1
    with pytest.raises(InputError, match="row 1: 11 words"):
        _read([{"words": ["a"] * 11}], tmp_path, "words")


# --- configurations


def forged(bert: Path, folder: Path, **sizes: int) -> Path:
    """The checkpoint with other sizes in its configuration."""
    shutil.copytree(bert, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | sizes))
    return folder


ABSURD: list[dict[str, int]] = [
    {"num_hidden_layers": 10**6},
    {"vocab_size": 10**12},
    {"hidden_size": 10**7},
    {"intermediate_size": 10**11},
    {"max_position_embeddings": 10**12},
]


@pytest.mark.parametrize("sizes", ABSURD, ids=str)
@pytest.mark.parametrize("strategy", ["full", "from_scratch"])
def test_an_absurd_configuration_is_refused_before_it_takes_memory_or_hours(
    sizes: dict[str, int], strategy: str, bert: Path, reviews: Path, tmp_path: Path
) -> None:
    model = forged(bert, tmp_path / "forged", **sizes)
    with pytest.raises(InputError) as refused:
        begin("sst2", tmp_path / "run", model=str(model), data=str(reviews), strategy=strategy)
    assert VARIABLE in refused.value.change
    assert str(model) in refused.value.found


@pytest.mark.parametrize("sizes", ABSURD, ids=str)
def test_so_it_is_where_words_are_predicted(sizes: dict[str, int], bert: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        MaskFiller.load(str(forged(bert, tmp_path / "forged", **sizes)))


def test_a_saved_model_with_absurdly_many_layers_is_not_loaded(
    short_run: Callable[[str], Ended], tmp_path: Path
) -> None:
    model = forged(short_run("sst2").folder / "model", tmp_path / "model", num_hidden_layers=10**6)
    with pytest.raises(InputError, match="num_hidden_layers"):
        tlnlp.load(model)


def test_the_limits_on_configurations_can_be_lifted(
    bert: Path, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tlnlp.models.config_limits.MOST_LAYERS", 1)
    with pytest.raises(InputError, match="at most 1 layers"):
        begin("sst2", tmp_path / "run", model=str(bert), data=str(reviews))
    monkeypatch.setenv(VARIABLE, "off")
    begin("sst2", tmp_path / "run", model=str(bert), data=str(reviews))
    assert MOST_LAYERS >= 1000, "the deepest networks"
