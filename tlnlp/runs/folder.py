"""The folder of a run: one run per folder, used by one process group at a time, identified by a digest of the run."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tlnlp.errors import InputError
from tlnlp.settings import NOT_OF_THE_RUN, Settings
from tlnlp.training.files import ASIDE, LOCK, remove_unfinished, room_wanted, write_json

RUN, RESULT, CHECKPOINTS, MODEL, PREDICTIONS = "run.json", "result.json", "checkpoints", "model", "predictions.jsonl"
BEST = "best"  # in CHECKPOINTS
FROZEN = "frozen"  # the outputs of frozen layers
LANGUAGES = "languages"  # predictions in the target languages: de.jsonl and so on
REPORT = "report.html"
# The files that a run may write to its folder; any other file belongs to the user and is never deleted.
OWN_FILES = {RUN, RESULT, CHECKPOINTS, MODEL, PREDICTIONS, LANGUAGES, REPORT, LOCK, "tokenizer", "tracker", FROZEN}


def identity_of(task: str, settings: Settings, data: str, model: str) -> str:
    """Returns a digest of everything that determines a run's result: runs with the same identity produce the same
    weights."""
    of_the_run = {name: value for name, value in asdict(settings).items() if name not in NOT_OF_THE_RUN}
    text = json.dumps([task, of_the_run, data, model], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def open_folder(folder: Path, identity: str, settings: Settings) -> dict[str, Any] | None:
    """Claims `folder` for this run. Returns the run's result if it has already finished.

    Raises:
        InputError: the folder contains another run, an unfinished one without `--resume`, or files that no run wrote.
    """
    present = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    # Without the file that identifies the run, no other file was written by a run, whatever its name.
    own = OWN_FILES if RUN in present else {LOCK}
    foreign = sorted(name for name in present - own if not name.startswith(ASIDE))
    if foreign:
        raise InputError(
            expected="--output-dir: a folder of its own for the run",
            found=f"{folder} with {', '.join(foreign[:5])}",
            change="another --output-dir",
        )
    if settings.overwrite:
        empty_folder(folder)
        present = set()
    if RUN in present:
        remove_unfinished(folder, folder / CHECKPOINTS, folder / LANGUAGES)
        run = _read(folder / RUN, {"identity", "settings"})
        if run["identity"] != identity:
            raise InputError(
                expected=f"in {folder} nothing, or this very run",
                found=f"another run ({_difference(run['settings'], settings)})",
                change="another --output-dir, or --overwrite to delete that run",
            )
        if RESULT in present:
            drop_checkpoints(folder)  # if the run was killed before it could
            return _read(folder / RESULT, {"metrics"})
        if not settings.resume:
            raise InputError(
                expected=f"in {folder} nothing",
                found="this run, begun and not finished",
                change="add --resume to go on with it, or --overwrite to begin anew",
            )
    with room_wanted(folder):
        write_json(folder / RUN, {"identity": identity, "settings": plain(settings)})
    return None


def stored_micro_batches(folder: Path) -> int | None:
    """Returns the number of micro-batches of the run in `folder`, or of the first of its `--seeds`; None if there is no
    run."""
    for path in (folder / RUN, *sorted(folder.glob(f"seed*/{RUN}"))):
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
            return int(json.loads(path.read_text())["settings"]["micro_batches"])
    return None


def _read(path: Path, names: set[str]) -> dict[str, Any]:
    """Returns the object in a file that a run has written; `names` are some of its keys."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        damage = "" if isinstance(content, dict) and names <= content.keys() else f"no {' and '.join(sorted(names))}"
    except ValueError as error:
        damage = str(error)
    if damage:
        raise InputError(
            expected=f"{path}, as a run has written it",
            found=f"a damaged file: {damage}",
            change="restore it, or --overwrite to begin anew",
        )
    return content


def empty_folder(folder: Path) -> None:
    """Deletes the files of a run in `folder`, and nothing else."""
    # The file that identifies the run is deleted last: if interrupted, the folder can be emptied again.
    for name in sorted(OWN_FILES - {LOCK}, key=RUN.__eq__):
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def drop_checkpoints(folder: Path) -> None:
    """Deletes the checkpoints: the run has finished."""
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)


def plain(settings: Settings) -> dict[str, Any]:
    """Returns the settings as JSON values."""
    return json.loads(json.dumps(asdict(settings), default=str))


def _difference(before: dict[str, Any], settings: Settings) -> str:
    now = plain(settings)
    names = [name for name in now if name not in NOT_OF_THE_RUN and before.get(name) != now[name]]
    said = [f"--{name.replace('_', '-')} {before.get(name)} there, {now[name]} here" for name in names]
    return "; ".join(said[:3]) or "other data or another checkpoint under the same flags"
