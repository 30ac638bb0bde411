"""The shapes of answer. A head is a module with the functions of `tlnlp.task.Head`; it is imported when first used."""

from typing import cast

from tlnlp.lazy import lazy_module
from tlnlp.task import Head

# Written out so that editors and type checkers see them.
choice = cast(Head, lazy_module("tlnlp.heads.choice"))
gpt = cast(Head, lazy_module("tlnlp.heads.gpt"))
causal_lm = cast(Head, lazy_module("tlnlp.heads.causal_lm"))
sentence = cast(Head, lazy_module("tlnlp.heads.sentence"))
span = cast(Head, lazy_module("tlnlp.heads.span"))
tag = cast(Head, lazy_module("tlnlp.heads.tag"))
masked_lm = cast(Head, lazy_module("tlnlp.heads.masked_lm"))
