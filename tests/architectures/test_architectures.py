"""Every architecture with heads and strategies: it trains rightly or is refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers.models.layoutlm.modeling_layoutlm import LayoutLMModel, LayoutLMSelfAttention

from tests.architectures import cells, parity
from tests.architectures.checkpoints import ARCHITECTURES, build
from tlnlp.acceleration.padding_free import PaddingFree
from tlnlp.transfer import groups

HEADS, STRATEGIES = list(cells.RECIPES), list(cells.STRATEGY_TEXTS)
# Cells of networks of a kind of their own: each was wrong once, or stands for the others of its kind.
FEW_CELLS = [
    ("albert", "sentence", "head_only"),  # one layer, called several times
    ("bart", "sentence", "lora"),  # two stacks of layers, one table for both
    ("canine", "sentence", "adapter"),  # no table of tokens, no fast tokenizer
    ("canine", "tag", "full"),
    ("data2vec-text", "masked_lm", "full"),  # a new head that transformers leaves uninitialised
    ("deberta-v2", "span", "full"),  # relative positions
    ("eurobert", "sentence", "layer_decay"),  # grouped queries
    ("fnet", "sentence", "prompt"),  # no mask
    ("fnet", "choice", "full"),
    ("gemma3_text", "gpt", "full"),  # windows of attention, in a decoder
    ("layoutlm", "sentence", "from_scratch"),  # bidirectional by its mask alone
    ("longformer", "sentence", "top_layers"),  # pads rows itself
    ("mamba", "causal_lm", "full"),  # no attention
    ("mobilebert", "sentence", "ia3"),  # lists of modules within a layer
    ("modernbert", "tag", "full"),  # windows of attention, in an encoder
    ("openai-gpt", "gpt", "full"),  # neither a pad nor an end token
    ("opt", "causal_lm", "full"),  # calls a part of its body
    ("qwen2", "sentence", "prefix"),
    ("roberta", "sentence", "reinit_top"),
    ("squeezebert", "sentence", "bias_only"),  # calls `layer.forward`
    ("stablelm", "sentence", "shallow"),
    ("t5", "sentence", "from_scratch"),  # two stacks of layers, a new table for both
    ("t5", "gpt", "full"),
    ("xlm", "sentence", "head_then_full"),  # parts of layers in parallel lists
    ("xlnet", "sentence", "full"),  # reads the last position, padded or not
    ("bert", "choice", "full"),
    ("bert", "sentence", "gradual_unfreezing"),
    ("llama", "sentence", "layer_decay"),
]
FEW_CELLS = [cell for cell in FEW_CELLS if cell[0] in ARCHITECTURES]


ALL_CELLS = list(
    dict.fromkeys(
        [(name, head, "full") for name in ARCHITECTURES for head in HEADS]
        + [(name, "sentence", strategy) for name in ARCHITECTURES for strategy in STRATEGIES]
    )
)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The checkpoints that tests have asked for."""
    return {"": tmp_path_factory.mktemp("checkpoints")}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Few rows for each recipe."""
    return cells.write_rows(tmp_path_factory.mktemp("rows"))


def checkpoint_of(name: str, checkpoints: dict[str, Path]) -> Path:
    if name not in checkpoints:
        checkpoints[name] = build(name, checkpoints[""] / name)
    return checkpoints[name]


def test_the_few_cells_have_every_head_and_every_strategy() -> None:
    assert {head for _, head, _ in FEW_CELLS} == set(HEADS)
    assert {strategy for _, _, strategy in FEW_CELLS} == set(STRATEGIES)
    assert set(FEW_CELLS) <= set(ALL_CELLS)
    assert len(ARCHITECTURES) >= 45


@pytest.mark.parametrize("cell", FEW_CELLS, ids="-".join)
def test_a_cell_is_right_or_refused_in_words(
    cell: tuple[str, str, str], checkpoints: dict[str, Path], rows: Path, tmp_path: Path
) -> None:
    name, head, strategy = cell
    said = cells.check(checkpoint_of(name, checkpoints), head, strategy, rows, tmp_path)
    assert said == cells.OK or said.startswith("refused: ")


@pytest.mark.skipif(
    not LayoutLMModel._supports_sdpa, reason="this release of transformers has one attention for LayoutLM"
)
def test_a_cell_notices_a_speed_up_that_does_not_hold(
    checkpoints: dict[str, Path], rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LayoutLM packed with causal attention, as it was once. The run itself may see it first, in the saved network."""
    monkeypatch.setattr(PaddingFree, "_try_on", lambda *arguments: "")
    monkeypatch.setattr(LayoutLMSelfAttention, "is_causal", True, raising=False)
    checkpoint = checkpoint_of("layoutlm", checkpoints)
    with pytest.raises((cells.Wrong, RuntimeError), match=r"something else is learnt|same logits as the trained"):
        cells.check(checkpoint, "sentence", "from_scratch", rows, tmp_path)


def test_a_cell_notices_a_weight_in_another_group(
    checkpoints: dict[str, Path], rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pooler and the classifier among the embeddings, as those of SqueezeBERT were once."""
    monkeypatch.setattr(groups, "_places_in_order", lambda *arguments: {})
    checkpoint = checkpoint_of("bert", checkpoints)
    with pytest.raises(cells.Wrong, match=r"in the embeddings, but works behind the layers"):
        cells.check(checkpoint, "sentence", "full", rows, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("cell", [each for each in ALL_CELLS if each not in FEW_CELLS], ids="-".join)
def test_every_cell_is_right_or_refused_in_words(
    cell: tuple[str, str, str], checkpoints: dict[str, Path], rows: Path, tmp_path: Path
) -> None:
    test_a_cell_is_right_or_refused_in_words(cell, checkpoints, rows, tmp_path)


@pytest.mark.parametrize(
    "name", [each if each in ("albert", "llama", "xlnet") else pytest.param(each, marks=pytest.mark.long)
             for each in parity.ARCHITECTURES],
)  # fmt: skip
def test_an_update_has_the_loss_and_the_gradients_of_the_trainers(
    name: str, checkpoints: dict[str, Path], rows: Path, tmp_path: Path
) -> None:
    found = parity.compare(name, checkpoint_of(name, checkpoints), rows / "sst2", tmp_path)
    assert found.loss < 1e-9
    assert found.gradient < 1e-9
