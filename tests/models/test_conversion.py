"""`tlnlp convert`: pickles to safetensors, with the same weights, and without running what a pickle brings."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file

from tlnlp import cli
from tlnlp.errors import InputError
from tlnlp.models import checkpoint
from tlnlp.models.conversion import convert

KINDS = {"bert": transformers.AutoModelForMaskedLM, "gpt2": transformers.AutoModelForCausalLM}


def pickled(checkpoint_folder: Path, folder: Path, kind: Any, shards: int = 1, **changes: Any) -> Any:
    """Saves the checkpoint as people did before safetensors, tied weights sharing memory; the network."""
    shutil.copytree(checkpoint_folder, folder)
    (folder / "model.safetensors").unlink()
    model = kind.from_pretrained(checkpoint_folder, **changes).eval()
    model.config.save_pretrained(folder)
    state = model.state_dict()
    names = list(state)
    parts = [names[i::shards] for i in range(shards)]
    files = (
        [f"pytorch_model-{i + 1:05}-of-{shards:05}.bin" for i in range(shards)] if shards > 1 else ["pytorch_model.bin"]
    )
    for part, file in zip(parts, files, strict=True):
        torch.save({name: state[name] for name in part}, folder / file)
    if shards > 1:
        weight_map = {name: file for part, file in zip(parts, files, strict=True) for name in part}
        index = {"metadata": {}, "weight_map": weight_map}
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    return model


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=torch.tensor([[2, 9, 11, 13, 3]])).logits


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("name", KINDS)
def test_what_is_converted_answers_as_before(
    name: str, shards: int, tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "pickled", tmp_path / "out"
    model = pickled(request.getfixturevalue(name), folder, KINDS[name], shards)
    with pytest.raises(InputError, match="tlnlp convert"):
        checkpoint.find_checkpoint(str(folder))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert cli.main(["convert", str(folder), "--output-dir", str(out)]) == 0
    assert f"now: --model {out}" in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before, "it is only read"
    assert checkpoint.find_checkpoint(str(out)) == str(out)
    loaded, report = KINDS[name].from_pretrained(out, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    assert torch.equal(logits(loaded.eval()), logits(model))
    assert loaded.get_output_embeddings().weight is loaded.get_input_embeddings().weight
    assert transformers.AutoTokenizer.from_pretrained(out)("a film") == transformers.AutoTokenizer.from_pretrained(
        request.getfixturevalue(name)
    )("a film")


def test_a_tied_table_is_stored_once_and_an_untied_one_that_shares_memory_twice(gpt2: Path, tmp_path: Path) -> None:
    for tied in (True, False):
        folder = tmp_path / f"tied_{tied}"
        model = pickled(gpt2, folder, KINDS["gpt2"])
        assert model.lm_head.weight is model.transformer.wte.weight
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": tied}))
        done = convert(folder, folder)
        assert done.tied == (("lm_head.weight",) if tied else ())
        assert ("lm_head.weight" in load_file(folder / "model.safetensors")) != tied
        loaded, report = KINDS["gpt2"].from_pretrained(folder, output_loading_info=True)
        assert not report["missing_keys"]
        assert torch.equal(logits(loaded.eval()), logits(model))


class _Runs:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("new_format", [True, False])
def test_code_in_a_pickle_is_not_run(new_format: bool, bert: Path, tmp_path: Path) -> None:
    folder = tmp_path / "evil"
    pickled(bert, folder, KINDS["bert"])
    content = {"a": torch.zeros(1), "b": _Runs(tmp_path / "it ran")}
    torch.save(content, folder / "pytorch_model.bin", _use_new_zipfile_serialization=new_format)
    with pytest.raises(InputError, match="whose code would have to run"):
        convert(folder, tmp_path / "out")
    assert not (tmp_path / "it ran").exists()
    assert not (tmp_path / "out" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "pytorch_model.bin"),
        (b"PK\x03\x04 cut off", "download the file again"),
        ({"epoch": 3, "model": {"a": torch.zeros(1)}}, "epoch, which is no tensor"),
        (torch.zeros(2), "Tensor"),
    ],
)
def test_what_is_no_dictionary_of_tensors_is_refused(content: Any, said: str, bert: Path, tmp_path: Path) -> None:
    folder = tmp_path / "spoilt"
    pickled(bert, folder, KINDS["bert"])
    if isinstance(content, bytes):
        (folder / "pytorch_model.bin").write_bytes(content)
    else:
        torch.save(content, folder / "pytorch_model.bin")
    with pytest.raises(InputError) as caught:
        convert(folder, folder)
    assert said in str(caught.value)


def test_nothing_to_convert_weights_that_are_there_and_a_missing_shard_are_said(bert: Path, tmp_path: Path) -> None:
    for folder, said in (
        (tmp_path, "a checkpoint in"),
        (tmp_path / "nowhere", "no such folder"),
        (bert, "weights as pickles in"),
    ):
        with pytest.raises(InputError, match=said):
            convert(folder, folder)
    folder = tmp_path / "sharded"
    pickled(bert, folder, KINDS["bert"], 3)
    (folder / "pytorch_model-00002-of-00003.bin").rename(tmp_path / "away")
    with pytest.raises(InputError, match=r"2 of them, without pytorch_model-00002-of-00003\.bin"):
        convert(folder, folder)
    (tmp_path / "away").rename(folder / "pytorch_model-00002-of-00003.bin")
    convert(folder, folder)
    with pytest.raises(InputError, match="no weights as safetensors yet"):
        convert(folder, folder)
