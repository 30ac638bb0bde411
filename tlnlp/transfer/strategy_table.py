"""The table printed at the start of a run: the number of weights of each layer group, and its peak learning rate in
each phase."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from tlnlp.display.console import count_epochs
from tlnlp.transfer.groups import Group
from tlnlp.transfer.phases import CLASSIFIER, Phase


def strategy_table(name: str, groups: Sequence[Group], phases: Sequence[Phase]) -> Table:
    """Returns a table with one row per layer group (similar neighbours are joined) and one column per phase."""
    table = Table(title=f"strategy {name}", title_justify="left", box=None, pad_edge=False)
    table.add_column("layer group")
    table.add_column("weights", justify="right")
    for phase in phases:
        epochs = f" ({count_epochs(phase.epochs)})" if phase.fit is None else ""
        table.add_column(phase.name + epochs, justify="right")
    for run in _join_similar(groups, phases):
        name = run[0].name if len(run) == 1 else f"{run[0].name} to {run[-1].name.split()[-1]}"
        size = f"{run[0].size:,}" if len(run) == 1 else f"{len(run)} x {run[0].size:,}"
        table.add_row(name, size, *[_rate(phase, run[0].name) for phase in phases])
    return table


def _join_similar(groups: Sequence[Group], phases: Sequence[Phase]) -> list[list[Group]]:
    """Groups neighbouring layers of the same size and learning rates, so that deep networks fit on a screen."""
    runs: list[list[Group]] = []
    for group in groups:
        kind = (group.name.split()[0], group.size, [phase.learning_rates.get(group.name) for phase in phases])
        if runs:
            last = runs[-1][-1]
            if kind == (last.name.split()[0], last.size, [phase.learning_rates.get(last.name) for phase in phases]):
                runs[-1].append(group)
                continue
        runs.append([group])
    return runs


def _rate(phase: Phase, name: str) -> str:
    if phase.fit is not None and name == CLASSIFIER:
        return "fitted"
    if name not in phase.learning_rates:
        return "frozen"
    return f"{'biases' if name in phase.only_biases else 'learns'}, {phase.learning_rates[name]:.3g}"
