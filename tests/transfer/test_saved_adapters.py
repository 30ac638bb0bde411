"""Adapters on disk: in peft's form, merged or beside their checkpoint, and what is missing there said."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import peft
import pytest
import torch
import transformers

from tests.recipe_runs import Ended, begin, run_recipe
from tests.transfer.adapted import EVERYWHERE, LIKE_PEFT, answer, begin_adapted, begun, load, refusal
from tlnlp.data.json_files import table_of_lines
from tlnlp.heads import sentence
from tlnlp.inference.predictor import Predictor
from tlnlp.models.task_file import load_network
from tlnlp.runs.record import describe, write
from tlnlp.runs.setup import PreparedRun
from tlnlp.runs.training_log import TrainingLog
from tlnlp.task import Prediction
from tlnlp.training.loop import train
from tlnlp.transfer.adapter_strategies import MERGEABLE

# --- on disk


def save(work: PreparedRun, folder: Path) -> Path:
    """Saves as a run does; the folder of the model."""
    request = replace(work.run.request, folder=folder)
    work = replace(work, run=replace(work.run, request=request))
    rows = work.eval_rows
    scores = {name: float(name == rows.labels[0]) for name in rows.labels}
    answers = [Prediction(rows.labels[0], 1.0, scores)] * len(rows)
    write(work, describe(work, TrainingLog(train_seconds=1.0), answers, {}, {}), answers, {})
    return folder / "model"


def batch_of(work: PreparedRun) -> dict[str, torch.Tensor]:
    training = work.training
    return training.head.collate(work.encoded_eval, np.arange(6), training.tokenizer, np.random.default_rng(0))


@pytest.mark.parametrize(("kind", "architecture"), EVERYWHERE)
def test_what_is_saved_is_loaded_with_the_same_logits(
    kind: str, architecture: str, reviews: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    base = request.getfixturevalue(architecture)
    work = begin_adapted(kind, base, reviews, tmp_path, learning_rate=1e-2)
    list(train(work.training))
    folder, batch = save(work, tmp_path), batch_of(work)
    with torch.no_grad():
        expected = sentence.logits(work.training.model.eval(), batch)
        found = sentence.logits(load_network(folder, sentence).eval(), batch)
    assert torch.allclose(found, expected, atol=1e-5)
    assert (folder / "adapter_model.safetensors").stat().st_size < (base / "model.safetensors").stat().st_size
    assert json.loads((folder / "tlnlp.json").read_text())["adapter"]["base"] == str(base)
    if (kind, architecture) not in LIKE_PEFT:
        return
    names = [work.labels[0], work.labels[1]]
    fresh = transformers.AutoModelForSequenceClassification.from_pretrained(
        base, id2label=dict(enumerate(names)), label2id={name: i for i, name in enumerate(names)},
        pad_token_id=work.training.tokenizer.pad_token_id,
    )  # fmt: skip
    theirs = peft.PeftModel.from_pretrained(fresh, folder).eval()
    given = {name: batch[name] for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        if architecture == "gpt2":  # see test_adapters: one row at a time, without padding
            lengths = given["attention_mask"].sum(1).tolist()
            rows = [{name: value[i : i + 1, :n] for name, value in given.items()} for i, n in enumerate(lengths)]
            told = torch.cat([answer(theirs, row) for row in rows])
        else:
            told = answer(theirs, given)
    assert torch.allclose(told, expected, atol=1e-5)


@pytest.mark.parametrize("kind", MERGEABLE)
def test_merged_and_unmerged_the_network_answers_alike(
    kind: str, any_checkpoint: Path, reviews: Path, tmp_path: Path
) -> None:
    work = begin_adapted(kind, any_checkpoint, reviews, tmp_path, learning_rate=1e-2, merge=True)
    plain = set(dict(load(any_checkpoint).named_parameters()))
    batch = batch_of(work)
    list(train(work.training))
    with torch.no_grad():
        expected = sentence.logits(work.training.model.eval(), batch)
    folder = save(work, tmp_path)
    loaded = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        assert torch.allclose(sentence.logits(loaded, batch), expected, atol=1e-5)
    assert set(dict(loaded.named_parameters())) == plain
    assert json.loads((folder / "tlnlp.json").read_text())["adapter"] is None


def test_a_new_pieces_row_is_saved_with_the_adapter(gpt2: Path, reviews: Path, tmp_path: Path) -> None:
    work = begin("gpt_sst2", tmp_path, model=str(gpt2), data=str(reviews), strategy="lora")
    table = work.training.model.get_input_embeddings().weight.detach().clone()
    folder = save(work, tmp_path)
    assert torch.equal(load_network(folder, work.training.head).get_input_embeddings().weight, table)


# --- whole runs


@pytest.fixture(scope="module")
def base(bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that may be moved."""
    return shutil.copytree(bert, tmp_path_factory.mktemp("base") / "bert")


@pytest.fixture(scope="module")
def trained(base: Path, reviews: Path, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    ended = run_recipe(
        "sst2", "--model", base, "--data", reviews, "--strategy", "adapter:size=4", "--max-length", 32, "--epochs", 1,
        folder=tmp_path_factory.mktemp("trained") / "run",
    )  # fmt: skip
    assert ended.status == 0, ended.output
    return ended


def test_a_run_shows_the_adapter_in_its_table_and_how_to_use_it(trained: Ended) -> None:
    table = trained.output.split("strategy adapter:size=4")[1].split("answering")[0]
    lines = [line.split() for line in table.splitlines() if line.startswith(("layer 1", "adapter ", "head"))]
    assert [line[0] for line in lines] == ["layer", "adapter", "head"]
    assert lines[1][1:3] == [str(2 * (2 * 16 * 4 + 4 + 16)), "learns,"]
    assert "pipeline" not in trained.output
    assert f"tlnlp predict {trained.folder / 'model'}" in trained.output
    assert trained.result["adapter"] == "adapter"
    learning = int(lines[1][1]) + int(lines[2][1])
    assert trained.result["parameters"]["trainable"] == learning


def test_predict_answers_as_the_run_did(trained: Ended, reviews: Path) -> None:
    lines = (reviews / "validation.jsonl").read_text()
    found = Predictor(trained.folder / "model").predict_table(table_of_lines(lines, "tests", 1), {"text": "sentence"})
    expected = [json.loads(line) for line in trained.predictions.splitlines()]
    assert [each.prediction for each in found] == [each["prediction"] for each in expected]
    assert [each.score for each in found] == pytest.approx([each["score"] for each in expected], abs=1e-5)


def test_a_base_checkpoint_that_is_gone_or_another_one_is_said(trained: Ended, base: Path, modernbert: Path) -> None:
    away = base.rename(base.with_name("away"))
    try:
        said = refusal(lambda: Predictor(trained.folder / "model"))
        assert "no such folder" in said and str(base) in said and "restore it" in said
        shutil.copytree(modernbert, base)
        assert "other weights" in refusal(lambda: Predictor(trained.folder / "model"))
        shutil.rmtree(base)
    finally:
        away.rename(base)
    Predictor(trained.folder / "model")


def test_an_adapter_that_was_cut_short_is_said(trained: Ended, tmp_path: Path) -> None:
    folder = shutil.copytree(trained.folder / "model", tmp_path / "model")
    record = json.loads((folder / "tlnlp.json").read_text())
    record["adapter"]["modules"] = record["adapter"]["modules"][:1]
    (folder / "tlnlp.json").write_text(json.dumps(record))
    assert "missing or unexpected" in refusal(lambda: load_network(folder, sentence))


def test_an_adapter_given_as_a_checkpoint_is_refused(trained: Ended, reviews: Path, tmp_path: Path) -> None:
    said = begun(reviews, tmp_path, model=str(trained.folder / "model"))
    assert "a complete checkpoint" in said and "--merge" in said
