"""What is said of simulated runs whose truth is known."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.experiments.simulated import SCRATCH, SIZES, simulate
from tlnlp.experiments import tables as showing
from tlnlp.experiments.curve_plot import draw
from tlnlp.experiments.verdicts import BEST, BEWARE, HELPED, HURT, UNCLEAR, _say_unclear, advantage

HELPFUL = tuple(each + 0.12 for each in SCRATCH)
HARMFUL = tuple(each - 0.12 for each in SCRATCH)


def test_negative_transfer_is_flagged_where_a_source_hurts_and_nowhere_else() -> None:
    found = simulate({"from_scratch": SCRATCH, "full": HELPFUL, "head_only": HARMFUL}, seeds=8, dev_rows=2000)
    harm = found["verdicts"][HURT]
    assert len(harm) == len(SIZES)
    assert all(line.startswith("head_only at ") and "The source hurts here." in line for line in harm)


@pytest.mark.long
def test_negative_transfer_is_hardly_ever_flagged_where_there_is_no_difference() -> None:
    """At most at the level stated, for all sizes of one experiment together three times that."""
    experiments = [
        simulate({"from_scratch": SCRATCH, "full": SCRATCH}, seeds=3, dev_rows=150, seed=seed) for seed in range(40)
    ]
    flagged = sum(len(each["verdicts"].get(HURT, [])) for each in experiments)
    assert flagged <= 8, "of 120 comparisons; half of the false alarms at 0.05 would be harm: 3"


def test_a_difference_is_told_in_the_direction_of_the_truth_with_its_interval() -> None:
    found = simulate({"from_scratch": SCRATCH, "full": HELPFUL}, seeds=8, dev_rows=2000)
    told = "\n".join(found["verdicts"][HELPED])
    assert re.search(r"full: higher start than from_scratch, by 0\.1\d\d at 64 rows \(0\.\d+ to 0\.\d+\)", told)
    assert re.search(r"full: higher end than from_scratch, by 0\.1\d\d at 1,024 rows", told)
    assert HURT not in found["verdicts"] and UNCLEAR not in found["verdicts"]
    assert all("full, better than from_scratch by more than the spread" in line for line in found["verdicts"][BEST])


def test_a_steeper_curve_and_a_less_steep_one_are_told_apart() -> None:
    steep = (SCRATCH[0], SCRATCH[1] + 0.12, SCRATCH[2] + 0.12)
    flat = (SCRATCH[0] + 0.1, SCRATCH[1] - 0.02, SCRATCH[2])
    found = simulate({"from_scratch": SCRATCH, "full": steep, "head_only": flat}, seeds=8, dev_rows=2000)
    told = "\n".join(found["verdicts"][HELPED])
    assert "full: steeper than from_scratch" in told
    assert "head_only: less steep than from_scratch" in told
    (slope,) = (each["slope"] for each in found["effects"] if each["arm"] == "full")
    assert (slope["from_rows"], slope["to_rows"]) == (64, 256)
    assert slope["gain_per_doubling"] == pytest.approx((steep[1] - steep[0]) / 2, abs=0.02)


def test_the_rows_that_are_saved_are_those_between_the_curves() -> None:
    # With 64 rows as good as the control with 256.
    found = simulate({"from_scratch": SCRATCH, "full": (0.68, 0.80, 0.82)}, seeds=10, dev_rows=3000)
    saved = found["effects"][0]["rows_saved"]
    assert saved[0]["needed"] == pytest.approx(256, rel=0.25)
    assert saved[0]["low"] <= saved[0]["needed"] <= saved[0]["high"]
    assert saved[1]["needed"] is None
    told = "\n".join(found["verdicts"][HELPED])
    assert re.search(
        r"full: 64 rows are worth about \d+ of from_scratch: about \d+ labelled rows saved \(\d+ to \d+\)", told
    )
    assert "full: 256 rows score what from_scratch does not reach with 1,024: more than 768 labelled rows saved" in told


def test_what_cannot_be_told_comes_with_the_seeds_that_could_and_these_can() -> None:
    truth = {"from_scratch": SCRATCH, "full": tuple(each + 0.03 for each in SCRATCH)}
    few = simulate(truth, seeds=3, dev_rows=5000, seed=1)
    unclear = [each for each in few["comparisons"] if not each["is_clear"]]
    assert unclear and all(each["seeds_needed"] is None or each["seeds_needed"] > 3 for each in unclear)
    assert any("seeds would tell" in line for line in few["verdicts"][UNCLEAR])
    many = simulate(truth, seeds=25, dev_rows=5000, seed=1)
    assert all(each["is_clear"] for each in many["comparisons"])


def test_where_dev_rows_are_too_few_more_of_them_are_asked_for() -> None:
    found = simulate({"from_scratch": SCRATCH, "full": tuple(e + 0.01 for e in SCRATCH)}, seeds=10, dev_rows=60, seed=3)
    assert any("seeds alone would not tell, it takes above" in line for line in found["verdicts"][UNCLEAR])


def test_one_seed_is_said_to_cover_no_other_seed() -> None:
    found = simulate({"from_scratch": SCRATCH, "full": HELPFUL}, seeds=1)
    assert any(line.startswith("One seed") for line in found["verdicts"][BEWARE])
    assert not any(each["covers_seeds"] for each in found["comparisons"])
    assert "over dev rows only" in showing.for_terminal(found)


def test_without_a_control_nothing_is_said_of_transfer_but_how_to_get_one() -> None:
    found = simulate({"full": HELPFUL, "head_only": SCRATCH})
    assert not found["effects"]
    assert "add from_scratch" in found["verdicts"][HELPED][0]
    assert found["verdicts"][BEST]


def test_pairs_are_corrected_for_all_at_the_same_size() -> None:
    found = simulate({"from_scratch": SCRATCH, "full": HELPFUL, "head_only": SCRATCH}, seeds=4)
    for size in SIZES:
        pairs = [each for each in found["comparisons"] if each["rows"] == size]
        assert len(pairs) == 3 == pairs[0]["family"]
        smallest = min(pairs, key=lambda each: each["p"])
        assert smallest["p_holm"] == pytest.approx(min(1, 3 * smallest["p"]))


def test_an_advantage_seen_from_the_other_side_has_the_other_sign() -> None:
    found = simulate({"from_scratch": SCRATCH, "full": HELPFUL})
    ours, theirs = advantage(found, "full", "from_scratch", 64), advantage(found, "from_scratch", "full", 64)
    assert ours["advantage"] == -theirs["advantage"] > 0
    assert (ours["low"], ours["high"]) == (-theirs["high"], -theirs["low"])


def test_the_terminal_is_eighty_columns_wide_and_has_score_interval_and_cost() -> None:
    names = ("from_scratch", "full", "layer_decay:rate=0.95", "head_then_full", "shallow:strength=1,layer=mix")
    found = simulate(dict.fromkeys(names, (*SCRATCH, 0.8, 0.85)), sizes=(*SIZES, 4096, 16384))
    shown = showing.for_terminal(found)
    assert max(map(len, shown.splitlines())) <= 80
    point = found["curves"][0]["points"][0]
    assert f"{point['mean']:.3f} ±{(point['high'] - point['low']) / 2:.3f}" in shown
    assert "learning  seconds  peak MiB  saved MB" in shown
    page = showing.for_page(found, "compare.svg", "tlnlp compare ...")
    assert "![learning curves](compare.svg)" in page and "## Which is best?" in page


def test_the_picture_is_white_has_every_curve_by_name_and_is_the_same_each_time(tmp_path: Path) -> None:
    found = simulate({"from_scratch": SCRATCH, "full": HELPFUL, "head_only": HARMFUL})
    svg, png = draw(found, showing.title(found), tmp_path)
    text = svg.read_text()
    for name in ("from_scratch", "full", "head_only", *(f"{size:,}" for size in SIZES)):
        assert f">{name}" in text, name
    assert np.asarray(Image.open(png).convert("RGB"))[0, 0].tolist() == [255, 255, 255]
    draw(found, showing.title(found), tmp_path)
    assert svg.read_text() == text


@pytest.mark.parametrize(("advantage", "dev_rows_needed"), [(0.0, 0), (1e-17, 7 * 10**32)])
def test_a_difference_that_no_number_of_dev_rows_would_show_is_called_none(
    advantage: float, dev_rows_needed: int
) -> None:
    pair = {
        "rows": 64, "first": "full", "second": "lora", "advantage": advantage, "is_clear": False, "covers_seeds": True,
        "seeds_needed": None, "dev_rows_needed": dev_rows_needed, "dev_rows": 240,
    }  # fmt: skip
    said = _say_unclear({"comparisons": [pair]})
    assert "take them for equal" in said[0]
    assert "dev rows" not in said[0]
