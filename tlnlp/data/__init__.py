"""Loading rows from the bundled samples, from files, from the Hub or from memory, and checking them before any model is
loaded."""

from tlnlp.data.rows import Rows, Splits
from tlnlp.data.splits import load_splits

__all__ = ["Rows", "Splits", "load_splits"]
