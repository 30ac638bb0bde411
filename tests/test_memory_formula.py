"""benchmarks/large_models.py against what torch allocates on the CPU for small Llamas, tensor by tensor."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import weakref
from collections.abc import Iterable, Mapping
from typing import Any

import peft
import pytest
import torch
import transformers
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.recipe_runs import ROOT

ROWS, TOKENS = 4, 128


def _load() -> Any:
    spec = importlib.util.spec_from_file_location("large_models", ROOT / "benchmarks" / "large_models.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["large_models"] = module
    spec.loader.exec_module(module)
    return module


large_models = _load()


class AllocatedBytes(TorchDispatchMode):
    """Counts the bytes of all tensors that are alive, from those at hand on; those inside of operations are unseen."""

    def __init__(self, tensors: Iterable[torch.Tensor]) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._alive: set[int] = set()
        for tensor in tensors:
            self._add(tensor)

    def _add(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key not in self._alive:
            self._alive.add(key)
            self.now += size
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._drop, key, size)

    def _drop(self, key: int, size: int) -> None:
        self._alive.discard(key)
        self.now -= size

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: Any = (), named: Mapping[str, Any] | None = None
    ) -> Any:
        found = function(*arguments, **(named or {}))
        for each in tree_leaves(found):
            if isinstance(each, torch.Tensor):
                self._add(each)
        return found


def measure(model: Any, *, strategy: str, precision: str, checkpointing: bool, language: bool) -> int:
    """Returns the peak of the second of two micro-batches, with moments from an update before."""
    config = transformers.LlamaConfig(
        vocab_size=model.vocabulary, hidden_size=model.width, num_hidden_layers=model.layers, pad_token_id=0,
        num_attention_heads=model.heads, num_key_value_heads=model.key_value_heads,
        intermediate_size=model.feed_forward,
    )  # fmt: skip
    kind = transformers.AutoModelForCausalLM if language else transformers.AutoModelForSequenceClassification
    network: Any = kind.from_config(config).train()
    if strategy == "lora":
        parts = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
        peft.LoraModel(network, peft.LoraConfig(r=8, lora_alpha=16, lora_dropout=0.05, target_modules=parts), "default")
        if precision == "bf16":
            for parameter in network.parameters():
                if not parameter.requires_grad:
                    parameter.data = parameter.data.bfloat16()
    if checkpointing:
        network.gradient_checkpointing_enable({"use_reentrant": False})
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, fused=True)
    ids = torch.randint(1, model.vocabulary, (ROWS, TOKENS))

    def micro_batch() -> None:
        autocast = torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else contextlib.nullcontext()
        with autocast:
            logits = network(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.flatten(0, -2).float()
            targets = ids.flatten() if language else torch.zeros(ROWS, dtype=torch.long)
            torch.nn.functional.cross_entropy(logits, targets).backward()

    micro_batch()
    optimizer.step()
    moments = [tensor for state in optimizer.state.values() for tensor in state.values()]
    gradients = [parameter.grad for parameter in trained if parameter.grad is not None]
    counted = AllocatedBytes([*network.parameters(), *network.buffers(), *moments, *gradients])
    with counted:
        micro_batch()
    return counted.peak


WIDE = large_models.Llama(4, 128, 352, 4, 2, 500)
DEEP = large_models.Llama(8, 64, 256, 4, 4, 300)


@pytest.mark.parametrize("model", [WIDE, pytest.param(DEEP, marks=pytest.mark.long)], ids=["wide", "deep"])
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("strategy", ["full", "lora"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_formula_is_within_15_percent_of_what_is_allocated(
    model: Any, checkpointing: bool, strategy: str, precision: str
) -> None:
    how = {"strategy": strategy, "precision": precision, "checkpointing": checkpointing}
    found = measure(model, language=False, **how)  # type: ignore[arg-type]
    assert large_models.estimate(model, tokens=ROWS * TOKENS, **how).total == pytest.approx(found, rel=0.15)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_logits_of_a_large_vocabulary_are_in_the_formula(checkpointing: bool) -> None:
    model = large_models.Llama(2, 64, 128, 4, 4, 8_000)
    found = measure(model, strategy="full", precision="fp32", checkpointing=checkpointing, language=True)
    predicted = large_models.estimate(
        model, tokens=ROWS * TOKENS, scored_tokens=ROWS * TOKENS, checkpointing=checkpointing
    )
    assert predicted.total == pytest.approx(found, rel=0.15)


def test_the_page_has_the_table_that_the_command_prints() -> None:
    page = (ROOT / "docs" / "large-models.md").read_text()
    assert "\n".join(large_models.table()) in page
