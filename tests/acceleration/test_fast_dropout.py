"""Cheap dropout does what dropout does."""

import pytest
import torch
from torch import nn

from tlnlp.acceleration.fast_dropout import FastDropout, drop


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_places_fall_out_with_their_probability_and_the_mean_stays(probability: float) -> None:
    torch.manual_seed(0)
    found = drop(torch.ones(1000, 1001), probability)
    kept = found != 0
    # Four standard deviations of a share of a million places.
    assert abs(1 - kept.double().mean() - probability) < 4 * (probability * (1 - probability) / kept.numel()) ** 0.5
    assert found[kept].unique().numel() == 1
    torch.testing.assert_close(found[kept][0].item(), 1 / (1 - probability), rtol=1e-3, atol=0)


def test_neighbouring_places_fall_out_independently() -> None:
    torch.manual_seed(1)
    kept = (drop(torch.ones(4_000_000), 0.5) != 0).double() * 2 - 1
    for distance in (1, 2, 3, 4, 8):
        assert abs((kept[:-distance] * kept[distance:]).mean()) < 4 / len(kept) ** 0.5


def test_the_gradient_goes_where_the_value_went() -> None:
    torch.manual_seed(2)
    states = torch.randn(30, 7, dtype=torch.float64, requires_grad=True)
    found = drop(states, 0.3)
    found.sum().backward()
    torch.testing.assert_close(states.grad * states.detach(), found.detach())


def test_the_same_seed_draws_the_same_mask_and_another_another() -> None:
    def masks(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return torch.stack([drop(torch.ones(50), 0.5), drop(torch.ones(50), 0.5)])

    assert torch.equal(masks(3), masks(3))
    assert not torch.equal(masks(3), masks(4))
    assert not torch.equal(*masks(3))


def test_a_network_at_rest_drops_nothing_and_is_what_it_was() -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.Dropout(0.0))
    FastDropout.install(network)
    assert isinstance(network[1], FastDropout)
    states = torch.randn(3, 4)
    assert torch.equal(network.eval()(states), network[0](states))
    assert not torch.equal(network.train()(states), network[0](states))
