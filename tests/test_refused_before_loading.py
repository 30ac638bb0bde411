"""Bad input is refused before the model is loaded: status 2, three parts, no traceback. The checkpoint is a trap: its
weights are those of nothing, and whoever reads them fails in another way than the one expected here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import save

from tests.recipe_runs import ROOT, load_recipe

TRAP = save({"whoever.reads.this": torch.zeros(1)}, metadata={"format": "pt"})


def write_rows(folder: Path, **splits: list[dict[str, Any]] | bytes) -> Path:
    """A folder with `train.jsonl` and so on."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for split, rows in splits.items():
        data = rows if isinstance(rows, bytes) else "".join(json.dumps(row) + "\n" for row in rows).encode()
        (folder / f"{split}.jsonl").write_bytes(data)
    return folder


def good(rows: int = 12) -> list[dict[str, Any]]:
    return [{"sentence": f"sentence number {i}", "label": i % 2} for i in range(rows)]


def spoilt(row: int, **change: Any) -> list[dict[str, Any]]:
    """Good rows, but for one."""
    rows = good()
    rows[row - 1] |= change
    return rows


@dataclass
class WorkerSlot:
    """Folders that a bad input may be made in."""

    trap: Path
    data: Path
    output: Path
    tmp: Path
    flags: list[str] = field(default_factory=list)

    def rows(self, **splits: list[dict[str, Any]] | bytes) -> list[str]:
        write_rows(self.data, **splits)
        return []


@pytest.fixture
def place(bert: Path, tmp_path: Path) -> WorkerSlot:
    trap = Path(shutil.copytree(bert, tmp_path / "trap"))
    (trap / "model.safetensors").write_bytes(TRAP)
    write_rows(tmp_path / "data", train=good(), validation=good(4))
    return WorkerSlot(trap, tmp_path / "data", tmp_path / "out", tmp_path)


def run(recipe: str, place: WorkerSlot, flags: list[str]) -> int:
    """The recipe's command line in this process; the exit status. A flag given twice: the last one counts."""
    default = ["--model", str(place.trap), "--data", str(place.data), "--output-dir", str(place.output)]
    for name in (flag for flag in flags if flag in default):
        del default[default.index(name) : default.index(name) + 2]
    with pytest.raises(SystemExit) as ended:
        load_recipe(recipe).main([*default, "--max-length", "32", *flags])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def _foreign(place: WorkerSlot) -> list[str]:
    place.output.mkdir()
    (place.output / "thesis.tex").write_text("ten years of work")
    return []


def _finetuned_for_others(place: WorkerSlot) -> list[str]:
    config = transformers.AutoConfig.from_pretrained(place.trap)
    config.architectures, config.id2label = ["BertForSequenceClassification"], {0: "joy", 1: "anger"}
    config.save_pretrained(place.trap)
    return []


def _only_a_pickle(place: WorkerSlot) -> list[str]:
    (place.trap / "model.safetensors").rename(place.trap / "pytorch_model.bin")
    return []


def _config(**changes: Any) -> Callable[[WorkerSlot], list[str]]:
    """Changes the configuration."""

    def spoil(place: WorkerSlot) -> list[str]:
        path = place.trap / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
        return []

    return spoil


def _pointer(name: str) -> Callable[[WorkerSlot], list[str]]:
    """Puts what a clone without Git LFS has in the place of a file."""

    def spoil(place: WorkerSlot) -> list[str]:
        (place.trap / name).write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 17\n")
        return []

    return spoil


def _cut_off(place: WorkerSlot) -> list[str]:
    (place.trap / "model.safetensors").write_bytes(TRAP[:-1])
    return []


def _web_page(place: WorkerSlot) -> list[str]:
    (place.trap / "model.safetensors").write_text("<!doctype html><title>Sign in</title>")
    return []


def _missing_shard(place: WorkerSlot) -> list[str]:
    (place.trap / "model.safetensors").rename(place.trap / "model-00001-of-00002.safetensors")
    index = {"weight_map": {name: f"model-0000{i}-of-00002.safetensors" for i, name in ((1, "a"), (2, "b"))}}
    (place.trap / "model.safetensors.index.json").write_text(json.dumps(index))
    return []


def _missing_index(place: WorkerSlot) -> list[str]:
    (place.trap / "model.safetensors").rename(place.trap / "model-00001-of-00002.safetensors")
    return []


def _adapter(place: WorkerSlot, **config: Any) -> list[str]:
    """Nothing but an adapter's two files."""
    for path in place.trap.iterdir():
        path.unlink()
    (place.trap / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", **config}))
    (place.trap / "adapter_model.safetensors").write_bytes(TRAP)
    return []


def _of_tensorflow(place: WorkerSlot) -> list[str]:
    (place.trap / "model.safetensors").rename(place.trap / "tf_model.h5")
    return []


def _without_weights(place: WorkerSlot) -> list[str]:
    (place.trap / "model.safetensors").unlink()
    return []


def _long_rows(place: WorkerSlot) -> list[str]:
    """The network has 128 positions: the first long row would stop the run, perhaps hours later."""
    place.rows(train=spoilt(3, sentence="again and " * 100), validation=good(4))
    return ["--max-length", "129"]


# What is wrong: how it comes about, and what the message must say.
BAD: dict[str, tuple[Callable[[WorkerSlot], list[str]], str]] = {
    "no such data": (lambda place: ["--data", str(place.tmp / "dada")], "did you mean data?"),
    "empty data folder": (lambda place: place.rows(), "empty folder"),
    "no train split": (lambda place: place.rows(validation=good()), "validation.jsonl"),
    "empty file": (lambda place: place.rows(train=b""), "empty"),
    "not json": (lambda place: place.rows(train=b'{"sentence": "a"\n'), "line 1"),
    "not utf-8": (lambda place: place.rows(train=b'{"sentence": "caf\xe9", "label": 1}\n'), "byte 0xe9"),
    "a zip file": (lambda place: place.rows(train=b"PK\x03\x04 and more"), "a zip archive"),
    "misspelt column": (lambda place: ["--columns", "text=sentense"], "did you mean sentence?"),
    "unknown role": (lambda place: ["--columns", "texts=sentence"], "did you mean text?"),
    "no label column": (lambda place: place.rows(train=[{"sentence": "a"}] * 4), "'label'"),
    "null text": (lambda place: place.rows(train=spoilt(3, sentence=None)), "row 3"),
    "empty text": (lambda place: place.rows(train=spoilt(5, sentence=" ")), "row 5"),
    "number as text": (lambda place: place.rows(train=spoilt(2, sentence=7)), "row 2"),
    "unknown label": (lambda place: place.rows(train=spoilt(4, label="positiv")), "did you mean positive?"),
    "label out of range": (lambda place: place.rows(train=spoilt(4, label=2)), "row 4"),
    "no label in a row": (lambda place: place.rows(train=spoilt(6, label=None)), "row 6"),
    "bad dev row": (lambda place: place.rows(train=good(), validation=spoilt(2, label=9)), "validation.jsonl, row 2"),
    "one label only": (lambda place: place.rows(train=[{"sentence": "a", "label": 1}] * 4), "all of them positive"),
    "too many train rows": (lambda place: ["--train-rows", "13"], "--train-rows 13"),
    "unknown strategy": (lambda place: ["--strategy", "head_ony"], "did you mean head_only?"),
    "absurd number": (lambda place: ["--epochs", "0"], "--epochs"),
    "contradiction": (lambda place: ["--resume", "--overwrite"], "both"),
    "length above the budget": (lambda place: ["--max-tokens", "16"], "--max-tokens 16"),
    "rows longer than the positions": (_long_rows, "--max-length"),
    "no such model": (lambda place: ["--model", str(place.tmp / "trep")], "did you mean trap?"),
    "model without weights": (_without_weights, "config.json"),
    "model as a pickle": (_only_a_pickle, "pytorch_model.bin"),
    "model of which only a pointer was cloned": (_pointer("model.safetensors"), "Git LFS pointer"),
    "tokenizer of which only a pointer was cloned": (_pointer("tokenizer.json"), "tokenizer.json itself"),
    "model that was cut off": (_cut_off, "download the file again: it was cut off"),
    "model that is a web page": (_web_page, "bytes without its header"),
    "a shard is missing": (_missing_shard, "1 of them, without model-00002-of-00002.safetensors"),
    "the index of the shards is missing": (_missing_index, "model.safetensors.index.json"),
    "weights of another library": (_of_tensorflow, "tf_model.h5, which is TensorFlow's"),
    "an adapter of a base that is not there": (
        lambda place: _adapter(place, base_model_name_or_path="org/base"),
        "hf download org/base",
    ),
    "an adapter that names no base": (_adapter, "base_model_name_or_path"),
    "an adapter that cannot be merged": (
        lambda place: _adapter(place, peft_type="PREFIX_TUNING", base_model_name_or_path="mini"),
        "an adapter of kind PREFIX_TUNING",
    ),
    "a network with code of its own": (
        _config(model_type="our_own", auto_map={"AutoConfig": "modeling.OurConfig"}),
        "code from a checkpoint is never run",
    ),
    "bitsandbytes": (
        _config(quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True}),
        "quantised (bitsandbytes, 4 bits)",
    ),
    "GPTQ": (_config(quantization_config={"quant_method": "gptq", "bits": 8}), "quantised (gptq, 8 bits)"),
    "AWQ": (_config(quantization_config={"quant_method": "awq", "bits": 4}), "quantised (awq, 4 bits)"),
    "a configuration of wrong types": (_config(num_attention_heads="two"), "a checkpoint that transformers"),
    "a configuration that contradicts itself": (_config(num_attention_heads=3), "a checkpoint that transformers"),
    "model for other labels": (_finetuned_for_others, "whose head has the labels joy, anger"),
    "somebody's folder": (_foreign, "thesis.tex"),
    "unknown tracker": (lambda place: ["--tracker", "tensorbord"], "tensorbord"),
    "fp16 without a GPU": (lambda place: ["--precision", "fp16"], "--precision bf16"),
}


def test_the_trap_works(place: WorkerSlot, capsys: pytest.CaptureFixture[str]) -> None:
    """With good input the weights are read, and the run fails on them, in words."""
    assert run("sst2", place, []) == 2
    said = capsys.readouterr().err
    assert str(place.trap) in said
    assert "the weights of a BertForSequenceClassification" in said


@pytest.mark.parametrize("bad", BAD)
def test_bad_input_is_refused_in_three_parts(bad: str, place: WorkerSlot, capsys: pytest.CaptureFixture[str]) -> None:
    spoil, said = BAD[bad]
    flags = spoil(place)
    assert run("sst2", place, flags) == 2
    output = capsys.readouterr()
    lines = output.err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["expected", "found", "change"], output.err
    assert all(line.split(":", 1)[1].strip() for line in lines)
    assert said in output.err
    assert "Traceback" not in output.err
    assert output.out == "", "nothing is announced before the input is known to be good"
    left = {path.name for path in place.output.iterdir()} if place.output.is_dir() else set()
    assert left <= {"thesis.tex", ".lock"}, "nothing is begun either"


def test_the_next_word_task_refuses_a_network_whose_words_see_those_after_them(
    place: WorkerSlot, capsys: pytest.CaptureFixture[str]
) -> None:
    transformers.XLNetConfig(vocab_size=300, d_model=16, n_layer=2, n_head=2, d_inner=32).save_pretrained(place.trap)
    assert run("pretrain_gpt", place, ["--columns", "text=sentence"]) == 2
    assert "a xlnet, which is bidirectional" in capsys.readouterr().err


def test_the_masked_word_task_refuses_a_network_that_reads_from_left_to_right(
    gpt2: Path, place: WorkerSlot, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(place.trap)
    shutil.copytree(gpt2, place.trap)
    (place.trap / "model.safetensors").write_bytes(TRAP)
    flags = ["--strategy", "full", "--columns", "text=sentence"]
    assert run("pretrain", place, flags) == 2
    assert "AutoModelForMaskedLM" in capsys.readouterr().err


@pytest.mark.parametrize("data", ["sample", "hub"])
def test_data_that_a_task_does_not_have_are_refused(
    data: str, place: WorkerSlot, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("pretrain", place, ["--data", data]) == 2
    assert "pretrain has none" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("recipe", "flags", "said"),
    [
        ("sst2", ["--truncate", "txt=start"], "did you mean text?"),
        ("sst2", ["--truncate", "text_pair=start"], "--truncate of text"),
        ("conll2003", ["--data", "sample", "--truncate", "words=start"], "omit --truncate"),
        ("squad", ["--data", "sample", "--class-weights", "balanced"], "omit --class-weights"),
        ("copa", ["--data", "sample", "--class-weights", "balanced"], "omit --class-weights"),
        ("copa", ["--data", "sample", "--windows", "mean"], "--windows mean for copa"),
        ("gpt_copa", ["--data", "sample", "--windows", "mean"], "heads sentence and gpt"),
        ("conll2003", ["--data", "sample", "--windows", "mean"], "always read in windows"),
        ("pretrain", ["--columns", "text=sentence", "--windows", "mean"], "omit --windows"),
        ("sst2", ["--windows", "mean", "--truncate", "text=start"], "one of --truncate and --windows"),
        ("sst2", ["--strategy", "shallow", "--keep", "best"], "--keep best"),
        ("sst2", ["--strategy", "shallow", "--patience", "2"], "--patience"),
        ("sst2", ["--strategy", "shallow", "--least-updates", "100"], "--least-updates"),
        ("sst2", ["--strategy", "shallow", "--small-data"], "--small-data"),
        ("sst2", ["--strategy", "shallow:layer=3"], "layer=0 to shallow:layer=2"),
        ("stsb", ["--data", "sample", "--strategy", "shallow:classifier=linear_svm"], "ridge regression"),
        ("conll2003", ["--data", "sample", "--strategy", "shallow:pooling=last"], "that of its first token"),
    ],
)
def test_a_flag_that_the_task_would_leave_unheard_is_refused(
    recipe: str, flags: list[str], said: str, place: WorkerSlot, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(recipe, place, flags) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("recipe", "head"),
    [
        ("copa", "choice"),
        ("squad", "span"),
        ("gpt_copa", "gpt"),
        ("pretrain", "masked_lm"),
        ("pretrain_gpt", "causal_lm"),
    ],
)
def test_a_classifier_on_features_is_refused_where_answers_are_no_labels(
    recipe: str, head: str, place: WorkerSlot, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--columns", "text=sentence"] if recipe.startswith("pretrain") else ["--data", "sample"]
    assert run(recipe, place, [*data, "--strategy", "shallow"]) == 2
    said = capsys.readouterr().err
    assert f"{recipe}, which has no labels (head {head})" in said
    assert "head_only is the most similar" in said


def test_what_is_wrong_with_flags_and_rows_is_said_before_any_heavy_library_is_there(tmp_path: Path) -> None:
    """A person who mistyped a path waits a second, not ten."""
    (tmp_path / "wrong.csv").write_text("a,b\n1,2\n")
    mistakes = {
        "--data nowhere": "nothing at nowhere",
        "--data wrong.csv": "the columns a, b",
        "--epochs 0": "at least 1",
        "--config nowhere.yaml": "nowhere.yaml",
    }
    code = (
        "import contextlib, io, json, runpy, sys\n"
        f"for flags in {list(mistakes)}:\n"
        "    sys.argv, said = ['recipes/sst2.py', *flags.split()], io.StringIO()\n"
        "    try:\n"
        "        with contextlib.redirect_stderr(said):\n"
        f"            runpy.run_path({str(ROOT / 'recipes' / 'sst2.py')!r}, run_name='__main__')\n"
        "    except SystemExit as end:\n"
        "        heavy = [n for n in ('torch', 'transformers', 'datasets', 'accelerate') if n in sys.modules]\n"
        "        print(json.dumps([end.code, heavy, said.getvalue()]))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    found = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [(status, heavy) for status, heavy, _ in found] == [(2, [])] * len(mistakes)
    for said, (_, _, error) in zip(mistakes.values(), found, strict=True):
        assert said in error
