"""Notebooks with a real kernel: what a cell shows, what is refused, what Ctrl-C leaves; and docs/quickstart.ipynb."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from docs.run_notebook import ENVIRONMENT, KERNEL, NOTEBOOK, execute
from tests.recipe_runs import ROOT

# All but tab and newline: colours, cursor movements, and the carriage return by which a bar is drawn over itself.
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
NUMBER = re.compile(r"-?\d[\d,]*\.?\d*")
FRAME = """
import pandas as pd
import tlnlp
texts = ["A fine film.", "A dull film.", "Fine songs.", "Dull songs.", "A fine cast.", "A dull cast."] * 8
frame = pd.DataFrame({"review": texts, "stars": ["dull" if "ull" in text else "fine" for text in texts]})
settings = dict(columns={"text": "review", "label": "stars"}, max_length=16, batch_size=8)
"""
REFUSED = 'tlnlp.train("own_classification", frame, columns={"text": "reveiw", "label": "stars"})'


def run_cells(folder: Path, *sources: str) -> list[Any]:
    """The cells with what a kernel in `folder` said to them. Whatever is refused ends its own cell only."""
    notebook = new_notebook(cells=[new_code_cell(each, metadata={"tags": ["raises-exception"]}) for each in sources])
    return execute(notebook, folder).cells


def outputs_of(notebook: Any) -> Iterator[tuple[str, Any]]:
    """(id of its cell, output)."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            yield from ((cell.id, each) for each in cell.outputs)


def text_of(output: Any) -> str:
    """What an output says to a reader who sees no HTML and no picture."""
    if output.output_type == "stream":
        return output.text
    return "\n".join(output.traceback) if output.output_type == "error" else output.data.get("text/plain", "")


def printed(cell: Any) -> str:
    return "".join(each.text for each in cell.outputs if each.output_type == "stream")


def kinds_of(output: Any) -> tuple[str, ...]:
    """Text that is printed, an error, or the forms that something is shown in."""
    return (output.output_type, *sorted(output.get("data", ())))


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> dict[str, Any]:
    """{name: cell} of one small notebook."""
    sources = {
        "frame": FRAME,
        "train": f'run = tlnlp.train("own_classification", frame, model="{bert}", epochs=2, **settings)\nrun',
        "curve": "run.plot_learning_curve()",
        "report": "run.report()",
        "predict": "run.model.predict(texts[:3])",
        "own": "import matplotlib.pyplot as plt\nplt.plot([1, 2]);",
        "refused": REFUSED,
        "after": "run.confusion_matrix",
    }
    return dict(zip(sources, run_cells(tmp_path_factory.mktemp("kernel"), *sources.values()), strict=True))


def test_a_run_shows_one_bar_and_plain_lines(cells: dict[str, Any]) -> None:
    said = printed(cells["train"])
    assert "columns: text from review, label from stars" in said and "majority class" in said
    assert 'add strategy="from_scratch"' in said, "a caller from Python has no flags"
    assert not CONTROL.search(said)
    (bar,) = [each for each in cells["train"].outputs if each.output_type == "display_data"]
    # 43 rows learnt from twice, 5 cut off for dev and answered after each epoch.
    assert bar.data["text/plain"] == "done: 96 of 96 rows"
    assert '<progress value="96" max="96"' in bar.data["text/html"]
    (shown,) = [each for each in cells["train"].outputs if each.output_type == "execute_result"]
    scores = r"accuracy [\d.]+, f1 of \w+ [\d.]+, f1_macro [\d.]+, f1_weighted [\d.]+"
    assert re.match(rf"Run\(own_classification: {scores}; runs/own_classification/", text_of(shown))


def test_nothing_else_is_said_by_any_library(cells: dict[str, Any]) -> None:
    assert not [each.text for cell in cells.values() for each in cell.outputs if each.get("name") == "stderr"]


def test_a_figure_is_shown_and_the_readers_own_ones_still_are(cells: dict[str, Any]) -> None:
    for name in ("curve", "own"):
        (figure,) = cells[name].outputs
        assert figure.data["image/png"], name


def test_the_report_is_shown_in_a_frame(cells: dict[str, Any]) -> None:
    (page,) = cells["report"].outputs
    assert page.data["text/html"].startswith('<iframe srcdoc="&lt;!doctype html&gt;')
    assert text_of(page).startswith("Report('runs/") and text_of(page).endswith("report.html')")


def test_predictions_read_well(cells: dict[str, Any]) -> None:
    (shown,) = cells["predict"].outputs
    lines = text_of(shown).splitlines()
    assert len(lines) == 3
    assert all(re.search(r"Prediction\(prediction='(dull|fine)', score=0\.\d+, scores=", line) for line in lines)


def test_what_is_refused_is_three_lines_and_the_next_cell_works(cells: dict[str, Any]) -> None:
    (error,) = cells["refused"].outputs
    assert error.ename == "InputError"
    assert [line.split(":")[0] for line in error.traceback] == ["InputError", "expected", "found", "change"]
    assert "did you mean review?" in error.traceback[2]
    assert error.traceback[3] == 'change:   columns={"text": "COLUMN"}'
    (table,) = cells["after"].outputs
    assert {"text/html", "text/plain"} <= set(table.data) and "dull" in text_of(table)


@pytest.mark.long
def test_an_interrupt_leaves_a_run_that_the_same_call_resumes_in_the_same_kernel(tmp_path: Path, bert: Path) -> None:
    """To the weights of a run that was never stopped, bit for bit."""
    call = f'tlnlp.train("own_classification", frame, model="{bert}", epochs=60, save_every=5, {{}}, **settings)'
    sources = [
        FRAME,
        call.format('output_dir="stopped"'),
        "stopped = 'still here'",
        call.format('output_dir="stopped", resume=True'),
        call.format('output_dir="whole"'),
        "stopped",
    ]
    notebook = new_notebook(cells=[new_code_cell(each, metadata={"tags": ["raises-exception"]}) for each in sources])
    asyncio.run(interrupt_once(notebook, tmp_path, tmp_path / "stopped" / "checkpoints"))
    _, interrupted, _, resumed, whole, last = notebook.cells
    (error,) = [each for each in interrupted.outputs if each.output_type == "error"]
    assert error.ename == "Interrupted"
    (line,) = error.traceback
    said = re.fullmatch(r"Interrupted: stopped after update (\d+) of 360; the same call with resume=True goes on", line)
    assert said and 0 < int(said[1]) < 360
    assert f"going on after update {said[1]}" in printed(resumed)
    assert not [each for cell in (resumed, whole) for each in cell.outputs if each.output_type == "error"]
    assert text_of(last.outputs[0]) == "'still here'"
    for name in ("model.safetensors", "config.json"):
        ours, theirs = (tmp_path / each / "model" / name for each in ("stopped", "whole"))
        assert ours.read_bytes() == theirs.read_bytes()


async def interrupt_once(notebook: Any, folder: Path, checkpoints: Path) -> None:
    """Runs the cells, and interrupts the kernel as a notebook does once there is a checkpoint."""
    client = NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": str(ROOT)}
    running = asyncio.create_task(client.async_execute(env=environment))
    while not running.done() and not list(checkpoints.glob("[0-9]*")):
        await asyncio.sleep(0.01)
    assert client.km is not None
    await client.km.interrupt_kernel()
    await running


@pytest.fixture(scope="module")
def stored() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


def test_the_committed_notebook_was_run_from_the_top(stored: Any) -> None:
    nbformat.validate(stored)
    code = [cell for cell in stored.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert stored.metadata == {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    assert sum(bool(cell.outputs) for cell in code) >= len(code) - 1
    failed = {name for name, each in outputs_of(stored) if each.output_type == "error"}
    assert failed == {cell.id for cell in code if "raises-exception" in cell.metadata.get("tags", [])} != set()
    assert sum("image/png" in each.get("data", ()) for _, each in outputs_of(stored)) >= 2


def test_the_committed_notebook_is_small_and_says_nothing_of_the_machine(stored: Any) -> None:
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert len(text) < 400_000
    for name, each in outputs_of(stored):
        said = text_of(each)
        assert not CONTROL.search(said), name
        assert not re.search(r"(?<![\w.])/(home|root|tmp|work|Users|usr|opt)/|[A-Z]:\\", said), name
        assert each.get("name") != "stderr", said
    # A bar is one output, as it was last.
    for cell in stored.cells:
        bars = [each for each in cell.get("outputs", ()) if "<progress" in each.get("data", {}).get("text/html", "")]
        assert len(bars) <= 1 and all(text_of(bar).startswith("done: ") for bar in bars)


def test_its_cells_are_short_with_sentences_between(stored: Any) -> None:
    assert all(cell.source.count("\n") < 16 for cell in stored.cells if cell.cell_type == "code")
    # At most two cells of code follow each other.
    kinds = "".join(cell.cell_type[0] for cell in stored.cells)
    assert "ccc" not in kinds and kinds[0] == "m"


def test_its_links_lead_somewhere(stored: Any) -> None:
    links = [each for cell in stored.cells for each in re.findall(r"\]\(([^)]+)\)", cell.source)]
    assert links and all((NOTEBOOK.parent / each).is_file() for each in links if "://" not in each)


@pytest.mark.long
@pytest.mark.timeout(3_600)  # minutes on a free machine, but it learns 22 times
def test_the_quickstart_runs_and_shows_what_is_stored(stored: Any, tmp_path: Path) -> None:
    """From the top, in an empty folder. What follows from the rows alone is the same to the letter; what was learnt
    here and there may differ by a few rows, since no two kinds of CPU round alike."""
    fresh = execute(stored, tmp_path)
    assert [cell.id for cell in fresh.cells] == [cell.id for cell in stored.cells]
    for ours, theirs in zip(fresh.cells, stored.cells, strict=True):
        if ours.cell_type != "code":
            continue
        assert [kinds_of(each) for each in ours.outputs] == [kinds_of(each) for each in theirs.outputs], ours.id
        if "exact" in ours.metadata.get("tags", []):
            assert [text_of(each) for each in ours.outputs] == [text_of(each) for each in theirs.outputs], ours.id
    for name in ("metrics", "languages"):
        found, expected = ([*map(float, numbers_of(notebook, name))] for notebook in (fresh, stored))
        assert found == pytest.approx(expected, abs=0.06), name
    folders = [path.parent for path in tmp_path.rglob("result.json")]
    assert len(folders) == 2 + 20, "two runs, and a comparison of two strategies, two sizes and five seeds"
    assert not [path for path in tmp_path.iterdir() if path.name != "runs"], "all is in one folder"


def numbers_of(notebook: Any, name: str) -> list[str]:
    (cell,) = [cell for cell in notebook.cells if cell.id == name]
    return NUMBER.findall(text_of(cell.outputs[-1]))
