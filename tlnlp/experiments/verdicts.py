"""Verdicts: a comparison in short sentences: what is significant, what is not, and what would be needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tlnlp.evaluation.statistics import LEVEL, MOST_SEEDS, POWER

# The headings of the sentences, in this order.
HELPED, HURT, BEST, UNCLEAR, BEWARE = (
    "Did transfer help?",
    "Negative transfer",
    "Which is best?",
    "What these runs cannot tell",
    "Beware",
)
# No test set is larger: a difference that would need more is reported as none.
MOST_DEV_ROWS = 1_000_000


def find_verdicts(metric_inputs: dict[str, Any], *, seeds: int, shares_dev: bool) -> dict[str, list[str]]:
    """Returns {heading: sentences}, without empty headings.

    Args:
        metric_inputs: the result of `comparison.judge`.
    """
    found = {
        HELPED: [line for effect in metric_inputs["effects"] for line in _say_effect(effect, metric_inputs)],
        HURT: [line for effect in metric_inputs["effects"] for line in _say_harm(effect, metric_inputs)],
        BEST: _say_best(metric_inputs),
        UNCLEAR: _say_unclear(metric_inputs),
        BEWARE: _say_warnings(metric_inputs, seeds, shares_dev),
    }
    if not metric_inputs["effects"] and metric_inputs["curves"]:
        found[HELPED] = ["There is no baseline: add from_scratch to --strategies to measure the gain from transfer."]
    return {heading: lines for heading, lines in found.items() if lines}


def show_score(value: float) -> str:
    """Formats a score with three decimals if it is between 0 and 1, otherwise with three significant digits."""
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _between(low: float, high: float) -> str:
    return f"{show_score(low)} to {show_score(high)}"


def _say_effect(effect: dict[str, Any], metric_inputs: dict[str, Any]) -> list[str]:
    arm, control = effect["arm"], effect["control"]
    start, end = effect["rows_saved"][0]["rows"], effect["rows_saved"][-1]["rows"]
    lines = [f"{arm}: {_say_end('start', metric_inputs, arm, control, start)}"]
    if start != end:
        lines.append(f"{arm}: {_say_slope(effect['slope'], control)}")
        lines.append(f"{arm}: {_say_end('end', metric_inputs, arm, control, end)}")
    lines += [line for saved in effect["rows_saved"][:-1] if (line := _say_saved(saved, arm, control))]
    return lines


def advantage(metric_inputs: dict[str, Any], arm: str, other: str, rows: int) -> dict[str, Any]:
    """Returns the comparison of the two arms at this size, from the point of view of `arm`."""
    for each in metric_inputs["comparisons"]:
        if each["rows"] == rows and {each["first"], each["second"]} == {arm, other}:
            if each["first"] == arm:
                return each
            turned = {"first": arm, "second": other, "advantage": -each["advantage"]}
            return each | turned | {"low": -each["high"], "high": -each["low"]}
    raise KeyError((arm, other, rows))


def _say_end(name: str, metric_inputs: dict[str, Any], arm: str, control: str, rows: int) -> str:
    found = advantage(metric_inputs, arm, control, rows)
    by = f"by {show_score(abs(found['advantage']))} at {rows:,} rows ({_between(found['low'], found['high'])})"
    if not found["is_clear"]:
        return f"{name} not distinguishable from {control}, {show_score(found['advantage'])} at {rows:,} rows" + (
            f" ({_between(found['low'], found['high'])})."
        )
    return f"{'higher' if found['advantage'] > 0 else 'lower'} {name} than {control}, {by}."


def _say_slope(found: dict[str, Any], control: str) -> str:
    gains = f"{show_score(found['gain_per_doubling'])} against {show_score(found['control_gain_per_doubling'])}"
    each = f"for each doubling from {found['from_rows']:,} to {found['to_rows']:,} rows"
    if not found["is_clear"]:
        return f"slope not distinguishable from {control}, {gains} {each}."
    return f"{'steeper' if found['advantage'] > 0 else 'less steep'} than {control}, {gains} {each}."


def _say_saved(saved: dict[str, Any], arm: str, control: str) -> str | None:
    """Says how many rows of `control` the arm's rows are worth; None unless they are significantly worth more."""
    rows, point, low, high = (saved[name] for name in ("rows", "needed", "low", "high"))
    over = saved["largest"] - rows
    if low is None:
        return (
            f"{arm}: {rows:,} rows score what {control} does not reach with {saved['largest']:,}: "
            f"more than {over:,} labelled rows saved."
        )
    if _round(low - rows) <= 0:
        return None
    worth = f"more than {saved['largest']:,}" if point is None else f"about {_round(point):,}"
    most = f"more than {over:,}" if point is None else f"about {_round(point - rows):,}"
    until = f"more than {over:,}" if high is None else f"{_round(high - rows):,}"
    return (
        f"{arm}: {rows:,} rows are worth {worth} of {control}: "
        f"{most} labelled rows saved ({_round(low - rows):,} to {until})."
    )


def _round(rows: float) -> int:
    """Rounds to two significant digits, since such estimates are not more precise."""
    rows = max(rows, 0)
    digits = 10 ** max(0, len(str(int(rows))) - 2)
    return int(round(rows / digits) * digits)


def _say_harm(effect: dict[str, Any], metric_inputs: dict[str, Any]) -> list[str]:
    lines = []
    for saved in effect["rows_saved"]:
        found = advantage(metric_inputs, effect["arm"], effect["control"], saved["rows"])
        if found["is_clear"] and found["advantage"] < 0:
            lines.append(
                f"{effect['arm']} at {saved['rows']:,} rows: worse than {effect['control']} by "
                f"{show_score(-found['advantage'])} ({_between(-found['high'], -found['low'])}). Transfer hurts here."
            )
    return lines


def _say_best(metric_inputs: dict[str, Any]) -> list[str]:
    lines = []
    for rows in sorted({each["rows"] for each in metric_inputs["comparisons"]}):
        pairs = [each for each in metric_inputs["comparisons"] if each["rows"] == rows]
        names = list(dict.fromkeys(name for each in pairs for name in (each["first"], each["second"])))
        # The arm that is ahead in most pairs, which already account for the direction of the metric.
        best = max(names, key=lambda name: sum(_is_ahead(each, name) for each in pairs))
        others = [advantage(metric_inputs, best, name, rows) for name in names if name != best]
        unclear = [each["second"] for each in others if not each["is_clear"]]
        clear = [each["second"] for each in others if each["is_clear"]]
        line = f"{rows:,} rows: {best}"
        if not unclear:
            line += f", better than {_join(clear)} by more than the spread."
        elif clear:
            line += f" has the best mean, better than {_join(clear)}; not distinguishable from {_join(unclear)}."
        else:
            line += f" has the best mean; no difference to {_join(unclear)} is more than the spread."
        lines.append(line)
    return lines


def _is_ahead(pair: dict[str, Any], name: str) -> bool:
    return (pair["first"] == name and pair["advantage"] >= 0) or (pair["second"] == name and pair["advantage"] < 0)


def _join(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _say_unclear(metric_inputs: dict[str, Any]) -> list[str]:
    lines = []
    for each in metric_inputs["comparisons"]:
        if each["is_clear"]:
            continue
        pair = (
            f"{each['rows']:,} rows: {each['first']} and {each['second']}, {show_score(abs(each['advantage']))} apart"
        )
        if not each["advantage"] or (each["dev_rows_needed"] or 0) > MOST_DEV_ROWS:
            lines.append(f"{pair}: consider them equal.")
        elif not each["covers_seeds"]:
            lines.append(f"{pair}; run more seeds first.")
        elif each["seeds_needed"]:
            lines.append(f"{pair}; about {each['seeds_needed']:,} seeds would be needed.")
        elif each["dev_rows_needed"] > 0 and _is_hidden_by_rows(each):
            lines.append(
                f"{pair}; more seeds are not enough, more than {_round(each['dev_rows_needed']):,} dev rows are needed."
            )
        else:
            lines.append(f"{pair}; more than {MOST_SEEDS:,} seeds: consider them equal.")
    if lines:
        lines.append(
            f"(Needed: to detect such a difference, if it is real, in {POWER:.0%} of all repetitions, at a level of "
            f"{LEVEL:g} for all pairs at one size together.)"
        )
    return lines


def _is_hidden_by_rows(pair: dict[str, Any]) -> bool:
    return pair["dev_rows_needed"] > pair["dev_rows"]


def _say_warnings(metric_inputs: dict[str, Any], seeds: int, shares_dev: bool) -> list[str]:
    lines = []
    if seeds == 1:
        lines.append(
            "One seed: intervals cover only the variance over dev rows, not over seeds. Use --seeds 3 or more."
        )
    if seeds == 2:
        lines.append(
            "Two seeds: the spread is estimated from two runs only, so that only huge differences are significant."
        )
    if not shares_dev:
        lines.append("Each seed has its own dev rows, so that the spread over seeds includes that over rows.")
    for curve in metric_inputs["curves"]:
        for point in curve["points"]:
            if point["constant_seeds"]:
                which = ", ".join(map(str, point["constant_seeds"]))
                lines.append(
                    f"{curve['arm']}, {point['rows']:,} rows: the same prediction for all rows (seeds {which})."
                )
    return lines
