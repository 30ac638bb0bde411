"""Fully sharded data parallelism on two processes of a CPU: the training of one process, up to rounding; stopped,
resumed and killed; what is refused."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from tests.fixtures import keep_float64
from tests.recipe_runs import CHECKPOINTS, Ended, begin, run_function, run_recipe, start_recipe
from tlnlp.display.console import RunConsole
from tlnlp.errors import InputError
from tlnlp.evaluation.predict import predict
from tlnlp.runs import setup, trainer
from tlnlp.training import sharded_checkpoint
from tlnlp.training.checkpoint import checkpoints_in
from tlnlp.training.distributed import start_accelerator
from tlnlp.training.loop import train
from tlnlp.training.sharding import ShardedNetwork, check_launcher, is_requested, is_sharded

# What `accelerate launch` tells its processes of a configuration with distributed_type: FSDP and fsdp_version: 2.
FSDP = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_RESHARD_AFTER_FORWARD": "true"}


@pytest.fixture(scope="module")
def llama(gpt2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Llama's architecture with grouped queries, and the tokenizer of the tests' GPT-2."""
    folder = tmp_path_factory.mktemp("llama")
    tokenizer = transformers.AutoTokenizer.from_pretrained(gpt2)
    tokenizer.save_pretrained(folder)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=24, max_position_embeddings=128, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


# --- the same training

Case = tuple[str, str, dict[str, Any]]
ALWAYS: list[Case] = [
    ("sst2", "llama", {"strategy": "full", "micro_batches": 3}),
    ("sst2", "llama", {"strategy": "lora", "micro_batches": 3, "gradient_checkpointing": True}),
    # What learns changes from phase to phase; the second process has no rows of its own.
    ("sst2", "llama", {"strategy": "head_then_full", "micro_batches": 1}),
    # Weights are drawn anew when a phase begins.
    ("sst2", "bert", {"strategy": "reinit_top", "micro_batches": 3}),
]
# Stopped and resumed in another number of processes.
RESUMED = ALWAYS[:2]
IN_LONG_TESTS: list[Case] = [
    ("sst2", "llama", {"strategy": "full", "micro_batches": 3, "gradient_checkpointing": True}),
    ("sst2", "llama", {"strategy": "lora", "micro_batches": 2}),
    ("sst2", "llama", {"strategy": "head_only", "micro_batches": 3}),
    ("sst2", "llama", {"strategy": "gradual_unfreezing:phase_epochs=1", "micro_batches": 2}),
    ("sst2", "llama", {"strategy": "ia3", "micro_batches": 3}),
    ("sst2", "llama", {"strategy": "adapter", "micro_batches": 3}),
    ("sst2", "llama", {"strategy": "prompt", "micro_batches": 3}),
    ("sst2", "gpt2", {"strategy": "prefix", "micro_batches": 3}),
    ("sst2", "bert", {"strategy": "full", "micro_batches": 3}),
    ("sst2", "bert", {"strategy": "from_scratch", "micro_batches": 3}),
    ("sst2", "modernbert", {"strategy": "full", "micro_batches": 3}),
    ("pretrain_gpt", "gpt2", {"strategy": "full", "micro_batches": 2}),
    ("pretrain_gpt", "llama", {"strategy": "full", "micro_batches": 2}),
    ("pretrain", "bert", {"strategy": "full", "micro_batches": 3}),
    ("gpt_sst2", "gpt2", {"strategy": "full", "micro_batches": 3, "lm_weight": 0.5}),
    ("copa", "bert", {"strategy": "layer_decay", "micro_batches": 3}),
    ("conll2003", "bert", {"strategy": "top_layers:k=1", "micro_batches": 4}),
    ("squad_v2", "bert", {"strategy": "bias_only", "micro_batches": 3}),
]


STOPPED_AFTER = 2


def train_each(cases: list[tuple[str, Path, dict[str, Any]]], resumed: bool) -> None:
    """Runs in each process: trains in float64, answers, and writes losses, answers and weights.

    Args:
        resumed: from the checkpoint of the other number of processes.
    """
    with pytest.MonkeyPatch.context() as patch:
        keep_float64(patch)
        in_fp32 = ShardedNetwork.of
        patch.setattr(ShardedNetwork, "of", lambda model, accelerator: in_fp32(model.double(), accelerator))
        # With padding on one process, too: dropout draws for each position.
        patch.setattr(setup, "pack_on_device", lambda *arguments: None)
        for recipe, folder, settings in cases:
            _train(recipe, folder, settings, resumed)


def _train(recipe: str, folder: Path, settings: dict[str, Any], resumed: bool) -> None:
    work = begin(recipe, folder / "work", **settings)
    training, accelerator = work.training, work.training.accelerator
    training.model.double()
    processes, losses = accelerator.num_processes, []
    what = training.model, training.optimizer
    if resumed:
        path = checkpoints_in(folder / f"{3 - processes} processes")[-1]
        sharded_checkpoint.restore(accelerator, path, *what, training.stored_parameters)
    for step in train(training, STOPPED_AFTER if resumed else 0):
        losses.append(step.loss.item())
        if step.updates_done == STOPPED_AFTER:
            state = {"identity": "mine", "updates_done": STOPPED_AFTER}
            place = folder / f"{processes} processes"
            sharded_checkpoint.save_checkpoint(accelerator, place, *what, state, training.stored_parameters)
    answers = predict(
        training.model, work.encoded_eval, work.eval_rows, training.task, training.tokenizer,
        training.settings.max_tokens, accelerator,
    )  # fmt: skip
    divided = training.sharded is not None
    assert divided == is_sharded(training.model) == (processes > 1)
    if training.sharded is not None:
        training.sharded.gather()
    if work.compact is not None and accelerator.is_main_process:
        work.compact.whole = work.compact.whole.double()
        work.compact.restore()
    if accelerator.is_main_process:
        found = {"losses": losses, "answers": [each.as_json() for each in answers], "class": type(training.model)}
        name = f"{processes}{' resumed' * resumed}.pt"
        torch.save({**found, "weights": training.model.state_dict()}, folder / name)


@pytest.fixture(scope="module")
def trained(
    rows_for: Callable[[str], dict[str, Any]], tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Callable[[Case], Path]:
    """A case to the folder with what was learnt. Those of `ALWAYS` are trained at once, and so are the others."""
    folders: dict[str, Path] = {}

    def folder_of(case: Case) -> Path:
        if repr(case) not in folders:
            cases = ALWAYS if case in ALWAYS else IN_LONG_TESTS
            asked = []
            for recipe, architecture, more in cases:
                model = str(request.getfixturevalue(architecture))
                settings = {"model": model, "learning_rate": 1e-3, **rows_for(recipe), **more}
                asked.append((recipe, tmp_path_factory.mktemp("trained"), settings))
            for resumed in (False, True):
                some = [each for each, case in zip(asked, cases, strict=True) if not resumed or case in RESUMED]
                if some:
                    run_function(train_each, some, resumed, processes=1)
                    run_function(train_each, some, resumed, processes=2, environment=FSDP)
            folders.update((repr(each), folder) for each, (_, folder, _) in zip(cases, asked, strict=True))
        return folders[repr(case)]

    return folder_of


@pytest.mark.parametrize("case", [*ALWAYS, *(pytest.param(case, marks=pytest.mark.long) for case in IN_LONG_TESTS)])
def test_sharding_changes_nothing_but_rounding(case: Case, trained: Callable[[Case], Path]) -> None:
    folder = trained(case)
    alone, sharded = (torch.load(folder / f"{processes}.pt", weights_only=False) for processes in (1, 2))
    assert len(alone["losses"]) >= 4
    assert_same_training(sharded, alone)


@pytest.mark.parametrize("case", RESUMED)
@pytest.mark.parametrize("processes", [1, 2])
def test_a_run_goes_on_in_another_number_of_processes(
    processes: int, case: Case, trained: Callable[[Case], Path]
) -> None:
    folder = trained(case)
    alone = torch.load(folder / "1.pt", weights_only=False)
    alone["losses"] = alone["losses"][STOPPED_AFTER:]
    assert_same_training(torch.load(folder / f"{processes} resumed.pt", weights_only=False), alone)


def assert_same_training(one: dict[str, Any], alone: dict[str, Any]) -> None:
    assert one["losses"] == pytest.approx(alone["losses"], rel=1e-6)
    assert one["class"] is alone["class"], "a plain network again"
    assert one["weights"].keys() == alone["weights"].keys()
    for name, expected in alone["weights"].items():
        least = 0.1 if name in ("classifier.bias", "qa_outputs.bias") else 1e-3  # see test_distributed.py
        assert (one["weights"][name] - expected).abs().max() <= 1e-9 * max(expected.abs().max(), least), name
    for answer, other in zip(alone["answers"], one["answers"], strict=True):
        assert answer["prediction"] == other["prediction"]
        assert answer["score"] == pytest.approx(other["score"], rel=1e-6)


# --- whole runs


@pytest.fixture(scope="module")
def flags(llama: Path, reviews: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    rows = tmp_path_factory.mktemp("rows")
    for split in ("train", "validation"):
        (rows / f"{split}.jsonl").write_text((reviews / f"{split}.jsonl").read_text())
    (rows / "test.jsonl").write_text((reviews / "validation.jsonl").read_text())
    return [
        "--model", llama, "--data", rows, "--max-length", 32, "--batch-size", 16, "--epochs", 4, "--learning-rate",
        1e-2, "--micro-batches", 2, "--gradient-checkpointing",
    ]  # fmt: skip


LORA_IN_BF16 = ["--strategy", "lora", "--load-in", "bf16", "--precision", "bf16"]


def stop_at(update: int, *flags: Any, folder: Path, number: int = signal.SIGTERM, **how: Any) -> Ended:
    running = start_recipe("sst2", *flags, "--save-every", 2, folder=folder, **how)
    running.wait_for_update(update)
    for each in running.processes:
        os.kill(each.pid, number)
    return running.wait()


def resume(*flags: Any, folder: Path, **how: Any) -> Ended:
    ended = run_recipe("sst2", *flags, "--save-every", 2, "--resume", folder=folder, **how)
    assert ended.status == 0, ended.output
    assert ended.result["resumed"] == 1, ended.output
    return ended


def test_a_killed_sharded_run_goes_on_to_the_same_bits_and_to_the_best_weights(
    flags: list[Any], tmp_path: Path
) -> None:
    two: dict[str, Any] = {"processes": 2, "environment": FSDP}
    whole = run_recipe("sst2", *flags, "--keep", "best", folder=tmp_path / "whole", **two)
    assert whole.status == 0, whole.output
    assert whole.result["processes"] == 2
    assert any("FSDP: padding-free layers" in note for note in whole.result["notes"])
    killed = stop_at(6, *flags, "--keep", "best", folder=tmp_path / "run", number=signal.SIGKILL, **two)
    assert killed.status == -signal.SIGKILL
    newest = checkpoints_in(tmp_path / "run" / CHECKPOINTS)[-1]
    assert len(list(newest.glob("shard-*.safetensors"))) == 2, "each process has written its share"
    ended = resume(*flags, "--keep", "best", folder=tmp_path / "run", **two)
    assert ended.weights == whole.weights
    assert ended.predictions == whole.predictions


def _train_by_own_clock(folder: Path, settings: dict[str, Any]) -> None:
    """On the first process it is always time for a checkpoint, on the second never."""
    work = begin("sst2", folder, **settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "SAVE_SECONDS", (0.0, 1e9)[work.training.accelerator.process_index])
        patch.setattr(trainer, "UPDATES_BETWEEN", 2)
        trainer.Trainer(work, RunConsole(speaks=False, quiet=True), 0.0).learn()


def test_all_processes_write_a_checkpoint_when_it_is_time_on_the_first(
    rows_for: Callable[[str], dict[str, Any]], llama: Path, tmp_path: Path
) -> None:
    """By clocks of their own, they would write at other updates, and wait for each other for ever."""
    settings = {"model": str(llama), "strategy": "full", "micro_batches": 2, **rows_for("sst2")}
    run_function(_train_by_own_clock, tmp_path, settings, processes=2, environment=FSDP)
    assert [int(path.name) % 2 for path in checkpoints_in(tmp_path / CHECKPOINTS)] == [0, 0]


@pytest.mark.long
@pytest.mark.parametrize("more", [LORA_IN_BF16, ["--strategy", "lora", "--merge"]])
def test_an_adapter_of_a_sharded_run_is_saved_as_that_of_one_process(
    more: list[str], flags: list[Any], tmp_path: Path
) -> None:
    ended = run_recipe("sst2", *flags, *more, folder=tmp_path / "run", processes=2, environment=FSDP)
    assert ended.status == 0, ended.output
    alone = run_recipe("sst2", *flags, *more, folder=tmp_path / "alone")
    assert alone.status == 0, alone.output
    names = {path.name for path in (tmp_path / "alone" / "model").iterdir()}
    assert {path.name for path in (tmp_path / "run" / "model").iterdir()} == names


def test_a_full_disk_ends_all_processes_in_words(flags: list[Any], tmp_path: Path) -> None:
    ended = run_recipe(
        "sst2", *flags, "--save-every", 2, folder=tmp_path / "run", processes=2, environment=FSDP,
        largest_file_bytes=4_000,
    )  # fmt: skip
    assert ended.status == 2, ended.output
    assert "free disk space" in ended.output
    assert "Traceback" not in ended.output
    assert not list((tmp_path / "run" / CHECKPOINTS).iterdir())


# --- what is refused, and never done in silence


@pytest.mark.parametrize(
    ("environment", "precision", "words"),
    [
        ({"ACCELERATE_USE_DEEPSPEED": "true"}, "fp32", "DeepSpeed.*\n.*fsdp_version: 2"),
        ({"ACCELERATE_USE_MEGATRON_LM": "true"}, "fp32", "Megatron-LM"),
        ({"ACCELERATE_USE_PARALLELISM_CONFIG": "true"}, "fp32", "parallelism_config"),
        (FSDP | {"FSDP_VERSION": "1"}, "fp32", "fsdp_version: 2"),
        ({"ACCELERATE_USE_FSDP": "true"}, "fp32", "which accelerate takes if none is given"),
        (FSDP | {"FSDP_OFFLOAD_PARAMS": "true"}, "fp32", "fsdp_offload_params"),
        (FSDP | {"FSDP_ACTIVATION_CHECKPOINTING": "true"}, "fp32", "--gradient-checkpointing"),
        (FSDP, "fp16", "--precision bf16"),
    ],
)
def test_other_ways_of_dividing_a_network_are_refused_in_words(
    environment: Mapping[str, str], precision: str, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        check_launcher(environment, precision)


@pytest.mark.parametrize("environment", [{}, FSDP, {"ACCELERATE_USE_DEEPSPEED": "false"}])
def test_what_is_done_is_not_refused(environment: Mapping[str, str]) -> None:
    check_launcher(environment, "bf16")


def test_deepspeed_is_refused_before_a_checkpoint_is_looked_for(tmp_path: Path) -> None:
    ended = run_recipe(
        "sst2", "--model", tmp_path / "none", folder=tmp_path / "run", environment={"ACCELERATE_USE_DEEPSPEED": "true"}
    )
    assert ended.status == 2
    assert "found:    DeepSpeed" in ended.output
    assert "Traceback" not in ended.output


def test_one_process_with_nothing_to_shard_is_said(flags: list[Any], tmp_path: Path) -> None:
    assert not is_requested(FSDP)
    ended = run_recipe("sst2", *flags[:-1], "--epochs", 1, folder=tmp_path / "run", environment=FSDP)
    assert ended.status == 0, ended.output
    assert "FSDP: there is one process" in ended.output


def test_a_network_is_not_replicated_where_it_was_to_be_sharded(
    llama: Path, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = begin("sst2", tmp_path, model=str(llama), data=str(reviews))
    for name, value in {**FSDP, "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RuntimeError, match="not sharded"):
        next(train(work.training))


@pytest.mark.parametrize(
    ("strategy", "settings", "words"),
    [("shallow", {}, "without FSDP"), ("lora", {"load_in": "4bit", "precision": "bf16"}, "quantised")],
)
def test_what_cannot_be_sharded_is_refused_before_loading(
    strategy: str, settings: dict[str, Any], words: str, llama: Path, reviews: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for name, value in {**FSDP, "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("tests.recipe_runs.start_accelerator", lambda precision: None)
    monkeypatch.setattr("tlnlp.models.base_weights.check_quantised", lambda load_in: None)
    monkeypatch.setattr("tlnlp.runs.memory_checks.check_quantised", lambda load_in: None)
    with pytest.raises(InputError, match=words):
        begin("sst2", tmp_path, model=str(llama), data=str(reviews), strategy=strategy, **settings)


def test_the_environment_is_as_before_when_the_accelerator_has_been_started(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in FSDP.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FSDP_CPU_RAM_EFFICIENT_LOADING", "true")
    accelerator = start_accelerator()
    assert accelerator.num_processes == 1
    assert os.environ["ACCELERATE_USE_FSDP"] == "true"
    assert os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] == "false", "each process must load all weights"
