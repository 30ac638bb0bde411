"""Each speed-up, switched on and off: the same weights are learnt, and the same predictions made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.fixtures import write_rows
from tests.recipe_runs import begin
from tests.training.test_loop import without_dropout
from tlnlp.acceleration.activation_cache import ActivationCache
from tlnlp.acceleration.embedding_pruning import PrunedEmbedding
from tlnlp.acceleration.fast_dropout import FastDropout
from tlnlp.acceleration.padding_free import PaddingFree
from tlnlp.evaluation.predict import predict
from tlnlp.runs.setup import PreparedRun
from tlnlp.task import Prediction
from tlnlp.training.loop import train

# Every speed-up: the class whose `install` puts it in. A new one has its line here.
SPEED_UPS: dict[str, type] = {
    "padding-free layers": PaddingFree,
    "cached activations": ActivationCache,
    "pruned embeddings": PrunedEmbedding,
    "fast dropout": FastDropout,
}
# Of few words, so that most of the vocabulary can be pruned.
FEW_WORDS = [{"sentence": f"a {word} film" * (1 + i % 3), "label": i % 2} for i, word in enumerate(("good", "bad") * 6)]
# recipe, network, strategy: one that freezes layers, so that all four have something to do.
CASES = [
    ("sst2", "bert", "head_then_full"),
    ("conll2003", "modernbert", "top_layers:k=1"),
    ("squad_v2", "bert", "top_layers:k=1"),
    ("copa", "modernbert", "gradual_unfreezing:phase_epochs=2"),
    ("sst2", "gpt2", "top_layers:k=1"),
]


def data_for(recipe: str, rows_for: Callable[[str], dict[str, Any]], folder: Path) -> dict[str, Any]:
    if recipe != "sst2":
        return rows_for(recipe)
    for split in ("train", "validation"):
        write_rows(folder / "rows" / f"{split}.jsonl", FEW_WORDS)
    return {"data": str(folder / "rows")}


def whole_weights(work: PreparedRun) -> dict[str, torch.Tensor]:
    """A copy of the weights; an embedding that is pruned with the rows that were cut out of it."""
    found = {name: each.detach().clone() for name, each in work.training.model.named_parameters()}
    if work.compact is not None:
        name = work.compact.parameter
        whole = work.compact.whole.detach().clone()
        whole[torch.as_tensor(work.compact.used)] = found[name]
        found[name] = whole
    return found


@pytest.mark.parametrize("case", CASES, ids="-".join)
@pytest.mark.parametrize("speed_up", SPEED_UPS)
def test_what_is_learnt_and_predicted_does_not_depend_on_a_speed_up(
    speed_up: str,
    case: tuple[str, str, str],
    rows_for: Callable[[str], dict[str, Any]],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    """Dropout is zero: masks are drawn for the tokens that are computed, so that without padding they are others."""
    recipe, network, strategy = case
    settings = {"model": str(request.getfixturevalue(network)), "strategy": strategy, "learning_rate": 1e-3, "seed": 3}
    settings |= data_for(recipe, rows_for, tmp_path)
    kind = SPEED_UPS[speed_up]

    def learn(*, is_on: bool, folder: Path) -> tuple[dict[str, torch.Tensor], list[Prediction]]:
        with pytest.MonkeyPatch.context() as patch:
            if not is_on:
                patch.setattr(kind, "install", lambda *arguments, **options: None)
            work = begin(recipe, folder, **settings)
            without_dropout(work.training.model)
            before = whole_weights(work)
            for _ in train(work.training):
                pass
            training = work.training
            found = predict(
                training.model, work.encoded_eval, work.eval_rows, training.task, training.tokenizer,
                training.settings.max_tokens, training.accelerator, frozen=training.frozen,
            )  # fmt: skip
        after = whole_weights(work)
        return {name: after[name] - before[name] for name in after}, found

    on, found = learn(is_on=True, folder=tmp_path / "on")
    off, expected = learn(is_on=False, folder=tmp_path / "off")
    # All weights together: some have a gradient of rounding only (a bias that all inputs of a softmax share), of which
    # Adam makes whole steps.
    learnt = torch.cat([each.flatten() for each in off.values()])
    difference = torch.cat([(on[name] - each).flatten() for name, each in off.items()])
    assert float(learnt.norm()) > 0
    assert float(difference.norm()) <= 0.01 * float(learnt.norm())
    assert [each.prediction for each in found] == [each.prediction for each in expected]


def test_each_speed_up_is_used_in_one_of_these_cases(
    rows_for: Callable[[str], dict[str, Any]], tmp_path: Path, bert: Path
) -> None:
    """Or on = off would say nothing."""
    work = begin("sst2", tmp_path, model=str(bert), strategy="head_then_full", **data_for("sst2", rows_for, tmp_path))
    assert work.packing is not None and work.compact is not None
    assert any(isinstance(module, FastDropout) for module in work.training.model.modules())
    next(iter(train(work.training)))
    assert isinstance(work.training.frozen, ActivationCache)
