"""A share that is shown says neither none nor all where that is not so."""

from __future__ import annotations

import pytest

from tlnlp.display.formatting import percent


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (0, "0.0%"),
        (1e-9, "<0.1%"),
        (0.000499, "<0.1%"),
        (0.0005, "0.1%"),
        (0.3414, "34.1%"),
        (0.9994, "99.9%"),
        (0.9996, ">99.9%"),
        (1, "100.0%"),
    ],
)
def test_shares(share: float, shown: str) -> None:
    assert percent(share) == shown


def test_only_none_is_shown_as_none_and_only_all_as_all() -> None:
    for hundredths in range(1, 10_000):
        assert percent(hundredths / 10_000) not in ("0.0%", "100.0%")
