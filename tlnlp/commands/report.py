"""`tlnlp report`: an HTML report on one run, or on several side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tyro

from tlnlp.commands.arguments import ReportArguments
from tlnlp.errors import InputError
from tlnlp.reporting.page import save_page
from tlnlp.runs.folder import REPORT, RESULT

# The results of `tlnlp compare` and `tlnlp matrix`, and their headings.
GRIDS = {"compare": "Did transfer help?", "matrix": "Transfer from each language to each other"}


def main(arguments: list[str]) -> int:
    """The command line of `tlnlp report`."""
    asked = tyro.cli(ReportArguments, args=arguments, prog="tlnlp report", config=(tyro.conf.FlagCreatePairsOff,))
    if not asked.folders:
        raise InputError(expected="the folder of a run", found="none", change="tlnlp report runs/TASK/NAME")
    runs: list[Path] = []
    pictures: list[dict[str, Any]] = []
    for folder in asked.folders:
        grids = [name for name in GRIDS if (folder / f"{name}.json").is_file()]
        pictures += [_read_grid(folder, name) for name in grids]
        if not grids or (folder / RESULT).is_file():
            runs.append(folder)
    output = asked.output or asked.folders[0] / REPORT
    save_page(runs, output, pictures)
    print(output)
    return 0


def _read_grid(folder: Path, name: str) -> dict[str, Any]:
    """Reads the figure and the text of a comparison or a matrix."""
    content = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    picture = (folder / f"{name}.svg").read_text(encoding="utf-8")
    words = [sentence for part in content.get("verdicts", {}).values() for sentence in part]
    return {"name": GRIDS[name], "svg": picture[picture.index("<svg") :], "words": words}
