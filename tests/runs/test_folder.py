"""The folder of a run: one run, one process group, and nobody else's files."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.recipe_runs import Ended, load_recipe, run_recipe, start_recipe
from tlnlp.errors import InputError
from tlnlp.runs.folder import identity_of, open_folder
from tlnlp.runs.request import Request
from tlnlp.settings import NOT_OF_THE_RUN, Settings
from tlnlp.training.files import locked, remove_abandoned, write_json, write_locked, write_text


@pytest.fixture(scope="module")
def flags(bert: Path, reviews: Path) -> list[Any]:
    return ["--model", bert, "--data", reviews, "--max-length", 32, "--epochs", 1]


@pytest.fixture(scope="module")
def finished(flags: list[Any], tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """A run that is over. Tests that share it leave it as it is."""
    ended = run_recipe("sst2", *flags, folder=tmp_path_factory.mktemp("finished") / "run")
    assert ended.status == 0, ended.output
    return ended


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file's time of change and bytes."""
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


# --- whole runs


def test_a_finished_run_is_shown_again_and_not_run_again(flags: list[Any], finished: Ended) -> None:
    before = contents(finished.folder)
    again = run_recipe("sst2", *flags, "--save-every", 1, folder=finished.folder)
    assert again.status == 0
    assert "this very run is there already" in again.output
    assert f"{finished.result['metrics']['accuracy']:.4g}" in again.output
    after = contents(finished.folder)
    assert {name: each for name, each in after.items() if ".lock" not in name} == {
        name: each for name, each in before.items() if ".lock" not in name
    }


def test_a_folder_that_was_moved_is_believed_where_it_is_and_not_where_its_result_says(
    flags: list[Any], finished: Ended, tmp_path: Path
) -> None:
    """Otherwise `--push-to` would upload whatever folder a result names."""
    folder = Path(shutil.copytree(finished.folder, tmp_path / "moved"))
    write_json(folder / "result.json", finished.result | {"output": "/etc/forged"})
    again = run_recipe("sst2", *flags, folder=folder)
    assert again.status == 0, again.output
    assert "/etc/forged" not in again.output
    assert f"model: {folder / 'model'}" in again.output


def test_another_run_in_the_folder_is_refused_and_the_difference_named(flags: list[Any], finished: Ended) -> None:
    before = contents(finished.folder / "model")
    for resume in ([], ["--resume"]):
        other = run_recipe("sst2", *flags, "--seed", 3, *resume, folder=finished.folder)
        assert other.status == 2
        assert "--seed 0 there, 3 here" in other.output
        assert "--overwrite" in other.output
        assert "Traceback" not in other.output
    assert contents(finished.folder / "model") == before


def test_other_data_under_the_same_flags_is_another_run(flags: list[Any], reviews: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for file in reviews.iterdir():
        (data / file.name).write_bytes(file.read_bytes())
    flags = [data if flag == reviews else flag for flag in flags]
    assert run_recipe("sst2", *flags, folder=tmp_path / "run").status == 0
    lines = (data / "train.jsonl").read_text().splitlines(keepends=True)
    (data / "train.jsonl").write_text("".join(lines[1:]))
    other = run_recipe("sst2", *flags, folder=tmp_path / "run")
    assert other.status == 2
    assert "other data or another checkpoint" in other.output
    overwritten = run_recipe("sst2", *flags, "--overwrite", folder=tmp_path / "run")
    assert overwritten.result["rows"]["train"] == len(lines) - 1


def test_an_unfinished_run_is_gone_on_with_only_when_asked_and_begun_anew_only_when_asked(
    flags: list[Any], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    flags = [*flags, "--epochs", 20, "--save-every", 1]
    running = start_recipe("sst2", *flags, folder=folder)
    running.wait_for_update(3)
    running.signal(signal.SIGKILL)
    assert running.wait().status == -signal.SIGKILL
    before = contents(folder / "checkpoints")
    refused = run_recipe("sst2", *flags, folder=folder)
    assert refused.status == 2
    assert "--resume" in refused.output
    assert "--overwrite" in refused.output
    assert contents(folder / "checkpoints") == before
    anew = run_recipe("sst2", *flags, "--overwrite", folder=folder)
    assert anew.status == 0, anew.output
    assert anew.result["resumed"] == 0


def test_a_second_process_in_the_folder_is_refused_while_the_first_is_at_work(flags: list[Any], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    flags = [*flags, "--epochs", 500, "--save-every", 1]
    first = start_recipe("sst2", *flags, folder=folder)
    first.wait_for_update(1)
    for flag in ("--resume", "--overwrite"):
        second = run_recipe("sst2", *flags, flag, folder=folder)
        assert second.status == 2, second.output
        assert "another process that uses it" in second.output
        assert "Traceback" not in second.output
    assert first.processes[0].is_alive()
    first.signal(signal.SIGTERM)
    assert first.wait().status == 130


def test_a_folder_with_somebody_s_files_is_refused_and_nothing_in_it_deleted(flags: list[Any], tmp_path: Path) -> None:
    folder = tmp_path / "thesis"
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "config.json").write_text("mine")
    for file in ("thesis.tex", "result.json", "predictions.jsonl"):
        (folder / file).write_text("mine")
    before = contents(folder)
    for flag in ([], ["--overwrite"], ["--resume"]):
        refused = run_recipe("sst2", *flags, *flag, folder=folder)
        assert refused.status == 2, refused.output
        assert "thesis.tex" in refused.output
        assert before.items() <= contents(folder).items()


def test_an_output_folder_that_cannot_be_is_refused_in_words(flags: list[Any], tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for place in (tmp_path / "notes.txt", tmp_path / "notes.txt" / "run"):
        refused = run_recipe("sst2", *flags, folder=place)
        assert refused.status == 2
        assert "change:" in refused.output
        assert "Traceback" not in refused.output
    assert (tmp_path / "notes.txt").read_text() == "mine"


# --- its parts

SETTINGS = Settings()


def begin_run(folder: Path, identity: str = "mine", **changes: Any) -> dict[str, Any] | None:
    folder.mkdir(exist_ok=True)
    return open_folder(folder, identity, replace(SETTINGS, **changes))


@pytest.mark.parametrize("name", ["model", "checkpoints", "tokenizer", "tracker", "result.json", "predictions.jsonl"])
def test_what_is_named_like_a_run_s_own_is_somebody_s_where_no_run_was_noted(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "mine.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(InputError, match=name):
            begin_run(tmp_path, overwrite=overwrite)
    assert (tmp_path / name / "mine.txt").read_text() == "mine"


def test_overwriting_deletes_all_that_the_run_left_and_keeps_the_lock(tmp_path: Path) -> None:
    with locked(tmp_path):
        begin_run(tmp_path)
        write_json(tmp_path / "result.json", {"metrics": {}})
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "config.json").write_text("{}")
        assert begin_run(tmp_path) == {"metrics": {}}
        assert begin_run(tmp_path, overwrite=True) is None
        assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "run.json"]


def test_a_file_added_to_a_run_s_folder_keeps_it_from_being_overwritten(tmp_path: Path) -> None:
    begin_run(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"notes\.txt"):
        begin_run(tmp_path, overwrite=True)
    assert (tmp_path / "run.json").exists()


def test_an_overwriting_that_was_cut_short_can_be_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin_run(tmp_path)
    for name in ("result.json", "predictions.jsonl"):
        (tmp_path / name).write_text("{}")
    unlink: Callable[..., None] = Path.unlink
    left = iter(range(1))

    def unlink_one(path: Path, **how: Any) -> None:
        if path.exists() and next(left, None) is None:
            raise KeyboardInterrupt
        unlink(path, **how)

    monkeypatch.setattr(Path, "unlink", unlink_one)
    with pytest.raises(KeyboardInterrupt):
        begin_run(tmp_path, overwrite=True)
    monkeypatch.undo()
    begin_run(tmp_path, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_what_a_killed_process_was_writing_is_not_taken_for_somebody_s_file(tmp_path: Path) -> None:
    begin_run(tmp_path)
    (tmp_path / ".writing-abc").mkdir()
    (tmp_path / ".writing-run.json").write_text("{")
    (tmp_path / ".writing-model").symlink_to(tmp_path / "run.json")
    (tmp_path / "checkpoints" / ".writing-000000003").mkdir(parents=True)
    (tmp_path / "checkpoints" / ".writing-000000003" / "model.safetensors").write_text("half")
    (tmp_path / "checkpoints" / "000000002").mkdir()
    (tmp_path / "languages").mkdir()
    (tmp_path / "languages" / ".writing-de.jsonl").write_text("half")
    assert begin_run(tmp_path, resume=True) is None
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert left == {"run.json", "checkpoints", "checkpoints/000000002", "languages"}, "and nothing else is touched"


def test_checkpoints_that_a_finished_run_could_not_delete_any_more_are_deleted(tmp_path: Path) -> None:
    begin_run(tmp_path)
    (tmp_path / "checkpoints" / "000000002").mkdir(parents=True)
    write_json(tmp_path / "result.json", {"metrics": {}})
    assert begin_run(tmp_path) == {"metrics": {}}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["result.json", "run.json"]


@pytest.mark.parametrize("name", ["run.json", "result.json"])
@pytest.mark.parametrize("content", ["", '{"identity', "[]", "[1]"])
def test_a_damaged_file_is_refused_in_words_and_can_be_overwritten(name: str, content: str, tmp_path: Path) -> None:
    begin_run(tmp_path)
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=name.replace(".", r"\.")) as refused:
        begin_run(tmp_path, resume=True)
    assert "--overwrite" in refused.value.change
    assert begin_run(tmp_path, overwrite=True) is None


def test_in_a_shared_folder_only_what_nobody_is_writing_is_removed(tmp_path: Path) -> None:
    abandoned, written = tmp_path / ".writing-one", tmp_path / ".writing-two"
    child = os.fork()
    if child == 0:
        with write_locked(written):
            (tmp_path / "held").touch()
            signal.pause()
    while not (tmp_path / "held").exists():
        pass
    abandoned.write_bytes(b"half")
    remove_abandoned(tmp_path)
    assert written.exists()
    assert not abandoned.exists()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    remove_abandoned(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["held"]


def test_a_lock_ends_with_its_process_and_not_before(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        with locked(tmp_path):
            (tmp_path / "held").touch()
            signal.pause()
    while not (tmp_path / "held").exists():
        pass
    with pytest.raises(InputError, match="another process"), locked(tmp_path):
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with locked(tmp_path):
        pass


def test_the_identity_is_made_of_all_that_decides_a_result_and_of_nothing_else() -> None:
    base = identity_of("sst2", SETTINGS, "data", "model")
    others = {
        "model": "x", "data": "x", "columns": ("text=a",), "label_names": ("a",), "full": True,
        "strategy": "x", "epochs": 9, "batch_size": 9, "learning_rate": 9.0,
        "warmup_fraction": 0.9, "weight_decay": 0.9, "max_grad_norm": 9.0, "max_length": 9,
        "max_tokens": 999, "micro_batches": 9, "precision": "bf16", "seed": 9, "train_rows": 9, "new_head": True,
        "keep": "best", "mask_fraction": 0.9, "window_overlap": 9, "truncate": ("text=start",), "max_answer": 9,
        "lm_weight": 0.9, "fix_answers": True, "class_weights": "balanced",
        "several_labels": "yes", "label_separator": ";", "thresholds": "0.5",
        "schedule": "cosine", "patience": 9, "least_updates": 9, "small_data": True, "recompute_frozen": True,
        "merge": True, "train_language": ("de",), "languages": ("de",), "transfer_data": "x", "few_shot": 9,
        "show_oracle": True, "resize_embeddings": True, "windows": "mean", "load_in": "bf16",
        "gradient_checkpointing": True, "compile": True, "compute_padding": True, "train_file": "a.csv",
        "dev_file": "b.csv", "test_file": "c.csv", "dev_fraction": 0.3, "separator": ";", "encoding": "cp1252",
        "no_header": True, "metrics": ("f1",), "loss": "focal", "focal_gamma": 1.0, "positive": "yes",
    }  # fmt: skip
    others = {name: value for name, value in others.items() if hasattr(SETTINGS, name)}
    assert set(others) | set(NOT_OF_THE_RUN) == set(vars(SETTINGS)), "a new flag must be told apart here too"
    found = {
        name: identity_of("sst2", replace(SETTINGS, **{name: value}), "data", "model") for name, value in others.items()
    }
    assert base not in found.values()
    assert len(set(found.values())) == len(found)
    assert identity_of("mnli", SETTINGS, "data", "model") != base
    assert identity_of("sst2", SETTINGS, "x", "model") != base
    assert identity_of("sst2", SETTINGS, "data", "x") != base
    kept = replace(
        SETTINGS,
        output_dir=Path("x"),
        frozen_dir=Path("x"),
        resume=True,
        save_every=3,
        tracker="x",
        push_to="x/y",
        no_report=True,
        quiet=True,
        seeds=4,
    )
    assert identity_of("sst2", kept, "data", "model") == base


def test_a_text_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    write_json(file, {"accuracy": 0.5})
    with pytest.raises(UnicodeEncodeError):
        write_text(file, "half of it" * 10_000 + "\ud800")
    assert json.loads(file.read_text()) == {"accuracy": 0.5}
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"], "nor does half of it remain"


@pytest.mark.parametrize(
    ("there", "changes", "expected"),
    [
        (None, {}, 8),
        (None, {"micro_batches": 3}, 3),
        ("run.json", {}, 5),
        ("run.json", {"micro_batches": 3}, 3),
        ("run.json", {"overwrite": True}, 8),
        # The first of several seeds is done on other processes than the second.
        ("seed0/run.json", {"seeds": 2}, 5),
    ],
)
def test_a_run_keeps_its_number_of_micro_batches(
    there: str | None, changes: dict[str, Any], expected: int, tmp_path: Path
) -> None:
    if there is not None:
        (tmp_path / there).parent.mkdir(exist_ok=True)
        write_json(tmp_path / there, {"identity": "x", "settings": {"micro_batches": 5}})
    recipe = load_recipe("sst2")
    request = Request.of(recipe, recipe.settings(output_dir=tmp_path, **changes))
    assert request.with_micro_batches(8).settings.micro_batches == expected
