"""The result of a run: the content of `result.json` (docs/result.md describes each key)."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from tlnlp.display.json_numbers import restore_numbers
from tlnlp.errors import InputError
from tlnlp.evaluation.intervals import describe_interval, scale_from
from tlnlp.evaluation.label_scores import join_label_scores
from tlnlp.evaluation.statistics import Estimate
from tlnlp.evaluation.uncertainty import estimate_over
from tlnlp.runs import folder as folders
from tlnlp.runs.languages import join_languages
from tlnlp.runs.versions import versions_of
from tlnlp.settings import NOT_OF_THE_RUN

# The fields that the result of several seeds contains for each seed.
OF_EACH_SEED = (
    "seed", "metrics", "label_scores", "interval", "extra_splits", "languages", "seconds", "rows_per_second",
    "is_constant", "diverged", "output",
)  # fmt: skip


# The fields with scores. Those of a diverged run may be infinite or NaN, which is a text in `result.json`.
MAYBE_INFINITE = (
    "metrics", "row_variance", "interval", "extra_splits", "calibration", "majority", "history", "curve", "best",
    "languages", "runs", "spread",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """The result of a run or, with `runs`, of one run for each of several seeds. docs/result.md describes each field.

    Units are in the names; times are in seconds.
    """

    task: str
    model: str
    data: str
    strategy: str
    adapter: str | None
    seed: int | list[int]
    metrics: dict[str, float]
    row_variance: float | None
    interval: dict[str, Any] | None = None
    label_scores: dict[str, Any] | None = None
    extra_splits: dict[str, dict[str, Any]]
    null_threshold: dict[str, float] | None
    thresholds: dict[str, Any] | None = None
    calibration: dict[str, Any] | None = None
    conformal: dict[str, Any] | None = None
    majority: dict[str, float]
    published: dict[str, Any] | None
    is_constant: bool
    warnings: list[str] = field(default_factory=list)
    diverged: int | None = None
    rows: dict[str, int]
    groups: list[dict[str, Any]]
    phases: list[dict[str, Any]]
    parameters: dict[str, int]
    seconds: dict[str, float]
    rows_per_second: float
    tokens_per_second: float
    padding_fraction: float
    frozen_bytes: int
    peak_mib: float
    updates: int
    history: list[dict[str, Any]]
    curve: list[Any]
    best: dict[str, Any] | None
    resumed: int
    processes: int
    device: str
    notes: list[str]
    mistakes: list[dict[str, Any]] = field(default_factory=list)
    facts: dict[str, Any] | None = None
    settings: dict[str, Any]
    versions: dict[str, str]
    data_fingerprint: str
    identity: str
    output: str
    languages: dict[str, Any] | None = None
    command: str
    usage: list[str] = field(default_factory=list)
    saved_bytes: int = 0
    runs: list[dict[str, Any]] | None = None
    spread: dict[str, dict[str, float]] | None = None
    degenerate: list[int] | None = None

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> RunResult:
        """Returns the result from the content of a `result.json`.

        Raises:
            InputError: a field is missing, as may be the case for older versions.
        """
        known = {each.name: content[each.name] for each in fields(cls) if each.name in content}
        known |= {name: restore_numbers(known[name]) for name in MAYBE_INFINITE if name in known}
        try:
            return cls(**known)
        except TypeError as error:
            raise InputError(
                expected=f"a run of tlnlp {versions_of('tlnlp')['tlnlp']}",
                found=f"{content.get('output')}: of tlnlp {content.get('versions', {}).get('tlnlp', '?')}, {error}",
                change="run it again with --overwrite",
            ) from error

    def as_json(self) -> dict[str, Any]:
        """Returns the content of `result.json`; the fields for several seeds are omitted if there is one."""
        several = () if self.runs is not None else ("runs", "spread", "degenerate")
        return {name: value for name, value in asdict(self).items() if name not in several}

    @property
    def headline(self) -> tuple[str, float]:
        """The name and the value of the first metric."""
        return next(iter(self.metrics.items()))

    @property
    def model_folder(self) -> Path:
        """The folder of the saved model; that of the first seed if there are several."""
        seed = f"seed{self.seed[0]}" if isinstance(self.seed, list) else ""
        return Path(self.output) / seed / folders.MODEL

    def estimate(self) -> Estimate | None:
        """Returns the first metric, over seeds if there are several, with its variance; None if the variance is
        unknown."""
        if self.row_variance is None:
            return None
        name, value = self.headline
        values = [value] if self.runs is None else [run["metrics"][name] for run in self.runs]
        return estimate_over(values, self.rows["dev"], self.row_variance)


def read_result(folder: Path) -> RunResult:
    """Returns the result in the folder of a run, which may have been moved.

    Raises:
        InputError: there is none.
    """
    path = folder / folders.RESULT
    if not path.is_file():
        there = ", ".join(sorted(each.name for each in folder.iterdir())[:8]) if folder.is_dir() else "no such folder"
        raise InputError(
            expected=f"the folder of a finished run, with {folders.RESULT} in it",
            found=f"{folder}: {there or 'empty'}",
            change="the path: runs/TASK/NAME; resume an unfinished run with --resume",
        )
    return RunResult.of(json.loads(path.read_text(encoding="utf-8")) | {"output": str(folder)})


def find_control(result: RunResult) -> RunResult | None:
    """Returns the result of the same run from random weights, if its folder is next to this one's."""

    def but_strategy(settings: Mapping[str, Any]) -> dict[str, Any]:
        return {k: v for k, v in settings.items() if k not in (*NOT_OF_THE_RUN, "strategy", "new_head", "merge")}

    for path in sorted(Path(result.output).parent.glob(f"*/{folders.RESULT}")):
        content = json.loads(path.read_text())
        if (
            content.get("strategy") == "from_scratch"
            and content.get("diverged") is None
            and content.get("data_fingerprint") == result.data_fingerprint
            and but_strategy(content["settings"]) == but_strategy(result.settings)
            and len(content.get("runs", [])) == len(result.runs or [])
        ):
            return RunResult.of(content | {"output": str(path.parent)})
    return None


def join_seeds(runs: Sequence[RunResult], folder: Path) -> RunResult:
    """Returns one result for several seeds: means, the spread of each metric, and which runs are degenerate."""
    first = runs[0]
    scores = {name: [run.metrics[name] for run in runs] for name in first.metrics}
    variances = [run.row_variance for run in runs if run.row_variance is not None]
    languages = [run.languages for run in runs if run.languages is not None]
    joined = replace(
        first,
        metrics={name: statistics.fmean(values) for name, values in scores.items()},
        spread={
            name: {"std": statistics.stdev(values), "min": min(values), "max": max(values), "runs": len(values)}
            for name, values in scores.items()
        },
        extra_splits={
            name: {
                "rows": split["rows"],
                "metrics": {
                    metric: statistics.fmean(run.extra_splits[name]["metrics"][metric] for run in runs)
                    for metric in split["metrics"]
                },
            }
            for name, split in first.extra_splits.items()
        },
        label_scores=join_label_scores([run.label_scores for run in runs]),
        row_variance=statistics.fmean(variances) if len(variances) == len(runs) else None,
        languages=join_languages(languages) if languages else None,
        rows_per_second=statistics.median(run.rows_per_second for run in runs),
        seconds={name: sum(run.seconds[name] for run in runs) for name in first.seconds},
        warnings=list(dict.fromkeys(f"seed {run.seed}: {each}" for run in runs for each in run.warnings)),
        degenerate=[run.seed for run in runs if run.is_constant and isinstance(run.seed, int)],
        diverged=next((run.diverged for run in runs if run.diverged is not None), None),
        output=str(folder),
        seed=[run.seed for run in runs if isinstance(run.seed, int)],
        runs=[{key: getattr(run, key) for key in OF_EACH_SEED} for run in runs],
    )
    estimate, scale = joined.estimate(), scale_from(first.interval)
    return joined if estimate is None else replace(joined, interval=describe_interval(estimate, scale))
