"""The content of the report, from the output folders of runs. No model or data set is loaded here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path, PosixPath
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from tlnlp.display.console import count_epochs
from tlnlp.display.formatting import percent
from tlnlp.evaluation.data_profile import share_labels
from tlnlp.evaluation.label_scores import table_of_labels
from tlnlp.evaluation.predictions import read_predictions
from tlnlp.reporting.abstention import describe_abstention
from tlnlp.reporting.pictures import draw_learning, draw_reliability
from tlnlp.reporting.predictions import describe_answers
from tlnlp.runs.folder import PREDICTIONS
from tlnlp.runs.languages import remarks_on, table_of
from tlnlp.runs.result import RunResult, find_control, read_result
from tlnlp.runs.summary import describe_divergence, describe_ends
from tlnlp.training.files import room_wanted, write_text

# Labels in the table of their scores; of more, those with the lowest F1.

LABELS_SHOWN = 200


class Report(PosixPath):
    """The file of a report. A notebook displays the report itself, in a frame, since it styles a whole page."""

    def _repr_html_(self) -> str | None:
        if not self.is_file():  # paths derived from this one (`.parent`) are of this class as well
            return None
        page = escape(self.read_text(encoding="utf-8"))
        return f'<iframe srcdoc="{page}" title="report" style="width: 100%; height: 40em; border: 0"></iframe>'


def save_page(runs: Sequence[Path], output: Path, pictures: Sequence[dict[str, Any]] = ()) -> None:
    """Writes the report on `runs` to the file `output`."""
    text = write_page(runs, pictures)
    with room_wanted(output.parent):
        output.parent.mkdir(parents=True, exist_ok=True)
        write_text(output, text)


def write_page(folders: Sequence[Path], pictures: Sequence[Mapping[str, Any]] = ()) -> str:
    """Returns the HTML of the report on the runs in `folders`; several runs are compared in a table.

    Args:
        pictures: {"name", "svg", "words"} of comparisons and matrices, shown above the runs.
    """
    results = [read_result(folder) for folder in folders]
    environment = Environment(
        loader=PackageLoader("tlnlp.reporting", "."), autoescape=select_autoescape(["html"]), undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    one = results[0] if len(results) == 1 else None
    return environment.get_template("page.html").render(
        title=_title(one) if one else "Runs side by side" if results else "Runs",
        subtitle=None if one is None else f"{one.rows['train']:,} train rows, {one.rows['dev']:,} dev rows",
        beside=_side_by_side(results) if len(results) > 1 else None,
        beside_words="95 % interval: of the first metric, over rows, and over seeds if there are several.",
        pictures=pictures,
        pages=[describe_run(result, folder) for result, folder in zip(results, folders, strict=True)],
        closing=f"tlnlp {results[0].versions['tlnlp']}" if results else "tlnlp",
    )


def _title(result: RunResult) -> str:
    return f"{result.task}: {Path(result.model).name}, {result.strategy}"


def describe_run(result: RunResult, folder: Path) -> dict[str, Any]:
    """Returns the template's variables for one run, or for several seeds of it."""
    place = folder / f"seed{result.seed[0]}" if isinstance(result.seed, list) else folder
    name, value = result.headline
    file = place / PREDICTIONS
    answers = describe_answers(read_predictions(file) if file.is_file() else [])
    languages = result.languages
    return {
        "title": _title(result),
        "score": f"{value:.4g}",
        "score_name": f"{name} on {result.rows['dev']:,} dev rows",
        "interval": None if result.interval is None else _interval(result),
        "beside": _beside(result),
        "warnings": _warnings(result),
        "scores": _scores(result),
        "learning": draw_learning(result),
        "confusion": _shade(answers["confusion"]) if "confusion" in answers else None,
        "tables": [*_labels(result), *_tables(answers)],
        "calibration": _calibration(result.calibration),
        "abstention": describe_abstention(result.conformal, result.calibration),
        "languages": table_of(languages) if languages else None,
        "language_remarks": remarks_on(languages) if languages else [],
        "mistakes": [_mistake(each) for each in result.mistakes],
        "mistakes_words": _mistakes_words(result),
        "data": _data(result.facts),
        "findings": (result.facts or {}).get("findings", []),
        "notes": result.notes,
        "groups": _groups(result),
        "cost": _cost(result),
        "about": _about(result),
        "command": result.command,
        "usage": "\n".join(result.usage),
        "settings": [(name, "-" if each is None else each) for name, each in result.settings.items()],
    }


def _interval(result: RunResult) -> str:
    found = result.interval or {}
    if found["refused"]:
        return f"no interval: {found['refused']}"
    over = f"other rows and seeds ({len(result.runs)})" if result.runs else "other rows, the same seed"
    note = f"; {found['note']}" if found["note"] else ""
    return f"{found['low']:.4g} to {found['high']:.4g} in 95 % of repetitions with {over}{note}"


def _beside(result: RunResult) -> list[str]:
    """Returns the baselines of the score."""
    name = result.headline[0]
    lines = []
    if name in result.majority:
        lines.append(f"{result.majority[name]:.4g} is the majority baseline")
    control = find_control(result) if result.strategy != "from_scratch" else None
    if control is not None and name in control.metrics:
        lines.append(f"{control.metrics[name]:.4g} is the same network from scratch")
    published = result.published
    if published and name in published["score"]:
        where = "" if result.data == "hub" else ", on other rows"
        lines.append(f"{published['score'][name]:.4g} is the published score of {published['model']}{where}")
    return lines


def _warnings(result: RunResult) -> list[str]:
    lines = []
    if result.diverged is not None:
        lines.append(f"Diverged: {describe_divergence(result)}.")
    if result.degenerate:
        lines.append(f"Seeds {', '.join(map(str, result.degenerate))} predict the same for all rows.")
    elif result.is_constant and result.runs is None:
        lines.append("The prediction is the same for all rows: nothing was learnt.")
    lines += [f"Warning: {each}." for each in result.warnings if not (result.is_constant and "one answer" in each)]
    return lines


def _scores(result: RunResult) -> list[list[str]]:
    seeds = [run["seed"] for run in result.runs or []]
    lines = [["metric", "value", *(f"seed {seed}" for seed in seeds)]]
    for name, value in result.metrics.items():
        lines.append([name, f"{value:.4f}", *(f"{run['metrics'][name]:.4f}" for run in result.runs or [])])
    for split, other in result.extra_splits.items():
        lines += [[f"{name}, {other['rows']:,} {split} rows", f"{value:.4f}"] + [""] * len(seeds)
                  for name, value in other["metrics"].items()]  # fmt: skip
    return lines


def _shade(confusion: Mapping[str, Any]) -> dict[str, Any]:
    lines = []
    for label, counts in zip(confusion["labels"], confusion["counts"], strict=True):
        whole = max(1, sum(counts))
        cells = [{"count": f"{count:,}", "share": f"{0.85 * count / whole:.2f}"} for count in counts]
        lines.append({"label": label, "cells": cells})
    return {"labels": confusion["labels"], "lines": lines}


def _labels(result: RunResult) -> list[tuple[str, list[list[str]]]]:
    """Returns the table of scores by label, if there is one."""
    found = result.label_scores
    if not found:
        return []
    cut = f", the {LABELS_SHOWN} with the lowest F1" * (len(found["each"]) > LABELS_SHOWN)
    return [(f"By {found['of']}{cut}", table_of_labels(found, LABELS_SHOWN))]


def _tables(answers: Mapping[str, Any]) -> list[tuple[str, list[list[str]]]]:
    tables = []
    if "pairs" in answers:
        lines = [[f"{label}, predicted as {told}", f"{count:,}"] for label, told, count in answers["pairs"]]
        tables.append(("Which labels are confused most", [["label", "rows"], *lines]))
    if "lengths" in answers:
        lines = [
            [each["words"], f"{each['rows']:,}", f"{each['f1']:.3f}", f"{each['exact']:.3f}"]
            for each in answers["lengths"]
        ]
        tables.append(("By length of the answer", [["words", "rows", "F1", "exact"], *lines]))
    return tables


def _calibration(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not found:
        return None
    words = (
        f"The expected calibration error is {found['error']:.3f} ({found['answers']:,} "
        "predictions). On the diagonal, confidence equals accuracy; below it, the model is overconfident."
    )
    if "temperature" in found:
        words += (
            f" A temperature of {found['temperature']:.2f}, fitted on these rows and saved with the model, reduces it "
            f"to {found['error_after']:.3f} (cross-validated)."
            if found["error_after"] < found["error"]
            else f" No temperature is used: with one it would be {found['error_after']:.3f} (cross-validated)."
        )
    return {"words": words, "picture": draw_reliability(found)}


def _mistake(each: Mapping[str, Any]) -> dict[str, Any]:
    if "words" in each:
        words = [
            {"text": word, "label": label, "told": told}
            for word, label, told in zip(each["words"], each["label"], each["prediction"], strict=True)
        ]
        return {"row": each["row"], "words": words}
    return {
        "row": each["row"],
        "words": None,
        "texts": list(each["texts"].items()),
        "label": _plain(each["label"]),
        "told": _plain(each["prediction"]),
        # The score of a regression is the prediction itself.
        "score": f"{each['score']:.2f}"
        if isinstance(each["score"], float) and each["score"] != each["prediction"]
        else "",
    }


def _plain(answer: Any) -> str:
    if isinstance(answer, list):
        return " / ".join(map(str, answer)) or "none"
    return f"{answer:.3g}" if isinstance(answer, float) else str(answer) if answer != "" else "none"


def _mistakes_words(result: RunResult) -> str:
    seed = f" of seed {result.seed[0]}" if isinstance(result.seed, list) else ""
    of_which = (
        "wrong predictions with the highest confidence, rows with the most wrong tags, or the largest differences"
    )
    return f"The rows{seed} with the largest errors: {of_which}."


def _data(facts: Mapping[str, Any] | None) -> list[list[str]] | None:
    if not facts:
        return None
    lines = [["", "rows", "labels", "words", "tokens", "per word", "unknown", "too long", "duplicates"]]
    for name, part in facts["splits"].items():
        tokens = part["tokens"]
        lines.append(
            [
                name,
                f"{part['rows']:,}",
                share_labels(part["labels"]),
                f"{part['words']['median']:g} (to {part['words']['most']:,})",
                f"{tokens['median']:g} (to {tokens['most']:,})",
                f"{tokens['pieces_per_word']:.2f}",
                percent(tokens["unknown_fraction"]),
                percent(tokens["long_fraction"]),
                f"{part['repeated']:,}",
            ]
        )
    return lines


def _groups(result: RunResult) -> list[list[str]]:
    phases = result.phases
    lines = [["layer group", "weights", *(f"{each['name']} ({count_epochs(each['epochs'])})" for each in phases)]]
    for group in result.groups:
        learning_rates = [
            "frozen" if rate is None else rate if isinstance(rate, str) else f"{rate:.3g}" for rate in group["rates"]
        ]
        lines.append([group["name"], f"{group['weights']:,}", *learning_rates])
    return lines


def _cost(result: RunResult) -> list[tuple[str, str]]:
    seconds, parameters = result.seconds, result.parameters
    share = parameters["trainable"] / parameters["total"]
    return [
        ("training", f"{seconds['train']:,.1f} s, {result.rows_per_second:,.0f} rows per second"),
        ("evaluating", f"{seconds['evaluate']:,.1f} s"),
        ("trained weights", f"{parameters['trainable']:,} of {parameters['total']:,} ({percent(share)})"),
        ("memory", f"{result.peak_mib:,.0f} MiB peak"),
        ("saved", f"{result.saved_bytes / 1e6:,.1f} MB"),
        ("padding", f"{percent(result.padding_fraction)} of all positions"),
    ]


def _about(result: RunResult) -> list[tuple[str, str]]:
    seeds = result.seed
    return [
        ("task", result.task),
        ("checkpoint", result.model),
        ("strategy", result.strategy),
        ("data", f"{result.data} (fingerprint {result.data_fingerprint})"),
        ("seed", ", ".join(map(str, seeds)) if isinstance(seeds, list) else str(seeds)),
        ("device", f"{result.device}, {result.processes} process" + "es" * (result.processes > 1)),
        ("versions", ", ".join(f"{name} {number}" for name, number in result.versions.items())),
        ("folder", result.output),
    ]


def _side_by_side(results: Sequence[RunResult]) -> list[list[str]]:
    names = list(dict.fromkeys(name for result in results for name in result.metrics))
    lines = [["run", *names, "95 % interval", "rows", "learning", "seconds", "saved MB"]]
    for result in results:
        lines.append(
            [
                f"{_title(result)}",
                *(f"{result.metrics[name]:.4f}" if name in result.metrics else "" for name in names),
                "" if result.interval is None else describe_ends(result.interval),
                f"{result.rows['train']:,}",
                f"{result.parameters['trainable']:,}",
                f"{result.seconds['train']:,.1f}",
                f"{result.saved_bytes / 1e6:,.1f}",
            ]
        )
    return lines
