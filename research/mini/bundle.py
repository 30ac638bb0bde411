"""Make a checkpoint small enough to ship: python -m research.mini.bundle RUN/model FOLDER."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from safetensors.torch import load_file, save_file

from tlnlp.models.vocabulary import SOURCE_FILE

KEPT_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", SOURCE_FILE)


def bundle(model: Path, folder: Path) -> None:
    """Copies the saved `model` to `folder`, its weights rounded to fp16. The configuration goes on saying float32, so
    that whoever loads it computes in full precision."""
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / "model.safetensors"
    halved = {name: tensor.half() for name, tensor in load_file(model / place.name).items()}
    save_file(halved, place, metadata={"format": "pt"})
    place.chmod(0o644)
    for name in KEPT_FILES:
        shutil.copy(model / name, folder / name)


if __name__ == "__main__":
    bundle(Path(sys.argv[1]), Path(sys.argv[2]))
