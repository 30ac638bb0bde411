"""Strategies: pure functions of the layer groups, so no network is needed to test them."""

from __future__ import annotations

import pytest

from tlnlp.errors import InputError
from tlnlp.settings import Settings
from tlnlp.transfer.groups import ADAPTER, Group
from tlnlp.transfer.parse_strategy import find_strategy, options_of
from tlnlp.transfer.phases import FeatureClassifierConfig, Phase
from tlnlp.transfer.strategies import STRATEGIES, STRENGTH

NAMES = ["embeddings", "layer 1", "layer 2", "layer 3", "head"]
GROUPS = [Group(name, (f"{name}.weight", f"{name}.bias"), 12, (f"{name}.bias",), 2) for name in NAMES]
SETTINGS = Settings(epochs=5, learning_rate=2e-5)


def plan(text: str) -> list[Phase]:
    return find_strategy(text).plan(GROUPS, SETTINGS)


def refusal(text: str) -> InputError:
    with pytest.raises(InputError) as caught:
        plan(text)
    return caught.value


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_names_only_groups_that_are_there_and_ends_with_a_head_that_learnt(name: str) -> None:
    phases = plan(name)
    if phases[-1].fit is not None:  # a classifier stands in the head's place
        return
    assert all(
        set(phase.learning_rates) <= {*NAMES, ADAPTER} and set(phase.reinitialize) <= set(NAMES) for phase in phases
    )
    assert all(set(phase.only_biases) <= set(phase.learning_rates) - {"head"} for phase in phases)
    assert all(phase.epochs >= 1 and min(phase.learning_rates.values()) > 0 for phase in phases)
    assert "head" in phases[-1].learning_rates
    assert len({phase.name for phase in phases}) == len(phases)


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_says_where_it_comes_from_and_what_each_option_does(name: str) -> None:
    documentation = STRATEGIES[name].__doc__ or ""
    assert " 20" in documentation or name == "from_scratch", "no paper"
    assert all(f"    {option}: " in documentation for option in options_of(STRATEGIES[name]))


def test_full_lets_all_groups_learn_at_one_rate_in_one_phase() -> None:
    (phase,) = plan("full")
    assert (phase.epochs, phase.learning_rates, list(phase.reinitialize)) == (5, dict.fromkeys(NAMES, 2e-5), [])


def test_from_scratch_is_full_after_all_weights_are_drawn_anew() -> None:
    (phase,), (control,) = plan("from_scratch"), plan("full")
    assert (phase.epochs, phase.learning_rates, list(phase.reinitialize)) == (
        control.epochs,
        control.learning_rates,
        NAMES,
    )


def test_head_only_lets_nothing_but_the_last_group_learn_at_a_rate_of_its_own() -> None:
    (phase,) = plan("head_only:factor=3")
    assert (phase.epochs, list(phase.reinitialize)) == (5, [])
    assert phase.learning_rates == pytest.approx({"head": 6e-5})


def test_top_layers_freezes_what_lies_below() -> None:
    (phase,) = plan("top_layers:k=2")
    assert phase.learning_rates == dict.fromkeys(["layer 2", "layer 3", "head"], 2e-5)


def test_head_then_full_is_two_phases() -> None:
    first, second = plan("head_then_full:head_epochs=2,full_factor=0.5")
    assert (first.epochs, first.learning_rates) == (2, pytest.approx({"head": 2e-4}))
    assert (second.epochs, second.learning_rates) == (5, pytest.approx(dict.fromkeys(NAMES, 1e-5)))
    assert [phase.epochs for phase in plan("head_then_full")] == [5, 5]


def test_gradual_unfreezing_adds_a_layer_in_each_phase_from_the_top() -> None:
    phases = plan("gradual_unfreezing")
    assert [list(phase.learning_rates) for phase in phases[:-1]] == [NAMES[4:], NAMES[3:], NAMES[2:], NAMES[1:]]
    assert set(phases[-1].learning_rates) == set(NAMES)
    assert [phase.epochs for phase in phases] == [1, 1, 1, 1, 5]
    in_twos = plan("gradual_unfreezing:layers=2,phase_epochs=3,decay=0.5")
    assert [list(phase.learning_rates) for phase in in_twos[:-1]] == [NAMES[4:], NAMES[2:]]
    assert [phase.epochs for phase in in_twos] == [3, 3, 5]
    assert in_twos[1].learning_rates == pytest.approx({"layer 2": 5e-6, "layer 3": 1e-5, "head": 2e-5})


def test_layer_decay_slows_each_group_below() -> None:
    (phase,) = plan("layer_decay:decay=0.5")
    assert phase.learning_rates == pytest.approx(
        dict(zip(reversed(NAMES), [2e-5, 1e-5, 5e-6, 2.5e-6, 1.25e-6], strict=True))
    )


def test_bias_only_lets_biases_learn_and_the_whole_head() -> None:
    (phase,) = plan("bias_only:factor=2")
    assert phase.learning_rates == pytest.approx(dict.fromkeys(NAMES, 4e-5))
    assert list(phase.only_biases) == NAMES[:-1]


def test_bias_only_is_refused_where_there_are_none() -> None:
    bare = [Group(name, (f"{name}.weight",), 10) for name in NAMES]
    with pytest.raises(InputError, match="one whose layers have none"):
        find_strategy("bias_only").plan(bare, SETTINGS)


def test_reinit_top_draws_the_top_anew_and_lets_all_learn() -> None:
    (phase,) = plan("reinit_top:k=2")
    assert list(phase.reinitialize) == ["layer 2", "layer 3", "head"]
    assert phase.learning_rates == dict.fromkeys(NAMES, 2e-5)


def test_shallow_fits_a_classifier_to_the_last_layer_unless_told_otherwise_and_makes_no_update() -> None:
    (phase,) = plan("shallow")
    assert (phase.epochs, dict(phase.learning_rates)) == (0, {})
    assert phase.fit == FeatureClassifierConfig((3,), False, "logistic_regression", "mean", STRENGTH)
    (phase,) = plan("shallow:layer=0,classifier=linear_svm,pooling=last,strength=2")
    assert phase.fit == FeatureClassifierConfig((0,), False, "linear_svm", "last", 2.0)
    (phase,) = plan("shallow:layer=mix")
    assert phase.fit == FeatureClassifierConfig((0, 1, 2, 3), True, "logistic_regression", "mean", STRENGTH)


@pytest.mark.parametrize(
    ("text", "found", "expected"),
    [
        ("head_olny", "did you mean head_only?", "head_only"),
        ("top_layers:q=1", "q=1", "k=2"),
        ("top_layers:k", "k", "k=2"),
        ("top_layers:k=two", "k=two", "a whole number"),
        ("top_layers:k=1.5", "k=1.5", "a whole number"),
        ("top_layers:k=0", "k=0", "k=1 to top_layers:k=3"),
        ("reinit_top:k=4", "k=4", "k=1 to reinit_top:k=3"),
        ("layer_decay:decay=nan", "decay=nan", "a number"),
        ("layer_decay:decay=2.6", "decay=2.6", "at most 1"),
        ("layer_decay:dacay=0.5", "did you mean decay?", "decay=0.8"),
        ("gradual_unfreezing:layers=0", "layers=0", "at least 1"),
        ("gradual_unfreezing:phase_epochs=0", "phase_epochs=0", "at least 1"),
        ("head_then_full:head_epochs=0", "head_epochs=0", "at least 1"),
        ("full:k=1", "k=1", "has no options"),
        ("head_only:factor=-1", "factor=-1", "above 0"),
        ("shallow:layer=4", "layer=4", "layer=0 to shallow:layer=3"),
        ("shallow:layer=-1", "layer=-1", "or layer=mix"),
        ("shallow:layer=mux", "did you mean mix?", "a whole number or mix"),
        ("shallow:classifier=svm", "classifier=svm", "linear_svm or nearest_centroid"),
        ("shallow:strength=0", "strength=0", "above 0"),
        ("shallow:classifier=nearest_centroid,strength=1", "strength=1", "regularised"),
        ("shallow:layer=mix,classifier=linear_svm", "layer=mix,classifier=linear_svm", "logistic_regression"),
        ("shallow:layer=0,pooling=first", "pooling=first", "layer 1 or above"),
    ],
)
def test_what_a_strategy_cannot_be_is_refused_in_words(text: str, found: str, expected: str) -> None:
    said = refusal(text)
    assert found in said.found
    assert expected in said.expected


def test_every_option_can_be_given_and_is_heard() -> None:
    given = 0
    for name, strategy in STRATEGIES.items():
        for option, parameter in options_of(strategy).items():
            kind = parameter.annotation
            if kind not in (int, float, int | None):
                continue
            value = (parameter.default or 1) + 1 if kind is not float else parameter.default * 0.5
            assert plan(f"{name}:{option}={value}") != plan(name), f"{name}:{option}"
            given += 1
    assert given >= 10


def test_a_rate_that_overflows_is_no_rate() -> None:
    assert "a number" in refusal("head_only:factor=1e999").expected
