"""Saves a model in Hugging Face format; `check_saved` loads it again and compares."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch

from tlnlp.models.loading import load_whole
from tlnlp.models.vocabulary import SOURCE_FILE
from tlnlp.task import Head


def save_model(
    folder: Path, model: Any, tokenizer: Any, card: str, write: Callable[[Path], None] | None = None
) -> None:
    """Saves model, tokenizer and card in Hugging Face format. `folder` is written under a temporary name and then
    renamed, so that it exists completely or not at all.

    Args:
        write: writes the network to a folder, if not as a complete checkpoint (adapters).
    """
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".writing-") as parent:
        aside = Path(parent) / folder.name
        (write or model.save_pretrained)(aside)
        tokenizer.save_pretrained(aside)
        spm = Path(str(tokenizer.name_or_path)) / SOURCE_FILE
        if spm.is_file():  # the tokenizer's source, which transformers does not copy
            shutil.copy(spm, aside)
        (aside / "README.md").write_text(card, encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        aside.rename(folder)


def check_saved(
    folder: Path,
    model: Any,
    head: Head,
    batch: dict[str, torch.Tensor],
    load: Callable[[Path, Head], Any] | None = None,
    around: Callable[[], AbstractContextManager[Any]] | None = None,
) -> None:
    """Loads `folder` again and compares its logits on `batch` with those of `model`.

    Args:
        load: loads the network, if it is not a complete checkpoint; with transformers if unset.
        around: the context of both computations, then on the model's device, if weights in fewer bits than fp32 need
            one (autocast).

    Raises:
        RuntimeError: they differ by more than rounding.
    """
    loaded = (load or load_whole)(folder, head)
    device = next(model.parameters()).device
    on_device = {name: value.to(device) for name, value in batch.items()}
    with torch.no_grad(), nullcontext() if around is None else around():
        expected = head.logits(model.eval(), on_device).float().cpu()
        if around is None:
            found = head.logits(loaded.eval(), batch)
        else:
            found = head.logits(loaded.eval().to(device), on_device).float().cpu()
    # A training that diverged is saved as well: its metrics say so.
    if not torch.allclose(expected, found, rtol=1e-3, atol=1e-4, equal_nan=True):
        difference = (expected - found).abs().max().item()
        raise RuntimeError(
            f"{folder} does not give the same logits as the trained model: they differ by {difference:.3g}"
        )
