"""Damaged weights of a saved model are noticed wherever they are read."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tlnlp
from tests.recipe_runs import Ended
from tlnlp.commands import predict
from tlnlp.errors import InputError
from tlnlp.models.checkpoint import base_of_adapter, find_checkpoint
from tlnlp.models.checksums import check_weights, checksums_of


@pytest.fixture
def model(short_run: Callable[[str], Ended], tmp_path: Path) -> Path:
    """The saved model of a run, to be damaged."""
    return Path(shutil.copytree(short_run("sst2").folder / "model", tmp_path / "model"))


def flip(file: Path, place: int, bit: int = 0) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= 1 << bit
    file.write_bytes(content)


def ways_to_load(model: Path) -> dict[str, Callable[[], Any]]:
    return {
        "tlnlp.load": lambda: tlnlp.load(model),
        "tlnlp predict": lambda: predict.main([str(model), "A film to see twice."]),
        "--model": lambda: find_checkpoint(str(model)),
    }


@pytest.mark.parametrize("way", ["tlnlp.load", "tlnlp predict", "--model"])
def test_a_flipped_bit_is_said_wherever_the_weights_are_read(way: str, model: Path) -> None:
    flip(model / "model.safetensors", -100)
    with pytest.raises(InputError) as refused:
        ways_to_load(model)[way]()
    assert "model.safetensors" in refused.value.expected
    assert "checksums" in refused.value.change


def test_each_flipped_bit_is_found(tmp_path: Path) -> None:
    (tmp_path / "classifier.safetensors").write_bytes(bytes(range(200)))
    (tmp_path / "tlnlp.json").write_text(json.dumps({"checksums": checksums_of(tmp_path)}))
    check_weights(tmp_path)
    for place in range(200):
        flip(tmp_path / "classifier.safetensors", place, place % 8)
        with pytest.raises(InputError):
            check_weights(tmp_path)
        flip(tmp_path / "classifier.safetensors", place, place % 8)
    check_weights(tmp_path)
    (tmp_path / "classifier.safetensors").unlink()
    with pytest.raises(InputError, match="no such file"):
        check_weights(tmp_path)


def test_checksums_are_those_of_everybody_s_tools(model: Path) -> None:
    record = json.loads((model / "tlnlp.json").read_text())
    content = (model / "model.safetensors").read_bytes()
    assert record["checksums"] == {"model.safetensors": f"{zlib.crc32(content):08x}"}


def test_weights_changed_on_purpose_load_without_the_checksums_as_do_those_of_earlier_versions(model: Path) -> None:
    expected = tlnlp.load(model).predict(["A film to see twice."])
    flip(model / "model.safetensors", -100)
    record = json.loads((model / "tlnlp.json").read_text())
    del record["checksums"]
    (model / "tlnlp.json").write_text(json.dumps(record))
    assert tlnlp.load(model).predict(["A film to see twice."])[0].prediction == expected[0].prediction
    assert find_checkpoint(str(model)) == str(model)


def test_a_damaged_adapter_is_not_merged(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"}))
    header = b"{}"
    (tmp_path / "adapter_model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    (tmp_path / "tlnlp.json").write_text(json.dumps({"checksums": {"adapter_model.safetensors": "00000000"}}))
    with pytest.raises(InputError, match="CRC-32 00000000"):
        base_of_adapter(tmp_path)


def test_a_damaged_task_file_is_said_in_words(model: Path) -> None:
    (model / "tlnlp.json").write_text('{"task": ')
    for way in ways_to_load(model).values():
        with pytest.raises(InputError, match=r"tlnlp\.json"):
            way()


@pytest.mark.long
def test_the_cost_is_measured() -> None:
    command = [sys.executable, "benchmarks/checksums.py", "--mib", "4"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "CRC-32" in said
    assert "SHA-256" in said
