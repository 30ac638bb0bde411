"""What makes a small multilingual encoder learn faster? Short pre-trainings that differ in one thing, and a table.

    python research/mini/pretraining_trials.py runs/mini_text --characters 16
    python research/mini/pretraining_trials.py runs/mini_text --arms 1 4 --upos $DATA/udpos

All arms read the same lines once. Perplexity is that of the same hidden words (15 %) for all, on rows of 128 tokens.
With --upos: accuracy of parts of speech learnt from 4,000 English rows, in English, in the mean of German, French,
Spanish and Russian, and in Persian. Arms run one after the other; a finished one is not repeated.
"""

from __future__ import annotations

import argparse
import json
import runpy
import statistics
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = ["--strategy", "from_scratch", "--precision", "bf16", "--quiet", "--resume"]


@dataclass(frozen=True)
class Arm:
    """What differs: flags of the recipe, the network's configuration, where its piece table begins."""

    name: str
    flags: tuple[str, ...] = ()
    config: dict[str, Any] = field(default_factory=dict)
    starts_from_counts: bool = False


ARMS = (
    Arm("rate 2e-3, mask 0.3, rows of 128, 32 an update"),
    Arm("rate 1e-3", ("--learning-rate", "1e-3")),
    Arm("rate 4e-3", ("--learning-rate", "4e-3")),
    Arm("piece table from counts", starts_from_counts=True),
    Arm("mask 0.4", ("--mask-fraction", "0.4")),
    Arm("mask 0.2", ("--mask-fraction", "0.2")),
    Arm("rows of 64, 64 an update", ("--max-length", "64", "--batch-size", "64")),
    Arm("16 an update", ("--batch-size", "16")),
    Arm("64 an update", ("--batch-size", "64")),
    Arm("6 layers of width 192", config=dict(num_hidden_layers=6, hidden_size=192, num_attention_heads=3)),
    Arm("3 layers", config=dict(num_hidden_layers=3)),
    Arm("counts, rate 4e-3", ("--learning-rate", "4e-3"), starts_from_counts=True),
    Arm("counts, 16 an update", ("--batch-size", "16"), starts_from_counts=True),
    Arm("counts, rate 1e-3", ("--learning-rate", "1e-3"), starts_from_counts=True),
    Arm("counts, mask 0.4", ("--mask-fraction", "0.4"), starts_from_counts=True),
    Arm("counts, rows of 64, 64 an update", ("--max-length", "64", "--batch-size", "64"), starts_from_counts=True),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path, help="the folder that mini_text.py has written")
    parser.add_argument("--characters", type=float, default=16, metavar="MILLIONS")
    parser.add_argument("--arms", type=int, nargs="+", default=list(range(1, len(ARMS) + 1)), metavar="NUMBER")
    parser.add_argument("--upos", type=Path, metavar="FOLDER")
    parser.add_argument("--work", type=Path, default=REPOSITORY / "runs" / "benchmarks" / "pretraining")
    parser.add_argument("--pretrain", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.pretrain is not None:
        pretrain(ARMS[asked.arms[0] - 1], asked.pretrain)
        return
    data = write_data(asked.text, asked.work / f"{asked.characters:g}M", asked.characters * 1e6)
    lines = [
        "| arm | updates | million tokens | minutes | perplexity |" + " en | de fr es ru | fa |" * bool(asked.upos)
    ]
    lines.append("|---|" + "---:|" * (lines[0].count("|") - 2))
    for number in asked.arms:
        lines.append(measure(number, data, asked))
        print(lines[-1], file=sys.stderr, flush=True)
    print("\n".join(lines))


def write_data(text: Path, folder: Path, characters: float) -> Path:
    """The first so many characters of the text."""
    place = folder / "data"
    if not (place / "validation.txt").exists():
        place.mkdir(parents=True, exist_ok=True)
        with (text / "train.txt").open(encoding="utf-8") as file, (place / "train.txt").open("w") as out:
            for line in file:
                out.write(line)
                characters -= len(line)
                if characters < 0:
                    break
        (place / "validation.txt").write_text((text / "validation.txt").read_text(encoding="utf-8"))
    return place


def pretrain(arm: Arm, flags: list[str]) -> None:
    """One arm, in this process: the recipe with the arm's configuration."""
    recipe = runpy.run_path(str(REPOSITORY / "recipes" / "pretrain.py"))["recipe"]
    new = recipe.new_model
    replace(recipe, new_model=replace(new, config={**new.config, **arm.config})).main(flags)


def measure(number: int, data: Path, asked: argparse.Namespace) -> str:
    """Pre-trains an arm, if that has not been done, and gives its line of the table."""
    arm, folder = ARMS[number - 1], data.parent / f"arm{number}"
    flags = ["--data", str(data), "--output-dir", str(folder), "--learning-rate", "2e-3", *SHARED, *arm.flags]
    if arm.starts_from_counts:
        start = data.parent / "start"
        if not (start / "model.safetensors").exists():
            run("research/mini/initial_embeddings.py", str(data.parent / "data"), str(start))
        flags += ["--model", str(start), "--strategy", "full"]
    if not (folder / "result.json").exists():
        run("research/mini/pretraining_trials.py", str(asked.text), "--arms", str(number), "--pretrain", *flags)
    result = json.loads((folder / "result.json").read_text())
    tokens = result["tokens_per_second"] * result["seconds"]["train"]
    cells = [arm.name, f"{result['updates']:,}", f"{tokens / 1e6:.1f}", f"{result['seconds']['train'] / 60:.1f}"]
    cells.append(f"{perplexity(folder, data):.1f}")
    if asked.upos:
        cells += upos(folder, asked.upos)
    return f"| {' | '.join(cells)} |"


def run(script: str, *arguments: str) -> None:
    subprocess.run([sys.executable, script, *arguments], cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)


def perplexity(folder: Path, data: Path) -> float:
    """On the same hidden words for every arm: a run that learns nothing."""
    place = folder.with_name(f"{folder.name}-judged")
    if not (place / "result.json").exists():
        flags = ["--train-rows", "200", "--learning-rate", "1e-12", "--epochs", "1", "--mask-fraction", "0.15"]
        run(
            "recipes/pretrain.py", "--data", str(data), "--model", str(folder / "model"), "--strategy", "head_only",
            *flags, "--quiet", "--output-dir", str(place),
        )  # fmt: skip
    return json.loads((place / "result.json").read_text())["metrics"]["perplexity"]


def upos(folder: Path, data: Path) -> list[str]:
    """Accuracy in English, in the mean of four languages, and in Persian."""
    place = folder.with_name(f"{folder.name}-upos")
    if not (place / "result.json").exists():
        flags = ["--train-rows", "4000", "--epochs", "3", "--learning-rate", "5e-4", "--languages", "de", "fr", "es"]
        run(
            "recipes/udpos_zero_shot.py", "--data", str(data), "--columns", "tags=upos", "--model",
            str(folder / "model"), *flags, "ru", "fa", "--precision", "bf16", "--quiet", "--output-dir", str(place),
        )  # fmt: skip
    languages = json.loads((place / "result.json").read_text())["languages"]
    scores = {each["language"]: next(iter(each["metrics"].values())) for each in languages["targets"]}
    english = next(iter(languages["source"]["metrics"].values()))
    four = statistics.fmean(scores[each] for each in ("de", "fr", "es", "ru"))
    return [f"{english:.3f}", f"{four:.3f}", f"{scores['fa']:.3f}"]


if __name__ == "__main__":
    main()
