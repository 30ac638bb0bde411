"""Metrics: `evaluate` modules that need no network access, loaded on first use."""

from tlnlp.lazy import lazy_module

accuracy = lazy_module("tlnlp.evaluation.metrics.accuracy")
entity_f1 = lazy_module("tlnlp.evaluation.metrics.entity_f1")
f1 = lazy_module("tlnlp.evaluation.metrics.f1")
matthews = lazy_module("tlnlp.evaluation.metrics.matthews")
pearson = lazy_module("tlnlp.evaluation.metrics.pearson")
perplexity = lazy_module("tlnlp.evaluation.metrics.perplexity")
spearman = lazy_module("tlnlp.evaluation.metrics.spearman")
squad = lazy_module("tlnlp.evaluation.metrics.squad")
word_accuracy = lazy_module("tlnlp.evaluation.metrics.word_accuracy")
