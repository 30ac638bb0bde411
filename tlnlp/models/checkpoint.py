"""A checkpoint is found and its configuration read; its weights are not."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import transformers

from tlnlp.errors import InputError, did_you_mean

BUNDLED = Path(__file__).parents[1] / "bundled"
# peft's file of adapter weights, the only weights that a run with an adapter saves.
ADAPTER_FILE = "adapter_model.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that has been found and checked, and not yet loaded.

    Args:
        name: what `--model` says.
        place: folder or Hub id; NEW for a network that is made here.
        config: its configuration.
        labels: label names in the order to work in.
        fingerprint: digest of its files, or the Hub's revision.
    """

    name: str
    place: str
    config: Any
    labels: tuple[str, ...]
    fingerprint: str


def bundled_models() -> dict[str, Path]:
    """Returns {name: folder} of the bundled checkpoints."""
    return {path.parent.name: path.parent for path in sorted(BUNDLED.glob("*/config.json"))}


def find_checkpoint(name: str, *, weights_needed: bool = True) -> str:
    """Resolves `--model name` to a folder or a Hub id.

    Raises:
        InputError: the folder does not exist, or has no readable weights.
    """
    bundled = bundled_models()
    if name in bundled:
        return str(bundled[name])
    folder = Path(name).expanduser()
    if folder.is_dir():
        _check_folder(folder, weights_needed)
        return str(folder)
    looks_like_hub_id = re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name) and not name.startswith(".")
    if folder.exists() or not looks_like_hub_id:
        beside = [path.name for path in folder.parent.glob("*")] if folder.parent.is_dir() else []
        raise InputError(
            expected=f"--model {' | '.join(bundled)}, a folder with a checkpoint, or a Hub id",
            found=f"{name}, which is {'a file' if folder.exists() else 'no folder'}{did_you_mean(folder.name, beside)}",
            change="the path after --model",
        )
    return name


def _check_folder(folder: Path, weights_needed: bool) -> None:
    def refuse(expected: str, change: str) -> InputError:
        found = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
        return InputError(expected=f"{expected} in {folder}", found=found, change=change)

    if not (folder / "config.json").is_file():
        raise refuse("a checkpoint (config.json, model.safetensors, tokenizer)", "the path after --model")
    if (folder / ADAPTER_FILE).is_file():
        raise refuse("a complete checkpoint", "--model, to the adapter's base checkpoint, or train with --merge")
    if list(folder.glob("*.safetensors")) or not weights_needed:
        return
    if list(folder.glob("*.bin")) or list(folder.glob("*.pt")):
        raise refuse(
            "weights as safetensors, which cannot execute code when they are loaded",
            "convert them once, if you trust them: AutoModel.from_pretrained(...).save_pretrained(...)",
        )
    raise refuse("weights (model.safetensors)", "the path after --model, or --strategy from_scratch")


def read_config(source: str, model: str) -> Any:
    """Loads the checkpoint's configuration.

    Raises:
        InputError: it cannot be loaded.
    """
    try:
        return transformers.AutoConfig.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise not_readable(model, error) from error


def vocabulary_size(config: Any) -> int | None:
    """Returns the number of tokens of a network; None if it has no table of tokens (CANINE hashes characters)."""
    return getattr(config, "vocab_size", None)


def not_readable(model: str, error: Exception) -> InputError:
    hint = did_you_mean(model, bundled_models())
    return InputError(
        expected=f"a checkpoint that transformers {transformers.__version__} can load",
        found=f"--model {model}{hint}: {str(error).strip().splitlines()[0][:200]}",
        change="the name after --model; for a Hub id also check the network (HF_ENDPOINT, HF_TOKEN)",
    )


def fingerprint(source: str, config: Any) -> str:
    """Returns a digest of a local checkpoint's weights and configuration, or the revision of one from the Hub."""
    folder = Path(source)
    if not folder.is_dir():
        return f"{source}@{getattr(config, '_commit_hash', None)}"
    digest = hashlib.sha256()
    for path in sorted([*folder.glob("*.safetensors"), folder / "config.json", folder / "tokenizer.json"]):
        if path.is_file():
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]
