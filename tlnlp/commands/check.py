"""`tlnlp check`: profiles the rows before training."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console
from rich.progress import Progress

from tlnlp.commands.arguments import CheckArguments
from tlnlp.commands.guess_task import guess_recipe
from tlnlp.data import load_splits
from tlnlp.data.bytes_to_text import FileFormat
from tlnlp.data.rows import Rows, Splits, strata_of
from tlnlp.data.sampling import draw_rows
from tlnlp.display.formatting import percent
from tlnlp.display.quiet import quiet_libraries
from tlnlp.evaluation.bag_of_words import score_baseline
from tlnlp.evaluation.data_profile import describe_data, find_in_tokens, name_pairs, share_labels
from tlnlp.evaluation.label_errors import find_label_errors
from tlnlp.evaluation.metric_names import choose_metrics
from tlnlp.evaluation.near_duplicates import SIMILARITY, find_near
from tlnlp.evaluation.odd_values import find_odd_values
from tlnlp.evaluation.scoring import measure
from tlnlp.models.checkpoint import find_checkpoint
from tlnlp.models.loading import load_tokenizer
from tlnlp.recipe import load_recipe
from tlnlp.settings import Settings
from tlnlp.task import Task

# The bag-of-words baseline learns from so many rows at most, drawn by label: more change its score by little.
BASELINE_ROWS = 50_000
LABEL_ERRORS_SHOWN = 5


def main(arguments: list[str]) -> int:
    """The command line of `tlnlp check`. Exit status 0 whatever is found, 2 if the rows cannot be read."""
    asked = tyro.cli(CheckArguments, args=arguments, prog="tlnlp check", config=(tyro.conf.FlagCreatePairsOff,))
    quiet_libraries()
    ways = ("columns", "separator", "encoding", "no_header", "label_names", "several_labels", "label_separator")
    read_as = {name: getattr(asked, name) for name in ways}
    path, plain = Path(asked.data).expanduser(), Settings(**read_as)
    form = FileFormat.of(plain)
    recipe = load_recipe(asked.recipe) if asked.recipe else guess_recipe(path, plain.columns_by_role(), form)
    settings = recipe.settings(data=asked.data, **read_as)
    splits = load_splits(recipe.task, settings)
    task, notes = choose_metrics(recipe.task.with_several(splits.several), settings, splits.train)
    recipe = replace(recipe, task=task)
    place = find_checkpoint(asked.model, weights_needed=False)
    tokenizer = load_tokenizer(place, asked.model, **recipe.task.head.tokenizer_options)
    found = describe_data(splits, tokenizer, asked.max_length or settings.max_length)
    found["notes"] = [*splits.notes, *notes]
    found["findings"] += find_in_tokens(splits, found)
    parts = {"train": splits.train, "dev": splits.dev, **({"test": splits.test} if splits.test else {})}
    found["findings"] += [words for name, rows in parts.items() for words in find_odd_values(name, rows)]
    if not asked.quick:
        found["findings"] += _describe_near(splits)
        found["findings"] += [words for name in ("train", "dev") for words in _describe_label_errors(name, parts[name])]
        found["baseline"] = _describe_baseline(task, splits.train, splits.dev)
    if asked.json:
        print(json.dumps({"task": recipe.task.name, **found}, indent=2, ensure_ascii=False))
        return 0
    _show(recipe.task, found)
    return 0


def _describe_near(splits: Splits) -> list[str]:
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        bar = progress.add_task("near-duplicates", total=len(splits.train) + len(splits.dev))
        inside, across = find_near(splits.train, splits.dev, lambda rows: progress.advance(bar, rows))
    findings = []
    for name, rows, pairs in (("train", splits.train, inside), ("dev", splits.dev, across)):
        if pairs:
            where = "" if name == "train" else " of train"
            findings.append(
                f"{name}: {len(pairs):,} rows ({percent(len(pairs) / len(rows))}) share at least {SIMILARITY:.0%} of "
                f"their wording with another{where}: {name_pairs(pairs, rows, splits.train, 'is nearly')}"
            )
            findings += _describe_torn(name, pairs, rows, splits.train)
    return findings


def _describe_torn(name: str, pairs: list[tuple[int, int]], rows: Rows, train: Rows) -> list[str]:
    """Returns a finding on near-duplicates whose labels differ: one of them is wrong, or the label is a matter of
    taste."""
    if "label" not in rows.columns or "endings" in rows.columns:
        return []
    labels, others = rows.columns["label"], train.columns["label"]
    torn = [(row, other) for row, other in pairs if labels[row] != others[other]]
    if not torn or isinstance(labels[torn[0][0]], float):
        return []
    return [f"{name}: {len(torn):,} of these have another label: {name_pairs(torn, rows, train, 'is nearly')}"]


def _describe_label_errors(name: str, rows: Rows) -> list[str]:
    """Returns a finding on labels that are likely wrong."""
    found = find_label_errors(rows)
    if found is None:
        return []
    how = f"confident learning on a bag of words, accuracy {found.accuracy:.2f}"
    if not found.is_reliable:
        return [f"{name}: the words of a text say too little of its label to look for label errors ({how})"]
    if not len(found.rows):
        return []
    names = rows.labels or ()
    shown = [
        f"row {rows.numbers[row]} is {names[rows.columns['label'][row]]}, its words say {names[likely]}"
        for row, likely in zip(found.rows[:LABEL_ERRORS_SHOWN].tolist(), found.likely.tolist(), strict=False)
    ]
    where = f" of {found.looked_at:,} drawn" if found.looked_at < len(rows) else ""
    count = f"{len(found.rows):,} rows{where} ({percent(len(found.rows) / found.looked_at)})"
    return [f"{name}: {count} may have a wrong label ({how}): {'; '.join(shown)}"]


def _describe_baseline(task: Task, train: Rows, dev: Rows) -> dict[str, Any] | None:
    whole = len(train)
    if whole > BASELINE_ROWS:
        train = train.select(draw_rows(strata_of(train), BASELINE_ROWS, seed=0))
    scored = score_baseline(task, train, dev)
    if scored is None:
        return None
    name, scores = scored
    if whole > BASELINE_ROWS:
        name = f"{name}, on {BASELINE_ROWS:,} of the {whole:,} train rows"
    return {
        "name": name,
        "metrics": scores,
        "majority": measure(task, task.head.majority_baseline(train, dev, task), dev),
    }


def _show(task: Task, found: Mapping[str, Any]) -> None:
    console = Console(highlight=False)

    def say(text: str = "") -> None:
        console.print(text, markup=False)

    say(f"read as {task.name}")
    for note in found["notes"]:
        say(f"  {note}")
    for name, facts in found["splits"].items():
        say()
        say(f"{name}: {facts['rows']:,} rows of {facts['origin']}")
        if facts["labels"]:
            say(f"  {'tags' if 'tags' in task.columns.by_role() else 'labels'}: {share_labels(facts['labels'])}")
        say(f"  words: {_spread(facts['words'])}")
        if tokens := facts.get("tokens"):
            say(f"  tokens: {_spread(tokens)}; {tokens['pieces_per_word']:.2f} per word")
            say(f"  unknown: {percent(tokens['unknown_fraction'])} of the tokens")
            say(f"  too long: {percent(tokens['long_fraction'])} of the rows have more than {tokens['limit']} tokens")
    say()
    for finding in found["findings"] or ["no findings"]:
        say(f"! {finding}" if found["findings"] else finding)
    if baseline := found.get("baseline"):
        scores = ", ".join(f"{name} {value:.4g}" for name, value in baseline["metrics"].items())
        chance = ", ".join(f"{value:.4g}" for value in baseline["majority"].values())
        say()
        say(f"{baseline['name']}: {scores}" + (f" (majority baseline: {chance})" if chance else ""))


def _spread(lengths: Mapping[str, float]) -> str:
    return f"median {lengths['median']:g}, 95th percentile {lengths['high']:,.0f}, maximum {lengths['most']:,}"
