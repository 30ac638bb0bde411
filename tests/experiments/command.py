"""`tlnlp compare` in this process: what it printed, how it ended, and what it wrote."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.recipe_runs import ROOT, start_server
from tlnlp import cli

SST2 = str(ROOT / "recipes" / "sst2.py")
STRATEGIES = ("--strategies", "from_scratch", "full")


@dataclass
class Said:
    """What a command printed, and how it ended."""

    status: int
    out: str
    err: str


def compare(*arguments: object) -> Said:
    """`tlnlp compare ARGUMENTS`, in this process."""
    start_server()
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = cli.main(["compare", *map(str, arguments)])
    return Said(status, out.getvalue(), err.getvalue())


def flags(model: Path, data: Path) -> tuple[object, ...]:
    return ("--model", model, "--data", data, "--epochs", 1, "--max-length", 32, "--batch-size", 8)


def read(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "compare.json").read_text())
