"""Runs docs/quickstart.ipynb from top to bottom and keeps what came out:

    python docs/run_notebook.py

Nothing of the machine is kept: no times of execution, no versions, no paths. One thread, so that the numbers are those
of any other run on such a CPU.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).with_name("quickstart.ipynb")
CELL_SECONDS = 1_800
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
# What a cell runs with: no network, as said on the page.
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def execute(notebook: Any, folder: Path) -> Any:
    """A copy of `notebook` with the outputs of a fresh kernel in `folder`.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed that is not tagged `raises-exception`.
    """
    executed = nbformat.from_dict(notebook)
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(executed, timeout=CELL_SECONDS, kernel_name="python3", resources=resources)
    paths = os.pathsep.join(filter(None, [str(NOTEBOOK.parents[1]), os.environ.get("PYTHONPATH")]))
    client.execute(env={**os.environ, **ENVIRONMENT, "PYTHONPATH": paths})
    for cell in executed.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = join_streams(cell.outputs)
    executed.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}})
    return executed


def join_streams(outputs: list[Any]) -> list[Any]:
    """What was printed in one go, as one output: a kernel sends it line by line. Blanks at the ends of lines go."""
    joined: list[Any] = []
    for output in outputs:
        if output.output_type == "stream" and joined and joined[-1].get("name") == output.name:
            joined[-1].text += output.text
        else:
            joined.append(output)
    for output in joined:
        if output.output_type == "stream":
            output.text = re.sub(r"[ \t]+\n", "\n", output.text)
    return joined


def main() -> int:
    """Rewrites the notebook in its place."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        executed = execute(notebook, Path(folder))
    nbformat.write(executed, NOTEBOOK)
    print(f"{NOTEBOOK}: {len(executed.cells)} cells, {NOTEBOOK.stat().st_size / 1e3:,.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
