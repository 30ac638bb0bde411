"""Starts runs, stops them at random moments, resumes them until they end, and compares them with runs left alone.

    python benchmarks/soak.py --kills 200                        # or --kills 3 --cases sst2-full: a minute
    python benchmarks/soak.py --kills 200 --page docs/soak.md    # writes the tally to this page as well

A run is stopped by SIGKILL, SIGTERM (once or twice) or SIGINT, at a moment drawn over its whole duration or, a third of
the time, while it is writing. Then it is resumed, several times if so drawn, and in the end compared with the same run
left alone: weights and predictions bit for bit. Networks are tiny, so that most of the time is start-up and writing.

The draws depend on --seed; the moments also on how fast the machine is. Runs that have ended are noted in
`WORK/soak.jsonl` and not repeated: the same command goes on after it was stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psutil
import transformers

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.recipe_runs import Ended, newest_update, start_recipe  # noqa: E402 (found from the root only)

SAMPLES, MINI = ROOT / "tlnlp" / "bundled" / "samples", ROOT / "tlnlp" / "bundled" / "mini"
# A run that has not ended by then hangs, and is a failure.
PATIENCE_SECONDS = 400.0
# Other processes of a run, one of which was killed, must end by themselves within this time.
FOLLOW_SECONDS = 60.0
SIGNALS = ("SIGKILL", "SIGKILL", "SIGTERM", "SIGINT", "SIGTERM twice")
MOMENTS = ("starting", "training", "writing")


@dataclass(frozen=True)
class Case:
    """A run.

    Args:
        launcher: "fork" from a server with torch in it, "python" or "torchrun" as a person types it.
    """

    recipe: str
    strategy: str
    more: tuple[str, ...] = ()
    processes: int = 1
    launcher: str = "fork"

    @property
    def name(self) -> str:
        words = [self.recipe, self.strategy.split(":")[0], *(each.strip("-") for each in self.more)]
        return "-".join(words + ([self.launcher] if self.launcher != "fork" else []) + [str(self.processes)])


CASES = (
    Case("sst2", "full"),
    Case("sst2", "head_only"),
    Case("sst2", "lora", ("--keep", "best")),
    Case("sst2", "shallow"),
    Case("conll2003", "prompt"),
    Case("squad_v2", "full"),
    Case("copa", "gradual_unfreezing:phase_epochs=2"),
    Case("pretrain", "from_scratch"),
    Case("sentiment_zero_shot", "head_then_full"),
    Case("sst2", "full", (), 2),
    Case("conll2003", "head_only", (), 2),
    Case("sst2", "full", (), 1, "python"),
    Case("sst2", "full", (), 2, "torchrun"),
)


class Process(Protocol):
    """The processes of a run, however they were started."""

    folder: Path

    def pids(self) -> list[int]: ...
    def alive(self) -> bool: ...
    def end(self) -> Ended: ...


# --- rows, a network, and flags


def make_inputs(work: Path) -> None:
    """Writes a tiny network and a few rows of each sample."""
    network = work / "network"
    if not (network / "model.safetensors").is_file():
        tokenizer = transformers.AutoTokenizer.from_pretrained(MINI)
        tokenizer.save_pretrained(network)
        transformers.set_seed(0)
        config = transformers.BertConfig(
            vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
            intermediate_size=64, max_position_embeddings=128, pad_token_id=tokenizer.pad_token_id,
        )  # fmt: skip
        transformers.AutoModelForMaskedLM.from_config(config).save_pretrained(network)
    samples = {"sst2": "reviews", "conll2003": "entities", "squad_v2": "passages", "copa": "choices"}
    for recipe, sample in samples.items():
        _shorten(SAMPLES / sample, work / "rows" / recipe, 8 if recipe == "squad_v2" else 41)
    _shorten(SAMPLES / "reviews", work / "rows" / "sentiment_zero_shot", 41, languages=("de", "fa"))
    texts = work / "rows" / "pretrain"
    texts.mkdir(exist_ok=True)
    for split in ("train", "validation"):
        lines = (work / "rows" / "sst2" / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
        (texts / f"{split}.txt").write_text("".join(f"{json.loads(line)['text']}\n" for line in lines))


def _shorten(sample: Path, folder: Path, rows: int, languages: Sequence[str] = ()) -> None:
    for name in ("train.jsonl", "validation.jsonl", *(f"{language}/validation.jsonl" for language in languages)):
        source = "en" if languages and "/" not in name else ""
        target = folder / source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        count = rows if name == "train.jsonl" else min(rows, 13)
        lines = (sample / name).read_text(encoding="utf-8").splitlines(keepends=True)[:count]
        target.write_text("".join(lines), encoding="utf-8")


def flags_of(case: Case, work: Path) -> list[str]:
    """The flags of a run of some tens of updates, with a checkpoint after every other one."""
    long_rows = case.recipe == "squad_v2"
    return [
        "--model", str(work / "network"), "--data", str(work / "rows" / case.recipe), "--strategy", case.strategy,
        "--max-length", "62" if long_rows else "32", *(["--window-overlap", "8"] if long_rows else []),
        "--batch-size", "4" if long_rows else "8", "--epochs", "2" if long_rows else "6", "--learning-rate", "1e-3",
        "--save-every", "2", *(["--micro-batches", "2"] if case.processes > 1 else []), *case.more,
    ]  # fmt: skip


# --- processes


@dataclass
class Forked:
    """Processes forked from a server that has torch in it."""

    running: Any
    folder: Path

    def pids(self) -> list[int]:
        return [each.pid for each in self.running.processes if each.is_alive()]

    def alive(self) -> bool:
        return bool(self.pids())

    def end(self) -> Ended:
        ended = self.running.wait()
        self.running.log.unlink(missing_ok=True)
        return ended


@dataclass
class Commanded:
    """A command as a person types it; with torchrun, its workers are signalled or the launcher."""

    process: subprocess.Popen[bytes]
    folder: Path
    log: Path

    def pids(self) -> list[int]:
        try:
            return [self.process.pid, *(each.pid for each in psutil.Process(self.process.pid).children())]
        except psutil.NoSuchProcess:
            return []

    def alive(self) -> bool:
        return self.process.poll() is None

    def end(self) -> Ended:
        try:
            self.process.wait(PATIENCE_SECONDS)
        finally:
            # Workers whose launcher was killed; the session has nothing else in it.
            with_suppressed_signal(os.killpg, self.process.pid, signal.SIGKILL)
        output = self.log.read_text(errors="replace")
        self.log.unlink()
        return Ended(self.process.returncode, output, self.folder)


def with_suppressed_signal(send: Any, pid: int, number: int) -> None:
    """Sends a signal to a process or a group that may be over."""
    try:
        send(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def start(case: Case, work: Path, folder: Path, *more: str) -> Process:
    """Starts a run."""
    flags = [*flags_of(case, work), *more]
    if case.launcher == "fork":
        return Forked(start_recipe(case.recipe, *flags, folder=folder, processes=case.processes), folder)
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node", str(case.processes)]
    command = [
        sys.executable, *(launcher if case.launcher == "torchrun" else []), f"recipes/{case.recipe}.py", *flags,
        "--output-dir", str(folder), "--no-report",
    ]  # fmt: skip
    log = folder.with_suffix(".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    return Commanded(process, folder, log)


# --- one stop


@dataclass
class Stop:
    """How a run was stopped.

    Args:
        signal: one of `SIGNALS`.
        moment: one of `MOMENTS`: before its first checkpoint, after it, or with something half written.
        status: the exit status of the first process.
    """

    signal: str
    moment: str
    status: int | None
    problems: list[str] = field(default_factory=list)


def stop_somewhere(case: Case, running: Process, draw: random.Random, seconds: float) -> Stop | None:
    """Stops a run; None if it has ended before.

    Args:
        seconds: duration of the run left alone.
    """
    how = draw.choice(SIGNALS)
    writing, wait = draw.random() < 1 / 3, draw.uniform(0, seconds)
    before, skipped = newest_update(running.folder), draw.randrange(6)
    one = draw.randrange(case.processes)
    until = time.monotonic() + (seconds * 5 if writing else wait)
    seen: set[str] = set()
    while running.alive() and time.monotonic() < until:
        if writing:
            seen |= set(_unfinished(running.folder))
            if len(seen) > skipped:
                break
        time.sleep(0.0005 if writing else 0.005)
    if not running.alive():
        running.end()
        return None
    moment = "writing" if _unfinished(running.folder) else "training"
    if moment == "training" and newest_update(running.folder) <= before:
        moment = "starting"
    _send(case, running, how, one, draw.uniform(0, 0.2))
    ended = _end(running)
    stop = Stop(how, moment, ended.status)
    # Before its first line of code, and in torchrun, a process has Python's traceback.
    if "Traceback" in ended.output and case.processes == 1 and how != "SIGKILL" and moment != "starting":
        stop.problems.append(f"{how} while {moment}: a traceback")
    return stop


def _unfinished(folder: Path) -> list[str]:
    return [str(path) for place in (folder, folder / "checkpoints") for path in place.glob(".writing-*")]


def _send(case: Case, running: Process, how: str, one: int, gap: float) -> None:
    """Sends the signal to one process of the run; SIGKILL to all of them half of the time."""
    pids = running.pids()
    name = how.split()[0]
    number = getattr(signal, name)
    targets = pids if name == "SIGKILL" and gap < 0.1 else pids[one : one + 1] or pids[:1]
    if case.launcher == "torchrun" and name != "SIGKILL":
        targets = pids[:1]  # the launcher, which tells its workers
    for pid in targets:
        with_suppressed_signal(os.kill, pid, number)
    if how.endswith("twice"):
        time.sleep(gap)
        for pid in targets:
            with_suppressed_signal(os.kill, pid, number)


def _end(running: Process) -> Ended:
    """Waits until all processes of the run are over."""
    until = time.monotonic() + FOLLOW_SECONDS
    while running.alive() and time.monotonic() < until:
        time.sleep(0.01)
    for pid in running.pids() if running.alive() else ():
        with_suppressed_signal(os.kill, pid, signal.SIGKILL)
    return running.end()


# --- one run, from its first start to its end


def soak(case: Case, chain: int, kills: int, work: Path, seed: int) -> dict[str, Any]:
    """Stops one run up to `kills` times, resumes it until it ends, and compares it. Returns what is noted."""
    draw = random.Random(f"{seed} {case.name} {chain}")
    alone, seconds = left_alone(case, work)
    folder = work / "runs" / f"{case.name}-{chain}"
    shutil.rmtree(folder, ignore_errors=True)
    stops: list[Stop] = []
    wanted = min(kills, draw.randint(1, 4))
    for _ in range(wanted):
        stop = stop_somewhere(case, start(case, work, folder, "--resume"), draw, seconds)
        if stop is None:
            break
        stops.append(stop)
    ended = start(case, work, folder, "--resume").end()
    problems = [problem for stop in stops for problem in stop.problems] + list(compare(ended, alone))
    if not problems:
        shutil.rmtree(folder)
    return {"case": case.name, "chain": chain, "stops": [vars(stop) for stop in stops], "problems": problems}


def left_alone(case: Case, work: Path) -> tuple[Ended, float]:
    """Returns the same run, which nothing stopped, and its duration in seconds; made once."""
    folder = work / "alone" / case.name
    note = folder / "seconds.json"
    if not note.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        began = time.monotonic()
        ended = start(case, work, folder / "run").end()
        if ended.status != 0:
            raise RuntimeError(f"{case.name} does not run:\n{ended.output}")
        note.write_text(json.dumps(time.monotonic() - began))
    return Ended(0, "", folder / "run"), json.loads(note.read_text())


def compare(ended: Ended, alone: Ended) -> Iterator[str]:
    """Yields what is wrong with a run that was stopped and resumed."""
    if ended.status != 0:
        yield f"did not end well (status {ended.status}): {ended.output[-2000:]}"
        return
    if ended.weights != alone.weights:
        yield "other weights"
    if ended.predictions != alone.predictions:
        yield "other predictions"
    yield from (
        f"another {name}" for name in ("metrics", "history", "updates") if ended.result[name] != alone.result[name]
    )
    left = [path.name for path in ended.folder.rglob(".writing-*")] + [
        path.name for path in ended.folder.glob("checkpoints")
    ]
    if left:
        yield f"left behind: {', '.join(left)}"


# --- all runs, and the tally


def read_notes(work: Path) -> list[dict[str, Any]]:
    """Returns what is noted of the runs that have ended."""
    path = work / "soak.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def tally(notes: Sequence[Mapping[str, Any]], cases: Sequence[Case], wanted: int, seed: int) -> str:
    """Returns the tally as a table."""
    columns = ("run", "processes", "stops", *MOMENTS, *dict.fromkeys(SIGNALS), "runs resumed to their end", "the same")
    lines = ["| " + " | ".join(columns) + " |", "|---|" + "---:|" * (len(columns) - 1)]
    total: Counter[str] = Counter()
    for case in cases:
        own = [note for note in notes if note["case"] == case.name]
        stops = [stop for note in own for stop in note["stops"]]
        counts = Counter({"stops": len(stops), columns[-2]: len(own)})
        counts.update(stop["moment"] for stop in stops)
        counts.update(stop["signal"] for stop in stops)
        counts[columns[-1]] = sum(not note["problems"] for note in own)
        total += counts
        told = " ".join([f"`{case.recipe}`", case.strategy, *case.more])
        by = "" if case.launcher == "fork" else f" ({case.launcher})"
        lines.append(
            f"| {told} | {case.processes}{by} | " + " | ".join(str(counts[name]) for name in columns[2:]) + " |"
        )
    lines.append("| all | | " + " | ".join(str(total[name]) for name in columns[2:]) + " |")
    problems = [f"- {note['case']}, run {note['chain']}: {each}" for note in notes for each in note["problems"]]
    head = f"{total['stops']} of {wanted} stops, seed {seed}, Python {sys.version.split()[0]}, {os.cpu_count()} cores."
    return "\n".join([head, "", *lines, "", *(problems or ["No run ended otherwise than the one left alone."])])


PAGE = """# Stopped and resumed: the tally

Runs are stopped at random moments, resumed until they end, and compared with the same runs left alone, bit for bit:
weights, predictions, scores. "Writing" counts stops while something half written was on the disk; "starting" those
before the first checkpoint of a process. What happens after each fault is in [Stop and resume](stop-and-resume.md).

    {command}

{tally}
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 1 if a run ended otherwise than the one left alone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="stops, over all cases")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--cases", nargs="+", choices=[case.name for case in CASES], metavar="CASE", help="all if unset"
    )
    parser.add_argument("--minutes", type=float, help="end after so many minutes, to go on later")
    parser.add_argument("--work", type=Path, default=Path("runs/soak"))
    parser.add_argument("--page", type=Path, help="write the tally to this page, too")
    asked = parser.parse_args(arguments)
    work = asked.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    make_inputs(work)
    cases = [case for case in CASES if not asked.cases or case.name in asked.cases]
    until = time.monotonic() + (float("inf") if asked.minutes is None else asked.minutes * 60)
    while time.monotonic() < until:
        notes = read_notes(work)
        done = Counter({case.name: 0 for case in cases})
        done.update({note["case"]: 0 for note in notes})
        for note in notes:
            done[note["case"]] += len(note["stops"])
        left = asked.kills - sum(done[case.name] for case in cases)
        if left <= 0:
            break
        case = min(cases, key=lambda case: done[case.name])  # in turns
        chain = sum(note["case"] == case.name for note in notes)
        note = soak(case, chain, left, work, asked.seed)
        with (work / "soak.jsonl").open("a") as file:
            file.write(json.dumps(note) + "\n")
        print(f"{asked.kills - left + len(note['stops'])}/{asked.kills} {case.name}", *note["problems"], flush=True)
    notes = [note for note in read_notes(work) if note["case"] in {case.name for case in cases}]
    table = tally(notes, cases, asked.kills, asked.seed)
    print(f"\n{table}")
    if asked.page:
        command = f"python benchmarks/soak.py --kills {asked.kills}"
        asked.page.write_text(PAGE.format(command=command, tally=table), encoding="utf-8")
    return int(any(note["problems"] for note in notes))


if __name__ == "__main__":
    sys.exit(main())
