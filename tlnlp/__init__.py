"""Transfer learning for NLP: recipes that fine-tune BERT and GPT checkpoints, and test whether transfer helps.

run = tlnlp.train("sst2", data=frame, columns={"text": "review", "label": "stars"})
run.metrics, run.predictions, run.folder
tlnlp.load(run.folder).predict(["A film to see twice."])
tlnlp.compare("sst2", strategies=["from_scratch", "full"], rows=[64, 256], seeds=5).table
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tlnlp import heads
from tlnlp.errors import InputError, Interrupted
from tlnlp.evaluation import metrics
from tlnlp.lazy import lazy_module
from tlnlp.recipe import Default, NewModel, Published, Recipe
from tlnlp.runs.versions import __version__
from tlnlp.task import Columns, Data, MultiLabel, Regression, Task

if TYPE_CHECKING:
    from tlnlp.commands.python_calls import compare, fill_mask, load, train
    from tlnlp.data.samples import load_sample

# They import torch and transformers, or pandas, and therefore only when they are first used.
_calls, _samples = lazy_module("tlnlp.commands.python_calls"), lazy_module("tlnlp.data.samples")
_ON_FIRST_USE = {"compare": _calls, "fill_mask": _calls, "load": _calls, "train": _calls, "load_sample": _samples}


def __getattr__(name: str) -> Any:
    if name not in _ON_FIRST_USE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_ON_FIRST_USE[name], name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_ON_FIRST_USE})


__all__ = [
    "Columns",
    "Data",
    "Default",
    "InputError",
    "Interrupted",
    "MultiLabel",
    "NewModel",
    "Published",
    "Recipe",
    "Regression",
    "Task",
    "__version__",
    "compare",
    "fill_mask",
    "heads",
    "load",
    "load_sample",
    "metrics",
    "train",
]
