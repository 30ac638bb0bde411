"""A person's own head, loss, strategy and metric, from a file of theirs: trained, saved, loaded in a fresh process."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

import tlnlp
from tests.recipe_runs import run_function

# A head whose loss forgives what is nearly right (focal loss: Lin et al. 2017), a strategy and two metrics.
MINE = '''
from dataclasses import dataclass

import torch

from tlnlp.heads import sentence
from tlnlp.heads.sentence import *  # the rest of the head is that of single labels
from tlnlp.transfer.phases import Phase


def loss(model, batch, task):
    """Focal loss, summed over rows."""
    found = sentence.logits(model, batch).float().log_softmax(-1)
    right = found.gather(1, batch["labels"][:, None])[:, 0]
    return (-((1 - right.exp()) ** 2) * right * batch["weights"]).sum()


class Head:
    """The same as an object."""

    def __getattr__(self, name):
        return getattr(sentence, name)

    loss = staticmethod(loss)


def only_the_top(groups, settings, *, factor: float = 1.0):
    """One phase in which the last layer and the head learn."""
    rates = {group.name: settings.learning_rate * factor for group in groups[-2:]}
    return [Phase(name="top", epochs=settings.epochs, learning_rates=rates)]


def nothing(groups, settings):
    return [Phase(name="top", epochs=1, learning_rates={"layer 99": 1e-3})]


def wrong(predictions, references):
    """Rows that are wrong."""
    return sum(one != other for one, other in zip(predictions, references))


wrong.lower_is_better = True


def breaks(predictions, references):
    return predictions.no_such_thing
'''


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with mine.py in it, from which modules can be imported."""
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    return tmp_path


def task_with(head: object, *metrics: object) -> tlnlp.Task:
    return tlnlp.Task(
        name="mine",
        data=tlnlp.Data(),
        columns=tlnlp.Columns(text="sentence", label="label"),
        head=head,  # type: ignore[arg-type]
        labels=("negative", "positive"),
        metrics=metrics or (tlnlp.metrics.accuracy,),
    )


def run(mine: Path, task: tlnlp.Task, reviews: Path, bert: Path, **settings: object) -> tlnlp.commands.python_calls.Run:  # type: ignore[name-defined]
    told = {"epochs": 1, "max_length": 32, "batch_size": 16, "no_report": True, "quiet": True} | settings
    return tlnlp.train(task, reviews, model=bert, output_dir=mine / "run", **told)


def answer_elsewhere(model: Path, texts: list[str], own: Path, importable: bool, answer: Path) -> None:
    """In a process that has not seen mine.py: what the model answers; without the module's folder, the refusal."""
    assert "mine" not in sys.modules
    sys.path[:] = [str(own)] * importable + [each for each in sys.path if each != str(own)]
    try:
        answer.write_text(json.dumps([each.prediction for each in tlnlp.load(model).predict(texts)]))
    except tlnlp.InputError as error:
        answer.write_text(str(error))


@pytest.mark.parametrize("kind", ["module", pytest.param("object", marks=pytest.mark.long)])
def test_an_own_head_learns_by_its_own_loss_and_is_found_again_in_a_fresh_process(
    kind: str, mine: Path, reviews: Path, bert: Path
) -> None:
    own = importlib.import_module("mine")

    head = own if kind == "module" else own.Head()
    done = run(mine, task_with(head), reviews, bert)
    texts = [json.loads(line)["sentence"] for line in (reviews / "validation.jsonl").read_text().splitlines()]
    # The reported loss is the focal one: below that of the same weights by cross entropy.
    plain = tlnlp.train(
        task_with(tlnlp.heads.sentence), reviews, model=bert, output_dir=mine / "plain", epochs=1, max_length=32,
        batch_size=16, no_report=True, quiet=True,
    )  # fmt: skip
    assert done.result["history"][0]["loss"] < 0.6 * plain.result["history"][0]["loss"]
    said = []
    for importable in (True, False):
        run_function(answer_elsewhere, done.folder, texts, mine, importable, mine / "answer", processes=1)
        said.append((mine / "answer").read_text())
    assert json.loads(said[0]) == [each.prediction for each in done.predictions]
    assert "make its module importable" in said[1]


def test_an_own_strategy_is_a_function_or_its_import_path(mine: Path, reviews: Path, bert: Path) -> None:
    own = importlib.import_module("mine")

    done = run(mine, task_with(tlnlp.heads.sentence), reviews, bert, strategy=own.only_the_top)
    assert [phase["name"] for phase in done.result["phases"]] == ["top"]
    learnt = {group["name"]: group["rates"][0] for group in done.result["groups"]}
    assert learnt["embeddings"] is None and learnt["layer 1"] is None
    assert learnt["head"] == learnt["layer 2"] == done.result["settings"]["learning_rate"]
    assert done.result["settings"]["strategy"] == "mine.only_the_top"
    other = run(
        mine, task_with(tlnlp.heads.sentence), reviews, bert, strategy="mine.only_the_top:factor=0.5", overwrite=True
    )
    assert other.result["groups"][-1]["rates"] == [learnt["head"] / 2]
    with pytest.raises(tlnlp.InputError, match="importable"):
        run(mine, task_with(tlnlp.heads.sentence), reviews, bert, strategy="mine.no_such", overwrite=True)
    with pytest.raises(tlnlp.InputError, match="layer 99"):
        run(mine, task_with(tlnlp.heads.sentence), reviews, bert, strategy=own.nothing, overwrite=True)


def test_an_own_metric_is_a_plain_function_tried_before_any_weight_is_read(
    mine: Path, reviews: Path, bert: Path
) -> None:
    own = importlib.import_module("mine")

    done = run(mine, task_with(tlnlp.heads.sentence, own.wrong, tlnlp.metrics.accuracy), reviews, bert)
    rows = len(done.predictions)
    assert done.metrics["wrong"] == pytest.approx(rows * (1 - done.metrics["accuracy"]))
    (bert / "model.safetensors").rename(bert / "aside")
    try:
        with pytest.raises(tlnlp.InputError, match="breaks, tried on two rows: AttributeError"):
            run(mine, task_with(tlnlp.heads.sentence, own.breaks), reviews, bert, overwrite=True)
    finally:
        (bert / "aside").rename(bert / "model.safetensors")


def test_keep_best_heeds_that_a_lower_score_of_an_own_metric_is_better(mine: Path, reviews: Path, bert: Path) -> None:
    own = importlib.import_module("mine")

    done = run(mine, task_with(tlnlp.heads.sentence, own.wrong), reviews, bert, keep="best", epochs=3)
    scores = [epoch["metrics"]["wrong"] for epoch in done.result["history"]]
    assert done.result["best"]["score"] == min(scores)
