"""Every architecture with heads and strategies: it trains rightly or is refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architectures import cells, parity
from tests.architectures.checkpoints import ARCHITECTURES, DECODERS, build

HEADS, STRATEGIES = list(cells.RECIPES), list(cells.STRATEGY_TEXTS)
# Those whose layers, tables, masks or tokens are of a kind of their own.
OF_THEIR_OWN_KIND = (
    "albert", "bart", "canine", "eurobert", "fnet", "layoutlm", "longformer", "modernbert", "openai-gpt", "squeezebert",
    "t5", "xlm", "xlnet",
)  # fmt: skip


def few_cells() -> list[tuple[str, str, str]]:
    """Each architecture of a kind of its own, with one head and one strategy after another; each of these at least
    once."""
    found = []
    for number, name in enumerate(OF_THEIR_OWN_KIND):
        found.append((name, "sentence", STRATEGIES[number % len(STRATEGIES)]))
        head = HEADS[number % len(HEADS)]
        found.append((name, "gpt" if name in DECODERS and head == "masked_lm" else head, "full"))
    rest = [strategy for strategy in STRATEGIES if strategy not in {each[2] for each in found}]
    return list(dict.fromkeys([*found, *(("bert", "sentence", strategy) for strategy in rest)]))


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
    assert {head for _, head, _ in few_cells()} == set(HEADS)
    assert {strategy for _, _, strategy in few_cells()} == set(STRATEGIES)
    assert set(few_cells()) <= set(ALL_CELLS)
    assert len(ARCHITECTURES) >= 45


@pytest.mark.parametrize("cell", few_cells(), ids="-".join)
def test_a_cell_is_right_or_refused_in_words(
    cell: tuple[str, str, str], checkpoints: dict[str, Path], rows: Path, tmp_path: Path
) -> None:
    name, head, strategy = cell
    said = cells.check(checkpoint_of(name, checkpoints), head, strategy, rows, tmp_path)
    assert said == cells.OK or said.startswith("refused: ")


@pytest.mark.long
@pytest.mark.parametrize("cell", [each for each in ALL_CELLS if each not in few_cells()], ids="-".join)
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
