"""Zero-shot cross-lingual transfer of `mini`, compared with the same network from scratch, on public data.

    python benchmarks/zero_shot.py $DATA                    # three seeds of each
    python benchmarks/zero_shot.py $DATA --tasks upos --model runs/mini/model

Models are trained on English rows only and evaluated after the last update, without model selection. The settings
(strategy, head, learning rate) were chosen with one seed on the parts of speech evaluated here (README.md). Finished
runs are not repeated. The commands are printed below the table.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from tlnlp.runs.languages import is_above_chance, score_of

REPOSITORY = Path(__file__).resolve().parent.parent
FIVE = "--languages de fr es ru fa"
TAGS = f"--train-rows 8000 --epochs 3 --learning-rate 3e-4 {FIVE}"
TASKS = {
    "upos": (
        "udpos_zero_shot",
        "udpos",
        f"--columns tags=upos {TAGS}",
    ),
    "names": ("panx", "panx", TAGS),
    "sentiment": ("sentiment_zero_shot", "xed", f"--epochs 3 --learning-rate 3e-4 {FIVE}"),
}
ARMS = ("mini", "from scratch")
MEANS = (("de", "fr", "es", "ru"), ("de", "fr", "es"))
# The embeddings, in which pre-training has aligned the languages, are frozen, and the pre-trained prediction head,
# which has learnt to distinguish them, is replaced: README.md has the gains.
ACROSS_LANGUAGES = "--strategy top_layers:k=4 --new-head"
SHARED = "--seeds 3"


def mean_of(languages: tuple[str, ...]) -> str:
    return f"mean of {' '.join(languages)}"


COLUMNS = ("en", "de", "fr", "es", "ru", "fa", *map(mean_of, MEANS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder with udpos, panx and xed in it")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS), metavar="NAME")
    parser.add_argument("--precision", default="bf16", help="fp32 is faster without bf16 arithmetic")
    parser.add_argument("--work", type=Path, default=REPOSITORY / "runs" / "benchmarks" / "zero_shot")
    asked = parser.parse_args()
    commands: list[str] = []
    print(f"| task | | {' | '.join(COLUMNS)} |\n|---|---|{'---:|' * len(COLUMNS)}")
    for task in asked.tasks:
        for arm in ARMS:
            found = run(task, arm, asked, commands)
            print(f"| {task} | {arm} | {' | '.join(found.get(each, '') for each in COLUMNS)} |", flush=True)
    print("\n" + "\n".join(f"    {each}" for each in commands))


def run(task: str, arm: str, asked: argparse.Namespace, commands: list[str]) -> dict[str, str]:
    """Returns {column: formatted score} of one arm."""
    recipe, data, flags = TASKS[task]
    how = "--strategy from_scratch" if arm == "from scratch" else ACROSS_LANGUAGES
    folder = asked.work / f"{Path(asked.model).parent.name or asked.model}-{task}-{arm.replace(' ', '_')}"
    command = ["python", f"recipes/{recipe}.py", "--data", str(asked.data / data), "--model", asked.model]
    command += [*flags.split(), "--precision", asked.precision, *SHARED.split(), *how.split()]
    commands.append(shlex.join(command))
    if not (folder / "result.json").exists():
        again = [sys.executable, *command[1:], "--quiet", "--resume", "--output-dir", str(folder)]
        subprocess.run(again, cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)
    return scores(json.loads((folder / "result.json").read_text()))


def scores(result: dict[str, Any]) -> dict[str, str]:
    """Returns means over seeds with their 95 % intervals; * marks scores that are not above chance."""
    languages = result["languages"]
    parts = {each["language"]: each for each in [languages["source"], *languages["targets"]]}
    found = {
        language: f"{score_of(part).value:.3f} ± {score_of(part).half_width():.3f}"
        + ("*" if is_above_chance(part) is False else "")
        for language, part in parts.items()
    }
    for some in MEANS:
        found[mean_of(some)] = f"{statistics.fmean(score_of(parts[each]).value for each in some):.3f}"
    return found


if __name__ == "__main__":
    main()
