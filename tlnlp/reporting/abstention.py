"""The report's section on when not to answer: prediction sets and abstention."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tlnlp.display.formatting import percent

METHODS = {"lac": "LAC", "aps": "APS"}


def describe_abstention(conformal: Mapping[str, Any] | None, calibration: Mapping[str, Any] | None) -> dict[str, Any]:
    """Returns the template's variables: `words` and tables, without those there is nothing to say in."""
    found: dict[str, Any] = {"words": "", "sets": [], "abstention": []}
    if conformal and any(conformal["measured"].values()):
        of = "words" if conformal["unit"] == "word" else "rows"
        found["words"] = (
            "Sets of labels that contain the right one at a stated error rate (tlnlp predict --error-rate), calibrated "
            f"on these {conformal['rows']:,} rows. Here each half of them is measured with the threshold of the other: "
            f"coverage is the share of {of} whose set has the right label."
        )
        found["sets"] = table_of_sets(conformal)
    if calibration and calibration.get("abstention"):
        found["abstention"] = table_of_abstention(calibration)
    return found if found["sets"] or found["abstention"] else {}


def table_of_sets(conformal: Mapping[str, Any]) -> list[list[str]]:
    """Returns a line for each method and error rate."""
    lines = [["error rate", "method", "coverage", "95 % interval", "labels in a set", "sets of one label"]]
    for method, measured in conformal["measured"].items():
        for each in measured:
            lines.append(
                [
                    f"{each['error_rate']:g}", METHODS[method], f"{each['coverage']:.3f}",
                    f"{each['low']:.3f} to {each['high']:.3f}", f"{each['mean_size']:.2f}", percent(each["single"]),
                ]
            )  # fmt: skip
    return lines


def table_of_abstention(calibration: Mapping[str, Any]) -> list[list[str]]:
    """Returns a line for each threshold: what is answered, and how much of it is right."""
    lines = [["--abstain-below", "answered", "accuracy of the answered"]]
    for each in calibration["abstention"]:
        accuracy = "" if each["accuracy"] is None else f"{each['accuracy']:.3f}"
        lines.append([f"{each['below']:g}", percent(each["answered"]), accuracy])
    return lines
