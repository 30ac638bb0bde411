"""GPU benchmarks, in one call of at most eight minutes: speed, parity with the CPU, resume.

    python benchmarks/gpu.py --out runs/gpu                           # all parts; prints tables
    python benchmarks/gpu.py --out runs/gpu --parts ceilings speed    # some parts
    python benchmarks/gpu.py --out runs/gpu --dry-run                 # every part on the CPU, at toy size, in a minute

Without --sst2 FOLDER (train.jsonl.gz, validation.jsonl.gz), rows are random words with the lengths of SST-2, and
accuracies are meaningless. results.json, tables.md and log.txt are written to --out and updated while the parts run.
docs/gpu.md describes the parts.
"""

# Nothing heavy is imported here: each part has its own process, which imports its libraries before its turn.
from __future__ import annotations

import argparse
import gc
import importlib
import json
import multiprocessing
import multiprocessing.connection
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Part:
    """A part of the benchmark, which runs in its own process.

    Args:
        module, function: a generator of records in `gpu_parts`.
        seconds: time limit; records that were written before are kept.
        turn: parts of one turn run in parallel. Parts that measure time have their own turn.
        environment: environment variables of its process.
    """

    module: str
    function: str
    seconds: float
    turn: int
    environment: dict[str, str] = field(default_factory=dict)


# For parts that run in parallel: with one thread per core each, they would wait for each other.
NO_GPU = {"CUDA_VISIBLE_DEVICES": "", "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "4"}
# cuBLAS needs it for deterministic algorithms.
REPRODUCIBLE = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
PARTS: dict[str, list[Part]] = {
    "ceilings": [Part("ceilings", "run", 30, 1)],
    "parity": [
        Part("parity", "run_gpu", 110, 2, REPRODUCIBLE),
        Part("parity", "run_cpu", 110, 2, NO_GPU),
        Part("killed", "run", 110, 2),
    ],
    "learning": [Part("learning", "run", 110, 2)],
    "speed": [Part("speed", "small_batches", 140, 3), Part("speed", "large_batches", 130, 4)],
    "profile": [Part("profiling", "run", 35, 5)],
    "pretraining": [Part("pretraining", "run", 40, 6)],
    "compile": [Part("speed", "compiled", 300, 7)],
}
INPUTS_SECONDS = 60
PRELOADED = [
    "tlnlp.run",
    "transformers.models.bert.modeling_bert",
    "transformers.models.modernbert.modeling_modernbert",
]


def main() -> None:
    asked = read_flags()
    began = time.monotonic()
    asked.out.mkdir(parents=True, exist_ok=True)
    sys.path.insert(0, str(REPOSITORY))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
    os.environ["HF_HUB_OFFLINE"] = "1"
    with tempfile.TemporaryDirectory(prefix="tlnlp-gpu-") as work:
        results = Results(asked.out, Path(work), began)
        # A forked process cannot use a GPU that its parent may have initialised.
        context: Any = multiprocessing.get_context("forkserver" if asked.dry_run else "spawn")
        if asked.dry_run:
            context.set_forkserver_preload(PRELOADED)
            os.environ["OMP_NUM_THREADS"] = "1"  # toy sizes: more threads would wait for each other
        told = (work, asked.dry_run, None if asked.sst2 is None else str(asked.sst2.resolve()))
        inputs = Running("inputs", Part("inputs", "make", INPUTS_SECONDS, 0), context, told, results)
        inputs.go.set()
        parts = [Running(name, part, context, told, results) for name in asked.parts for part in PARTS[name]]
        finish([inputs], results)
        # Parts at toy size may run in parallel.
        turns = [parts] if asked.dry_run else in_turns(parts)
        for mine in turns:
            left = asked.seconds - (time.monotonic() - began)
            for each in mine:
                each.begin(min(left, each.part.seconds))
            finish(mine, results)
        results.failed += [
            f"{each['part']}, {each['kind']}: {each['failed']}" for each in results.records if "failed" in each
        ]
        results.write()
    print((asked.out / "tables.md").read_text(encoding="utf-8"))
    sys.exit(1 if results.failed else 0)


def read_flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=" ".join(PARTS))
    parser.add_argument("--sst2", type=Path, metavar="FOLDER", help="SST-2 as train.jsonl.gz and validation.jsonl.gz")
    parser.add_argument("--seconds", type=float, default=470, help="of all parts together; 470 unless given")
    parser.add_argument("--dry-run", action="store_true", help="toy sizes on the CPU")
    asked = parser.parse_args()
    if asked.sst2 is not None and not (asked.sst2 / "train.jsonl.gz").is_file():
        parser.error(f"expected train.jsonl.gz in {asked.sst2}, found none: give another folder, or leave --sst2 out")
    return asked


def in_turns(parts: list[Running]) -> list[list[Running]]:
    """Groups the parts by turn, in order."""
    numbers = sorted({each.part.turn for each in parts})
    return [[each for each in parts if each.part.turn == number] for number in numbers]


class Results:
    """All records so far, written to disk after each new one.

    Args:
        failed: parts that failed.
    """

    def __init__(self, out: Path, work: Path, began: float) -> None:
        self.out, self.work, self.began = out, work, began
        self.records: list[dict[str, Any]] = []
        self.failed: list[str] = []
        (out / "log.txt").write_bytes(b"")

    def read(self) -> None:
        """Reads what the parts have written since the last call."""
        found = []
        for file in sorted(self.work.glob("*.records")):
            whole_lines = file.read_text(encoding="utf-8").rpartition("\n")[0]
            found += [json.loads(line) for line in whole_lines.splitlines()]
        if len(found) != len(self.records):
            self.records = found
            self.write()

    def write(self) -> None:
        """Writes results.json and tables.md atomically."""
        tables = importlib.import_module("gpu_parts.tables")
        whole = {"seconds": time.monotonic() - self.began, "failed": self.failed, "records": self.records}
        for name, text in (("results.json", json.dumps(whole, indent=1)), ("tables.md", tables.tables(whole))):
            aside = self.out / f".{name}"
            aside.write_text(text, encoding="utf-8")
            aside.replace(self.out / name)


class Running:
    """The process of a part. It imports its libraries before its turn, and waits for `go`."""

    def __init__(self, name: str, part: Part, context: Any, told: tuple[Any, ...], results: Results) -> None:
        self.name, self.part = name, part
        self.title = name if len(PARTS.get(name, [])) <= 1 else f"{name} ({part.module}.{part.function})"
        self.go = context.Event()
        self.until = time.monotonic() + part.seconds
        file = results.work / f"{part.turn}-{part.module}-{part.function}.records"
        log = str(results.out / "log.txt")
        self.process = context.Process(target=run_part, args=(part, told, str(file), log, self.go))
        self.process.start()

    def begin(self, seconds: float) -> None:
        """Lets it run for at most this many seconds; if none are left, it is ended."""
        self.until = time.monotonic() + seconds
        if seconds > 0:
            self.go.set()


def finish(running: list[Running], results: Results) -> None:
    """Waits until all have finished or reached their time limit."""
    began = time.monotonic()
    left = list(running)
    while left:
        multiprocessing.connection.wait([each.process.sentinel for each in left], timeout=0.5)
        results.read()
        for each in list(left):
            late = each.process.is_alive() and time.monotonic() >= each.until
            if late:
                end(each.process)
            if not each.process.is_alive():
                left.remove(each)
                seconds, status = time.monotonic() - began, each.process.exitcode
                how = "unfinished" if late else "done" if status == 0 else f"exit status {status}"
                if how != "done":
                    results.failed.append(f"{each.title}: {how} after {seconds:.0f} s")
                print(f"{each.title}: {how} after {seconds:.0f} s", file=sys.stderr, flush=True)
    results.read()


def end(process: Any) -> None:
    """Kills a process and its children."""
    for each in psutil.Process(process.pid).children(recursive=True):
        each.kill()
    process.kill()
    process.join()


def run_part(part: Part, told: tuple[Any, ...], file: str, log: str, go: Any) -> None:
    """Runs a part in its own process, and writes one line per record."""
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.environ.update(part.environment)
    sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "benchmarks")]
    calm = importlib.import_module("tlnlp.display.quiet")
    calm.quiet_libraries()
    bench = importlib.import_module("gpu_parts.bench")
    run = getattr(importlib.import_module(f"gpu_parts.{part.module}"), part.function)
    gc.collect()
    gc.freeze()  # excludes imported modules from garbage collection, which would take half a second each time
    go.wait()
    work, dry_run, sst2 = told
    found = run(bench.Bench(Path(work), dry_run, None if sst2 is None else Path(sst2)))
    if found is None:
        return
    began = time.monotonic()
    with Path(file).open("a", encoding="utf-8") as lines:
        for record in found:
            record |= {"part": part.module, "at_seconds": round(time.monotonic() - began, 2)}
            lines.write(json.dumps(record) + "\n")
            lines.flush()


if __name__ == "__main__":
    main()
