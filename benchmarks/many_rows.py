"""Large data: what reading and encoding them takes at the first start and at the second, beside `datasets.map`.

    python benchmarks/many_rows.py                               # 100,000 rows: some minutes of two cores
    python benchmarks/many_rows.py --rows 1000000 --before ../earlier   # beside an earlier version, a checkout of it
    python benchmarks/many_rows.py --rows 10000000 --only tlnlp  # 5 GB of disk while it runs

Rows of 20 words of the bundled reviews, drawn at random, in a csv file in a temporary folder that is deleted. A start
is everything before the first update of recipes/sst2.py (rows read and checked, encoded, profiled, network loaded), in
a process of its own, with a cache of its own. Times are seconds of a processor, of all threads; the peak is that of
the resident memory, libraries included. Imports are in a column of their own: every start has them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]
WORDS_OF_A_ROW, ROWS_AT_ONCE = 20, 100_000
# The file, the rows in Arrow and their encoding: bytes of a row, with room to spare.
BYTES_OF_A_ROW, MOST_BYTES = 550, 6 * 10**9

MEASURE = """
import json, resource
def used():
    found = resource.getrusage(resource.RUSAGE_SELF)
    return found.ru_utime + found.ru_stime, found.ru_maxrss / 1024
"""
# What both this version and an earlier one have.
START = (
    MEASURE
    + """
import sys
from pathlib import Path
from tlnlp.display.quiet import quiet_libraries
from tlnlp.recipe import load_recipe
from tlnlp.runs.checks import check_run
from tlnlp.runs.request import Request
from tlnlp.runs.setup import prepare
from tlnlp.training.distributed import start_accelerator
quiet_libraries()
accelerator = start_accelerator("fp32")
imports, _ = used()
recipe = load_recipe(sys.argv[1])
run = check_run(Request.of(recipe, recipe.settings(data=sys.argv[2], output_dir=Path(sys.argv[3]))))
read, _ = used()
work = prepare(run, accelerator)
whole, peak = used()
print(json.dumps({"imports": imports, "rows": read - imports, "rest": whole - read, "peak": peak}))
"""
)
MAP = (
    MEASURE
    + """
import sys
import datasets, transformers
datasets.disable_progress_bars()
tokenizer = transformers.AutoTokenizer.from_pretrained(sys.argv[1])
imports, _ = used()
rows = datasets.load_dataset("csv", data_files=sys.argv[2], split="train", cache_dir=sys.argv[3])
read, _ = used()
rows.map(lambda some: tokenizer(some["text"], truncation=True, max_length=128), batched=True)
whole, peak = used()
print(json.dumps({"imports": imports, "rows": read - imports, "rest": whole - read, "peak": peak}))
"""
)


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--before", type=Path, help="a checkout of an earlier version, to be measured as well")
    parser.add_argument("--only", choices=["tlnlp", "all"], default="all", help="tlnlp: without datasets.map")
    asked = parser.parse_args()
    if asked.rows * BYTES_OF_A_ROW > MOST_BYTES:
        sys.exit(f"{asked.rows:,} rows would take {asked.rows * BYTES_OF_A_ROW / 1e9:.1f} GB of disk: at most 6")
    with tempfile.TemporaryDirectory(prefix="many-rows-") as folder:
        measure(asked, Path(folder))


def measure(asked: argparse.Namespace, folder: Path) -> None:
    """Measures each arm and prints its lines."""
    file = folder / "rows.csv"
    write_rows(file, asked.rows)
    print(f"{asked.rows:,} rows of {WORDS_OF_A_ROW} words, {file.stat().st_size / 1e6:,.0f} MB\n")
    print("| | imports | read and check rows | encode, profile, load | without imports | peak memory |")
    print("|---|---|---|---|---|---|")
    if asked.before:
        show("before: every start", start(asked.before.resolve(), file, folder))
    found = [start(REPOSITORY, file, folder) for _ in range(2)]
    show("now: first start", found[0])
    show("now: second start", found[1])
    kept = sum(each.stat().st_size for each in (folder / "cache").rglob("*") if each.is_file())
    shutil.rmtree(folder / "cache")
    if asked.only == "all":
        model = str(REPOSITORY / "tlnlp" / "bundled" / "mini")
        for name in ("first", "second"):
            show(
                f"datasets.map: {name} time", run(MAP, [model, str(file), str(folder / "datasets")], REPOSITORY, folder)
            )
    seconds = found[0]["rows"] + found[0]["rest"]
    factor = 100e6 / asked.rows
    print(
        f"\nkept: {kept / 1e6:,.0f} MB ({kept / asked.rows:.0f} bytes a row). By extrapolation 100 M rows take "
        f"{kept * factor / 1e9:,.0f} GB of disk and {seconds * factor / 60:,.0f} minutes of a processor, once."
    )


def write_rows(file: Path, rows: int) -> None:
    """Writes rows of random words, and random labels."""
    texts = [
        json.loads(line)["text"]
        for line in (REPOSITORY / "tlnlp" / "bundled" / "samples" / "reviews" / "train.jsonl").read_text().splitlines()
    ]
    words = np.array(sorted({word.strip('.,"!?;:()') for text in texts for word in text.split()} - {""}))
    draw = np.random.default_rng(0)
    with file.open("w", encoding="utf-8") as written:
        written.write("text,label\n")
        for first in range(0, rows, ROWS_AT_ONCE):
            some = min(ROWS_AT_ONCE, rows - first)
            chosen = words[draw.integers(0, len(words), (some, WORDS_OF_A_ROW))].tolist()
            labels = draw.integers(0, 2, some).tolist()
            written.writelines(f"{' '.join(row)},{label}\n" for row, label in zip(chosen, labels, strict=True))


def start(repository: Path, file: Path, folder: Path) -> dict[str, Any]:
    """Returns what a start of a run takes with a version of the library."""
    recipe = str(repository / "recipes" / "sst2.py")
    return run(START, [recipe, str(file), str(folder / "run")], repository, folder)


def run(program: str, arguments: list[str], repository: Path, folder: Path) -> dict[str, Any]:
    """Returns what a program of its own prints last."""
    own = {"PYTHONPATH": str(repository), "TLNLP_CACHE": str(folder / "cache"), "HF_HOME": str(folder / "home")}
    found = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=os.environ | own, cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if found.returncode:
        sys.exit(found.stderr)
    return json.loads(found.stdout.splitlines()[-1])


def show(name: str, found: dict[str, Any]) -> None:
    """Prints a line of the table."""
    seconds = [f"{value:.1f} s" for value in (found["imports"], found["rows"], found["rest"])]
    work = found["rows"] + found["rest"]
    print(f"| {name} | {' | '.join(seconds)} | {work:.1f} s | {found['peak']:,.0f} MiB |", flush=True)


if __name__ == "__main__":
    main()
