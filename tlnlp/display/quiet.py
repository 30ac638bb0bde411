"""Silences other libraries: this package prints what users need to know."""

from __future__ import annotations

import logging
import os
import warnings

with warnings.catch_warnings():
    # In a notebook without ipywidgets tqdm advises to install them when the first library imports it. Its bars are off.
    warnings.filterwarnings("ignore", message="IProgress not found")
    import datasets
    import transformers


def quiet_libraries() -> None:
    """Disables progress bars, load reports and advice of transformers, datasets, the Hub client and torch."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    datasets.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    for name in ("accelerate", "torch.distributed", "huggingface_hub", "fsspec", "filelock", "httpx", "httpx2"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"(torch|transformers|datasets|accelerate|huggingface_hub|evaluate)(\.|$)")
