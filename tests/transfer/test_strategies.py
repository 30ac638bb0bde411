"""Strategies: pure functions of the layer groups, so no network is needed to test them."""

import pytest

from tlnlp.errors import InputError
from tlnlp.settings import Settings
from tlnlp.transfer.groups import Group
from tlnlp.transfer.strategies import STRATEGIES, find_strategy, from_scratch, full, head_only

GROUPS = [Group(name, (f"{name}.weight",), 10) for name in ("embeddings", "layer 1", "layer 2", "head")]
NAMES = [group.name for group in GROUPS]
SETTINGS = Settings(epochs=5, learning_rate=2e-5)


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_names_only_groups_that_are_there_and_ends_with_a_head_that_learnt(name: str) -> None:
    phases = find_strategy(name)(GROUPS, SETTINGS)
    assert all(set(phase.rates) <= set(NAMES) and set(phase.redraw) <= set(NAMES) for phase in phases)
    assert all(phase.epochs >= 1 and min(phase.rates.values()) > 0 for phase in phases)
    assert any("head" in phase.rates for phase in phases)


def test_full_lets_all_groups_learn_at_one_rate_in_one_phase() -> None:
    (phase,) = full(GROUPS, SETTINGS)
    assert (phase.epochs, phase.rates, list(phase.redraw)) == (5, dict.fromkeys(NAMES, 2e-5), [])


def test_head_only_lets_nothing_but_the_last_group_learn() -> None:
    (phase,) = head_only(GROUPS, SETTINGS)
    assert (phase.epochs, phase.rates, list(phase.redraw)) == (5, {"head": 2e-5}, [])


def test_from_scratch_is_full_after_all_weights_are_drawn_anew() -> None:
    (phase,) = from_scratch(GROUPS, SETTINGS)
    (control,) = full(GROUPS, SETTINGS)
    assert (phase.epochs, phase.rates, list(phase.redraw)) == (control.epochs, control.rates, NAMES)


def test_a_misspelt_strategy_is_refused_with_the_near_name() -> None:
    with pytest.raises(InputError, match="head_olny") as refusal:
        find_strategy("head_olny")
    assert "did you mean head_only?" in refusal.value.found
    assert all(name in refusal.value.expected for name in STRATEGIES)
