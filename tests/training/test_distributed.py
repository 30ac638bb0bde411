"""One process, two, three: the same training, the same answers, dropout on."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.fixtures import keep_float64
from tests.recipe_runs import CHECKPOINTS, ROOT, Ended, begin, load_recipe, run_function, run_recipe, start_recipe
from tests.training.test_loop import two_phases
from tlnlp.evaluation.predict import predict
from tlnlp.training.checkpoint import checkpoints_in
from tlnlp.training.files import locked
from tlnlp.training.loop import train
from tlnlp.transfer.strategies import STRATEGIES

PROCESSES = (1, 2, 3)


def train_each_in_float64(cases: list[tuple[str, Path, bool, dict[str, Any]]]) -> None:
    """`train_in_float64`, one case after the other in the same processes."""
    for case in cases:
        train_in_float64(*case)


def train_in_float64(recipe: str, folder: Path, phased: bool, settings: dict[str, Any]) -> None:
    """Runs in each process: trains, then answers; writes the weights, the losses and every process's answers."""
    with pytest.MonkeyPatch.context() as patch:
        keep_float64(patch)
        work = begin(recipe, folder / "work", **settings)
        training, accelerator = work.training, work.training.accelerator
        training.model.double()
        if phased:
            training.phases = two_phases(work, reinitialize=["layer 2"])
        losses = [step.loss.item() for step in train(training)]
        answers = predict(
            training.model, work.encoded_eval, work.eval_rows, training.task, training.tokenizer,
            training.settings.max_tokens, accelerator,
        )  # fmt: skip
    count, rank = accelerator.num_processes, accelerator.process_index
    (folder / f"answers {count} {rank}.json").write_text(json.dumps([each.as_json() for each in answers]))
    if accelerator.is_main_process:
        torch.save({"weights": training.model.state_dict(), "losses": losses}, folder / f"trained {count}.pt")


Case = tuple[str, str, bool, dict[str, Any]]
# Each head and each strategy; the first two with two processes and with three, of the others every second one with two.
ALWAYS: list[Case] = [
    # More micro-batches than processes, in a number that no number of processes divides.
    ("sst2", "bert", False, {"micro_batches": 4}),
    # Fewer: some processes take part in an update without rows of their own.
    ("copa", "modernbert", False, {"micro_batches": 1, "strategy": "layer_decay"}),
    ("sst2", "gpt2", True, {"micro_batches": 3, "max_tokens": 120}),
    ("sst2", "modernbert", False, {"micro_batches": 5, "strategy": "head_only"}),
    ("copa", "bert", False, {"micro_batches": 3, "strategy": "gradual_unfreezing:phase_epochs=1"}),
    ("conll2003", "bert", False, {"micro_batches": 4, "strategy": "top_layers:k=1"}),
    ("squad_v2", "bert", False, {"micro_batches": 3, "strategy": "bias_only"}),
    ("pretrain", "bert", True, {"micro_batches": 3, "strategy": "from_scratch"}),
    ("pretrain_gpt", "gpt2", False, {"micro_batches": 2, "strategy": "reinit_top"}),
    ("gpt_copa", "gpt2", False, {"micro_batches": 3, "strategy": "head_then_full"}),
    ("sst2", "bert", False, {"micro_batches": 3, "strategy": "lora"}),
    ("sst2", "gpt2", False, {"micro_batches": 3, "strategy": "prefix"}),
    ("sst2", "modernbert", False, {"micro_batches": 3, "strategy": "prompt"}),
    ("conll2003", "gpt2", False, {"micro_batches": 3, "strategy": "ia3"}),
    ("copa", "bert", False, {"micro_batches": 3, "strategy": "adapter"}),
    ("sst2", "bert", False, {"micro_batches": 3, "gradient_checkpointing": True}),
    # A row is several sequences, which stay together.
    ("sst2", "bert", False, {"micro_batches": 4, "max_length": 12, "windows": "mean", "window_overlap": 4}),
]
IN_LONG_TESTS: list[Case] = [
    *ALWAYS,
    ("sst2", "bert", False, {"micro_batches": 1}),
    ("sst2", "bert", False, {"micro_batches": 3, "strategy": "gradual_unfreezing:phase_epochs=2"}),
    ("sst2", "bert", False, {"micro_batches": 3, "strategy": "bias_only"}),
    ("pretrain_gpt", "gpt2", False, {"micro_batches": 2}),
    ("copa", "bert", False, {"micro_batches": 3}),
    ("conll2003", "bert", False, {"micro_batches": 4}),
    ("squad_v2", "bert", False, {"micro_batches": 3}),
    ("gpt_copa", "gpt2", False, {"micro_batches": 3}),
]


def numbers_of_processes(number: int) -> tuple[int, ...]:
    """Those that a case of `ALWAYS` is trained with."""
    return PROCESSES if number < 2 else (1, 2 + number % 2)


def test_every_strategy_and_every_head_is_trained_in_several_processes() -> None:
    named = {more.get("strategy", "full").partition(":")[0] for *_, more in ALWAYS}
    assert named == set(STRATEGIES) - {"shallow"}, "a strategy that takes no updates has tests of its own"
    heads = {load_recipe(recipe).task.head.__name__.rpartition(".")[2] for recipe, *_ in ALWAYS}
    assert heads == {"sentence", "choice", "tag", "span", "masked_lm", "causal_lm", "gpt"}


@pytest.fixture(scope="module")
def trained(
    rows_for: Callable[[str], dict[str, Any]], tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Callable[[Case, tuple[int, ...]], Path]:
    """A case and the numbers of processes to the folder with what was learnt. Those of `ALWAYS` are trained at once."""
    folders: dict[str, Path] = {}

    def train_all(cases: list[tuple[Case, tuple[int, ...]]]) -> None:
        asked = []
        for case, numbers in cases:
            recipe, architecture, phased, more = case
            folders[repr((case, numbers))] = folder = tmp_path_factory.mktemp("trained")
            model = str(request.getfixturevalue(architecture))
            settings = {"model": model, "learning_rate": 1e-3, "epochs": 1, **rows_for(recipe), **more}
            asked.append((numbers, (recipe, folder, phased, settings)))
        for processes in PROCESSES:
            some = [each for numbers, each in asked if processes in numbers]
            run_function(train_each_in_float64, some, processes=processes)

    def folder_of(case: Case, numbers: tuple[int, ...]) -> Path:
        if (name := repr((case, numbers))) not in folders:
            always = [(each, numbers_of_processes(number)) for number, each in enumerate(ALWAYS)]
            train_all(always if (case, numbers) in always else [(case, numbers)])
        return folders[name]

    return folder_of


@pytest.mark.parametrize(
    ("case", "numbers"),
    [(case, numbers_of_processes(number)) for number, case in enumerate(ALWAYS)]
    + [pytest.param(case, PROCESSES, marks=pytest.mark.long) for case in IN_LONG_TESTS],
)
def test_the_number_of_processes_changes_nothing_but_rounding(
    case: Case, numbers: tuple[int, ...], trained: Callable[[Case, tuple[int, ...]], Path]
) -> None:
    folder = trained(case, numbers)
    alone, *others = (torch.load(folder / f"trained {processes}.pt") for processes in numbers)
    assert len(alone["losses"]) >= 2
    for other in others:
        assert other["losses"] == pytest.approx(alone["losses"], rel=1e-6)
        for name, expected in alone["weights"].items():
            found = other["weights"][name]
            # What is added to all of a softmax's inputs alike (a bias over endings, or over tokens) has no gradient but
            # rounding, of which Adam makes steps.
            least = 0.1 if name in ("classifier.bias", "qa_outputs.bias") else 1e-3
            assert (found - expected).abs().max() <= 1e-9 * max(expected.abs().max(), least), name
    answers = [
        json.loads((folder / f"answers {processes} {rank}.json").read_text())
        for processes in numbers
        for rank in range(processes)
    ]
    for each in answers[1:]:
        assert [answer["prediction"] for answer in each] == [answer["prediction"] for answer in answers[0]]
        assert [answer["score"] for answer in each] == pytest.approx([answer["score"] for answer in answers[0]], 1e-9)


def test_a_run_computes_with_the_threads_that_are_asked_for(
    bert: Path, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = torch.get_num_threads()
    try:
        for asked in (1, 2):
            monkeypatch.setenv("OMP_NUM_THREADS", str(asked))
            begin("sst2", tmp_path / str(asked), model=str(bert), data=str(reviews))
            assert torch.get_num_threads() == min(asked, len(os.sched_getaffinity(0)))
    finally:
        torch.set_num_threads(before)


# --- whole runs

# The number of threads decides how sums are rounded. It is a number that every way of starting a run heeds.
TWO_THREADS = {"OMP_NUM_THREADS": "2"}


@pytest.fixture(scope="module")
def flags(bert: Path, reviews: Path) -> list[Any]:
    return [
        "--model", bert, "--data", reviews, "--max-length", 32, "--batch-size", 16, "--epochs", 12, "--learning-rate",
        1e-2, "--micro-batches", 3, "--max-tokens", 200,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def alone(flags: list[Any], tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """The run in one process."""
    return run_recipe("sst2", *flags, folder=tmp_path_factory.mktemp("alone") / "run")


def assert_same_answers(one: Ended, other: Ended) -> None:
    assert one.status == other.status == 0, one.output + other.output
    assert one.result["metrics"] == other.result["metrics"]
    assert [entry.get("metrics") for entry in one.result["history"]] == [
        entry.get("metrics") for entry in other.result["history"]
    ]
    pairs = [
        (json.loads(line), json.loads(same))
        for line, same in zip(one.predictions.splitlines(), other.predictions.splitlines(), strict=True)
    ]
    for answer, same in pairs:
        assert answer.pop("score") == pytest.approx(same.pop("score"), abs=1e-4)
        assert answer.pop("scores") == pytest.approx(same.pop("scores"), abs=1e-4)
        assert answer == same


@pytest.mark.parametrize("processes", [2, pytest.param(3, marks=pytest.mark.long)])
def test_a_recipe_in_several_processes_gives_the_same_answers(
    processes: int, flags: list[Any], alone: Ended, tmp_path: Path
) -> None:
    ended = run_recipe("sst2", *flags, folder=tmp_path / "run", processes=processes)
    assert_same_answers(ended, alone)
    assert (alone.result["processes"], ended.result["processes"]) == (1, processes)
    assert ended.output.count("accuracy, 13 dev rows") == 1, "only the first process speaks"
    assert not alone.result["is_constant"], "or this test would say little"


@pytest.mark.long
def test_torchrun_starts_processes_that_share_one_training(flags: list[Any], alone: Ended, tmp_path: Path) -> None:
    ended = subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "recipes/sst2.py",
            *map(str, flags), "--output-dir", str(tmp_path / "run"),
        ],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    several = Ended(ended.returncode, ended.stdout + ended.stderr, tmp_path / "run")
    assert_same_answers(several, alone)
    assert several.result["processes"] == 2


@pytest.mark.long
def test_accelerate_launch_starts_the_recipe(flags: list[Any], alone: Ended, tmp_path: Path) -> None:
    ended = subprocess.run(
        [
            sys.executable, "-m", "accelerate.commands.launch", "--config_file", "launch/one_gpu.yaml",
            "recipes/sst2.py",
            *map(str, flags), "--output-dir", str(tmp_path / "run"),
        ],
        cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ | TWO_THREADS,
    )  # fmt: skip
    launched = Ended(ended.returncode, ended.stdout + ended.stderr, tmp_path / "run")
    assert_same_answers(launched, alone)
    of_two_threads = run_recipe("sst2", *flags, folder=tmp_path / "alone", environment=TWO_THREADS)
    assert launched.weights == of_two_threads.weights


@pytest.mark.long
def test_accelerate_launch_of_two_processes_on_cpu_says_that_it_is_one_and_what_starts_two(
    flags: list[Any], alone: Ended, tmp_path: Path
) -> None:
    ended = subprocess.run(
        [
            sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "2", "--cpu", "recipes/sst2.py",
            *map(str, flags), "--output-dir", str(tmp_path / "run"),
        ],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    launched = Ended(ended.returncode, ended.stdout + ended.stderr, tmp_path / "run")
    assert_same_answers(launched, alone)
    assert launched.result["processes"] == 1
    assert "torchrun --nproc_per_node 2 recipes/" in launched.output


@pytest.mark.long
def test_a_request_to_any_one_process_stops_them_all_and_one_process_can_go_on(
    flags: list[Any], alone: Ended, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    running = start_recipe("sst2", *flags, "--save-every", 2, folder=folder, processes=2)
    running.wait_for_update(2)
    running.processes[1].terminate()
    stopped = running.wait()
    assert [each.exitcode for each in running.processes] == [130, 130], stopped.output
    found = re.search(r"Stopped after update (\d+) of 36\. To continue:\n  (.+)\n", stopped.output)
    assert found, stopped.output
    assert int(checkpoints_in(folder / CHECKPOINTS)[-1].name) == int(found[1])
    assert "2" in shlex.split(found[2])
    assert_same_answers(run_recipe("sst2", *flags, "--resume", folder=folder), alone)


def test_processes_that_are_killed_go_on_together(flags: list[Any], alone: Ended, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    whole = run_recipe("sst2", *flags, folder=tmp_path / "whole", processes=2)
    running = start_recipe("sst2", *flags, "--save-every", 2, folder=folder, processes=2)
    running.wait_for_update(4)
    for each in running.processes:
        each.kill()
    assert running.wait().status == -signal.SIGKILL
    ended = run_recipe("sst2", *flags, "--resume", folder=folder, processes=2)
    assert ended.result["resumed"] == 1
    assert_same_answers(ended, alone)
    assert ended.weights == whole.weights, "two processes and two processes: the same bits"


@pytest.mark.long
def test_a_folder_in_use_ends_all_processes_and_is_said_once(flags: list[Any], tmp_path: Path) -> None:
    with locked(tmp_path / "run"):
        running = start_recipe("sst2", *flags, folder=tmp_path / "run", processes=2)
        ended = running.wait()
    assert [each.exitcode for each in running.processes] == [2, 2], ended.output
    assert ended.output.count("another process that uses it") == 1
    assert "Traceback" not in ended.output


@pytest.mark.long
def test_several_processes_run_several_seeds(flags: list[Any], alone: Ended, tmp_path: Path) -> None:
    ended = run_recipe("sst2", *flags, "--seeds", 2, folder=tmp_path / "run", processes=2)
    assert ended.status == 0, ended.output
    assert len(ended.result["runs"]) == 2
    assert_same_answers(Ended(0, "", tmp_path / "run" / "seed0"), alone)


def test_bad_input_ends_all_processes_and_is_said_once(flags: list[Any], tmp_path: Path) -> None:
    running = start_recipe("sst2", *flags, "--strategy", "ful", folder=tmp_path / "run", processes=2)
    ended = running.wait()
    assert [each.exitcode for each in running.processes] == [2, 2]
    assert ended.output.count("did you mean full?") == 1
