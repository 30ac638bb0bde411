"""A recipe as a person starts it, in a process of its own that cannot reach any network."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.recipe_runs import ROOT

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
