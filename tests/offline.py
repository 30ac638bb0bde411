"""A recipe as a person starts it, in a process of its own that cannot reach any network."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.recipe_runs import ROOT, load_recipe, start_function

# Python runs this before anything else. What is asked for is refused and noted: libraries swallow refusals.
SITECUSTOMIZE = """
import os, socket

def refuse(*arguments, **named):
    with open(os.environ["ASKED_FOR"], "a") as file:
        file.write(f"{arguments}\\n")
    raise OSError("there is no network in this test")

socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = refuse
socket.getaddrinfo = socket.create_connection = socket.gethostbyname = refuse
"""


@dataclass
class Offline:
    """A process that is over.

    Args:
        asked_for: the addresses that it tried to reach, a line each.
    """

    status: int
    out: str
    err: str
    asked_for: str


def run_offline(folder: Path, *command: object, answer: str = "") -> Offline:
    """`python COMMAND` in the repository's root, without a network and without HF_HUB_OFFLINE.

    Args:
        folder: for the patch and its notes.
        answer: typed in where the process asks something.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(SITECUSTOMIZE)
    notes = folder / "asked_for.txt"
    notes.write_text("")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    ended = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=ROOT,
        env={**environment, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "ASKED_FOR": str(notes), "COLUMNS": "100"},
        input=answer,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    return Offline(ended.returncode, ended.stdout, ended.stderr, notes.read_text())


def run_offline_forked(folder: Path, recipe: str, *flags: object, answer: str = "") -> Offline:
    """`run_offline` of a recipe in a process that is forked, and so has its libraries already."""
    folder.mkdir(parents=True, exist_ok=True)
    notes, out, err = (folder / name for name in ("asked_for.txt", "out.txt", "err.txt"))
    notes.write_text("")
    # Nobody says that the Hub is not to be asked.
    told = {"ASKED_FOR": str(notes), "COLUMNS": "100", "HF_HUB_OFFLINE": "", "HF_ENDPOINT": "https://huggingface.co"}
    running = start_function(_act_offline, recipe, [*map(str, flags)], str(out), str(err), answer, environment=told)
    return Offline(running.wait().status or 0, out.read_text(), err.read_text(), notes.read_text())


def _act_offline(recipe: str, flags: list[str], out: str, err: str, answer: str) -> None:
    exec(SITECUSTOMIZE)
    sys.stdin = io.StringIO(answer)
    with open(out, "w") as sys.stdout, open(err, "w") as sys.stderr:
        load_recipe(recipe).main(flags)
