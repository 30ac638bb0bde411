"""Heads, one module per kind of prediction, with the functions of `tlnlp.task.Head`. They are imported on first use."""

from typing import cast

from tlnlp.lazy import lazy_module
from tlnlp.task import Head

# Listed explicitly for editors and type checkers.
choice = cast(Head, lazy_module("tlnlp.heads.choice"))
gpt = cast(Head, lazy_module("tlnlp.heads.gpt"))
causal_lm = cast(Head, lazy_module("tlnlp.heads.causal_lm"))
sentence = cast(Head, lazy_module("tlnlp.heads.sentence"))
span = cast(Head, lazy_module("tlnlp.heads.span"))
tag = cast(Head, lazy_module("tlnlp.heads.tag"))
masked_lm = cast(Head, lazy_module("tlnlp.heads.masked_lm"))
