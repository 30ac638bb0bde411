"""Metrics, each an `evaluate` module of its own that needs no network. Loaded when first used."""

from tlnlp.lazy import lazy_module

accuracy = lazy_module("tlnlp.evaluation.metrics.accuracy")
perplexity = lazy_module("tlnlp.evaluation.metrics.perplexity")
