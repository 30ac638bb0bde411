"""Networks with adapters put in, and what is said where that is refused."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import nn

from tests.recipe_runs import begin
from tlnlp.errors import InputError
from tlnlp.runs.setup import PreparedRun
from tlnlp.transfer.adapter_strategies import ADAPTERS
from tlnlp.transfer.adapters import install
from tlnlp.transfer.phases import AdapterSpec

OPTIONS: dict[str, dict[str, Any]] = {
    "lora": {"r": 3, "alpha": 6.0, "dropout": 0.5, "targets": "all"},
    "ia3": {},
    "prefix": {"tokens": 4},
    "prompt": {"tokens": 4},
    "adapter": {"size": 5},
}
IDS = torch.tensor([[2, 9, 11, 13, 3], [2, 17, 3, 0, 0]])
BATCH = {"input_ids": IDS, "attention_mask": (IDS != 0).long()}
EVERYWHERE = [(kind, each) for kind in ADAPTERS for each in ("bert", "modernbert", "gpt2")]
EVERYWHERE.remove(("prefix", "modernbert"))
LIKE_PEFT = [(kind, architecture) for kind, architecture in EVERYWHERE if kind != "adapter"]
# There peft reads the first place for the answer, the prompt's own; ours reads the row's.
LIKE_PEFT.remove(("prompt", "modernbert"))
# transformers 5.24 renamed the argument by which peft (0.21) gives a prefix to a network: with it peft cannot be asked.
if "past_key_values" not in inspect.signature(transformers.BertModel.forward).parameters:
    LIKE_PEFT = [(kind, architecture) for kind, architecture in LIKE_PEFT if kind != "prefix"]


def load(folder: Path, auto_class: str = "AutoModelForSequenceClassification") -> Any:
    """A network whose answers differ from row to row, without dropout's randomness."""
    torch.manual_seed(0)
    model = getattr(transformers, auto_class).from_pretrained(folder, pad_token_id=0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    return model.eval()


def answer(model: Any, batch: dict[str, torch.Tensor] = BATCH) -> torch.Tensor:
    return model(**batch).logits


def stir(model: nn.Module, names: Any) -> None:
    """Gives new weights values that are heard."""
    torch.manual_seed(1)
    own = dict(model.named_parameters())
    with torch.no_grad():
        for name in names:
            own[name].add_(torch.randn_like(own[name]), alpha=0.3)


def adapted(folder: Path, kind: str, **how: Any) -> tuple[Any, Any]:
    model = load(folder, **how)
    return model, install(model, AdapterSpec(kind, OPTIONS[kind]), seed=0)


def begin_adapted(strategy: str, model: Path, reviews: Path, folder: Path, **more: Any) -> PreparedRun:
    asked = {"model": str(model), "data": str(reviews), "strategy": strategy, "learning_rate": 1e-3}
    return begin("sst2", folder, **(asked | more))


def refusal(act: Callable[[], Any]) -> str:
    with pytest.raises(InputError) as caught:
        act()
    return str(caught.value)


def begun(reviews: Path, tmp_path: Path, recipe: str = "sst2", **settings: Any) -> str:
    return refusal(lambda: begin(recipe, tmp_path, **{"data": str(reviews), **settings}))
