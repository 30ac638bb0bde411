"""How long is the shortest code for five things, here and in the libraries beside? Own rows with own column names,
train, score on held-out rows, predict new texts, and save, load in a new process and predict the same.

    python benchmarks/shortest_code/count.py                                  # the first table of docs/shortest-code.md
    python benchmarks/shortest_code/count.py --run --python OTHER/bin/python  # runs them, too: the second table

Each `*_way.py` beside this file is one library's way. A line counts if it holds code: no comment, no docstring, no
blank line; all are formatted by this repository's ruff. `--run` starts each way in a Python that has its library: this
one, or one of `--python`.
"""

from __future__ import annotations

import argparse
import ast
import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tokenize
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
REVIEWS = REPOSITORY / "tlnlp" / "bundled" / "samples" / "reviews"
MINI = REPOSITORY / "tlnlp" / "bundled" / "mini"
LABELS = ("dislike", "like")
LOAD = "load in a new process"
# What a way's comments name, and the line of the table that it counts in.
PARTS = {
    "": "imports and arguments",
    "own rows": "own rows",
    "train": "train",
    "score": "score",
    "predict": "predict",
    "save": "save and load",
    LOAD: "save and load",
}
NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING,
           tokenize.ENDMARKER}  # fmt: skip
PIPELINE = """
import sys
from transformers import pipeline
print(pipeline("text-classification", sys.argv[1])("A film to see twice.")[0]["label"])
"""


@dataclass(frozen=True)
class Way:
    """A library's way.

    Args:
        title: at the head of its column.
        module: what is imported of it.
        saved: where in the run's folder the model lies that `pipeline()` may load.
    """

    name: str
    title: str
    module: str
    saved: str = ""

    @property
    def file(self) -> Path:
        return HERE / f"{self.name}_way.py"


WAYS = (
    Way("tlnlp", "tlnlp", "tlnlp", "model"),
    Way("setfit", "SetFit", "setfit"),
    Way("sentence_transformers", "sentence-transformers, scikit-learn", "sentence_transformers"),
    Way("transformers", "transformers' Trainer", "transformers"),
    Way("fastai", "fastai", "fastai"),
)


def lines_of_code(source: str) -> set[int]:
    """Numbers of the lines that hold code."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    lines = {n for each in tokens if each.type not in NO_CODE for n in range(each.start[0], each.end[0] + 1)}
    tree = ast.parse(source)
    if ast.get_docstring(tree) is not None:
        lines -= set(range(tree.body[0].lineno, (tree.body[0].end_lineno or 0) + 1))
    return lines


def lines_by_part(source: str) -> dict[str, list[int]]:
    """{part: its lines of code}. A part begins with the comment that names it; what comes before the first is ""."""
    code, part = lines_of_code(source), ""
    found: dict[str, list[int]] = {part: []}
    for number, line in enumerate(source.splitlines(), start=1):
        if line.startswith("# "):
            part = line[2:]
            found.setdefault(part, [])
        elif number in code:
            found[part].append(number)
    if unknown := found.keys() - PARTS.keys():
        raise ValueError(f"parts are {', '.join(PARTS)}; found {unknown}")
    return found


def counts(way: Way) -> dict[str, int]:
    """{line of the table: lines of code}."""
    parts = lines_by_part(way.file.read_text(encoding="utf-8"))
    return {title: sum(len(parts.get(p, ())) for p, t in PARTS.items() if t == title) for title in PARTS.values()}


def table() -> str:
    """Lines of code of each way, in Markdown."""
    counted = {way: counts(way) for way in WAYS}
    rows = [[title, *(str(counted[way][title]) for way in WAYS)] for title in dict.fromkeys(PARTS.values())]
    rows.append(["**lines in all**", *(f"**{sum(counted[way].values())}**" for way in WAYS)])
    return markdown(["lines of code", *(way.title for way in WAYS)], rows)


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def write_rows(folder: Path, train_rows: int, held_out_rows: int) -> dict[str, Path]:
    """The bundled reviews as CSV files with column names and labels of their own."""
    files = {}
    for split, count in (("train", train_rows), ("validation", held_out_rows)):
        lines = (REVIEWS / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()[:count]
        rows = [[row["text"], LABELS[row["label"]]] for row in map(json.loads, lines)]
        files[split] = write_csv(folder / f"{split}.csv", rows)
    return files


def write_csv(path: Path, rows: Iterable[Sequence[str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["review", "verdict"], *rows])
    return path


def damaged(files: Mapping[str, Path]) -> dict[str, dict[str, Path]]:
    """{what is wrong: the files}: one value each, in the third row."""
    wrong = {}
    for name, split, column, value in (
        ("a train row without a text", "train", 0, ""),
        ("a train row without a label", "train", 1, ""),
        ("a held-out label that train lacks", "validation", 1, "loathe"),
    ):
        with files[split].open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))[1:]
        rows[2][column] = value
        wrong[name] = {**files, split: write_csv(files[split].with_name(f"{name.replace(' ', '_')}.csv"), rows)}
    return wrong


def start(python: str, code: Path, arguments: Sequence[object], folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs `code` in `folder` without a network: what is looked for on the Hub has to lie there."""
    shutil.copytree(REPOSITORY / "tlnlp" / "evaluation" / "metrics", folder / "accuracy", dirs_exist_ok=True)
    own = {"PYTHONPATH": str(REPOSITORY), "HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(folder / "cache")}
    command = [python, str(code), *map(str, arguments)]
    return subprocess.run(
        command, cwd=folder, env={**os.environ, **own}, capture_output=True, text=True, check=False, timeout=1800
    )


def learn(way: Way, python: str, files: Mapping[str, Path], checkpoint: Path, folder: Path) -> Outcome:
    """The whole way; `folder` is what it saves into."""
    asked = (files["train"], files["validation"], checkpoint, folder)
    return Outcome.of(start(python, way.file, asked, folder.parent), asked)


def predict_again(way: Way, python: str, outcome: Outcome, folder: Path) -> str:
    """What the loaded model says in a process that runs nothing of the way but imports, arguments and the load."""
    source = way.file.read_text(encoding="utf-8")
    parts = lines_by_part(source)
    wanted = {*parts[""], *parts[LOAD]}
    code = folder / f"{way.name}_load.py"
    code.write_text("\n".join(line for n, line in enumerate(source.splitlines(), start=1) if n in wanted))
    return Outcome.of(start(python, code, outcome.asked, folder), outcome.asked).said[-1]


@dataclass(frozen=True)
class Outcome:
    """What came of a way.

    Args:
        said: lines of its standard output.
        error: its last words, where it failed; "" where it did not.
    """

    asked: Sequence[object]
    said: Sequence[str]
    error: str

    @classmethod
    def of(cls, ended: subprocess.CompletedProcess[str], asked: Sequence[object]) -> Outcome:
        error = ended.stderr.strip() if ended.returncode else ""
        return cls(asked, ended.stdout.split("\n")[:-1] or [""], error)

    @property
    def in_words(self) -> str:
        """How rows that cannot be right were taken."""
        if not self.error:
            return "goes on"
        kinds = list(re.finditer(r"(?m)^(?:\w+\.)*(\w+(?:Error|Exception))\b", self.error))
        message = self.error[kinds[-1].start() :] if kinds else self.error[-200:]
        kind = kinds[-1][1] if kinds else "ends"
        return f"{kind}, names the row" if re.search(r"\b(?:row|line) \d", message) else f"{kind}, no row"


def python_with(module: str, pythons: Sequence[str]) -> str | None:
    """The first Python that has the library."""
    look = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    own = {**os.environ, "PYTHONPATH": ""}
    for python in pythons:
        needed = "tyro" if module == "tlnlp" else module  # tlnlp is this checkout: what counts is what it needs
        if subprocess.run([python, "-c", look.replace(module, needed)], env=own, check=False).returncode == 0:
            return python
    return None


def try_way(way: Way, python: str, files: Mapping[str, Path], checkpoint: Path, folder: Path) -> dict[str, str]:
    """{what is asked: the answer} of one way: what it gives beside the five things, found by running it."""
    place = folder / way.name
    place.mkdir(parents=True)
    outcome = learn(way, python, files, checkpoint, place / "saved")
    print(f"\n== {way.title}\n" + "\n".join(outcome.said) + outcome.error, file=sys.stderr)
    if outcome.error:
        return {"runs": "no"}
    again = predict_again(way, python, outcome, place)
    code = place / "pipeline.py"
    code.write_text(PIPELINE)
    asked = Outcome.of(start(python, code, [place / "saved" / way.saved], place), ()).said[-1]
    found = {
        "the loaded model predicts the same": "yes" if again == outcome.said[-1] else f"no: {again}",
        "loads in `pipeline()`, labels by name": "yes" if asked in LABELS else "no",
    }
    for name, wrong in damaged(files).items():
        taken = learn(way, python, wrong, checkpoint, place / name.replace(" ", "_"))
        print(f"-- {name}: {taken.error[-300:]}", file=sys.stderr)
        found[name] = taken.in_words
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", action="store_true", help="run the ways")
    parser.add_argument("--python", action="append", default=[], help="a Python that may have further libraries")
    parser.add_argument("--ways", nargs="+", default=[way.name for way in WAYS])
    parser.add_argument("--rows", type=int, default=64, help="train rows")
    parser.add_argument("--checkpoint", type=Path, default=MINI)
    asked = parser.parse_args()
    print(table())
    if not asked.run:
        return
    with tempfile.TemporaryDirectory() as temporary:
        files, found = write_rows(Path(temporary), asked.rows, 240), {}
        for way in WAYS:
            if way.name in asked.ways and (python := python_with(way.module, [sys.executable, *asked.python])):
                found[way.title] = try_way(way, python, files, asked.checkpoint, Path(temporary))
    titles = dict.fromkeys(title for each in found.values() for title in each)
    rows = [[title, *(each.get(title, "") for each in found.values())] for title in titles]
    print(f"\n{markdown(['', *found], rows)}")


if __name__ == "__main__":
    main()
