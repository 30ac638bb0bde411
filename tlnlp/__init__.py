"""Transfer learning for NLP: recipes that fine-tune BERT and GPT checkpoints, and say whether transfer helped."""

from tlnlp import heads
from tlnlp.evaluation import metrics
from tlnlp.recipe import Columns, Data, NewModel, Published, Recipe, Score, Several, Sourced, Task

__version__ = "0.1.0"
__all__ = [
    "Columns",
    "Data",
    "NewModel",
    "Published",
    "Recipe",
    "Score",
    "Several",
    "Sourced",
    "Task",
    "heads",
    "metrics",
]
