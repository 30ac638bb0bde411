"""Converts weights from pickles to safetensors. A pickle can execute code when it is loaded: torch reads it here with
`weights_only=True`, which knows tensors and containers of them, and refuses everything else."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from tlnlp.errors import InputError
from tlnlp.models import checkpoint_files as files

# What belongs to a checkpoint beside its weights.
_COPIED = (".json", ".txt", ".model", ".jinja", ".md", ".tiktoken", ".bpe")


@dataclass(frozen=True)
class Conversion:
    """What was converted.

    Args:
        files: {pickle: the file that was written}.
        tensors, parameters: their numbers, without tied ones.
        tied: names of tensors that are not stored, since the network ties them to others.
        copied: names of the files that were copied.
    """

    files: dict[Path, Path]
    tensors: int
    parameters: int
    tied: tuple[str, ...]
    copied: tuple[str, ...]


def convert(folder: Path, output: Path) -> Conversion:
    """Writes the weights of `folder` to `output` as safetensors, shard by shard, and copies its other files. Every
    tensor is read again and compared.

    Tensors that share memory are stored once if the network ties them when it is loaded, otherwise each by itself.

    Raises:
        InputError: there is nothing to convert, it is there already, or it has something other than tensors.
    """
    sources = _find_sources(folder)
    targets = {source: output / _name_of(source, len(sources)) for source in sources}
    # Shards without an index are what an interrupted conversion has left.
    done = output / files.INDEX if len(sources) > 1 else targets[sources[0]]
    if done.exists():
        raise InputError(
            expected=f"no weights as safetensors yet in {output}",
            found=done.name,
            change="--output-dir, to another folder; or use the checkpoint as it is",
        )
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(expected="--output-dir: a folder", found=str(error), change="--output-dir") from error
    tied_names = _tied_names(folder)
    tied: list[str] = []
    found: dict[str, str] = {}
    parameters = 0
    for source, target in targets.items():
        tensors = _read(source)
        stored = {name: tensors[name] for name in tensors if not _is_tied(name, tensors, tied_names)}
        tied += [name for name in tensors if name not in stored]
        _write(target, stored)
        found |= dict.fromkeys(stored, target.name)
        parameters += sum(tensor.numel() for tensor in stored.values())
    if len(sources) > 1:
        size = sum(target.stat().st_size for target in targets.values())
        index = {"metadata": {"total_size": size}, "weight_map": dict(sorted(found.items()))}
        (output / files.INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    copied = () if output.resolve() == folder.resolve() else _copy(folder, output)
    return Conversion(targets, len(found), parameters, tuple(tied), copied)


def _find_sources(folder: Path) -> Sequence[Path]:
    is_adapter = (folder / files.ADAPTER_CONFIG).is_file()
    if not is_adapter and not (folder / files.CONFIG).is_file():
        there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        raise InputError(
            expected=f"a checkpoint in {folder}: config.json and {files.PICKLE}",
            found=(", ".join(there[:8]) or "nothing") if folder.is_dir() else "no such folder",
            change="the path after convert; for a Hub id, download it first: hf download ID --local-dir FOLDER",
        )
    sources = files.pickles(folder)
    if len(sources) > 1 and not (folder / files.PICKLE_INDEX).is_file():
        raise InputError(
            expected=f"one file of weights in {folder}, or {files.PICKLE_INDEX}, which says what is in which file",
            found=", ".join(path.name for path in sources[:8]),
            change=f"rename the right one to {files.PICKLE}",
        )
    if not sources:
        raise InputError(
            expected=f"weights as pickles in {folder} ({files.PICKLE})",
            found=", ".join(sorted(path.name for path in folder.iterdir())[:8]),
            change="the path after convert",
        )
    files.check_pointers(sources)
    return sources


def _name_of(source: Path, count: int) -> str:
    if source.name == files.ADAPTER_PICKLE:
        return files.ADAPTER_FILE
    return files.WEIGHTS if count == 1 else source.name.removeprefix("pytorch_").removesuffix(".bin") + ".safetensors"


def _read(path: Path) -> dict[str, torch.Tensor]:
    """Returns the tensors of a pickle by name. No code in it is executed."""
    expected = f"{path}: a dictionary of tensors by their names"
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        asked = re.search(r"GLOBAL (\S+)", str(error))
        what = f"the object {asked[1]}, whose code would have to run" if asked else str(error).splitlines()[0][:200]
        raise InputError(
            expected=expected, found=what, change="the checkpoint; if you trust it, save its state_dict() by itself"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise InputError(
            expected=expected, found=(str(error).splitlines() or [type(error).__name__])[0][:200],
            change="download the file again",
        ) from error  # fmt: skip
    if not isinstance(content, Mapping) or not all(isinstance(each, torch.Tensor) for each in content.values()):
        names = (
            [str(name) for name, each in content.items() if not isinstance(each, torch.Tensor)]
            if isinstance(content, Mapping)
            else []
        )
        raise InputError(
            expected=expected,
            found=f"{type(content).__name__}{f' with {names[0]}, which is no tensor' if names else ''}",
            change="the checkpoint; of a training checkpoint, save only the state_dict() of the network",
        )
    return {str(name): tensor for name, tensor in content.items()}


def _tied_names(folder: Path) -> dict[str, str]:
    """Returns {tensor: the one that it is tied to when the network is loaded}; empty if the architecture is unknown."""
    if not (folder / files.CONFIG).is_file():
        return {}
    try:
        config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
        kind: Any = getattr(transformers, (config.architectures or [""])[0])
        with torch.device("meta"):
            return dict(kind(config).all_tied_weights_keys)
    except Exception:  # then every tensor is stored by itself, which is never wrong
        return {}


def _is_tied(name: str, tensors: Mapping[str, torch.Tensor], tied_names: Mapping[str, str]) -> bool:
    """Returns whether the tensor need not be stored: it equals the one in the same file that it is tied to."""
    source = tensors.get(tied_names.get(name, ""))
    return source is not None and source.shape == tensors[name].shape and torch.equal(source, tensors[name])


def _write(target: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Writes a file, reads it again and compares, and only then gives it its name."""
    aside = target.with_name(f".writing-{target.name}")
    whole = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
    try:
        save_file(whole, aside, metadata={"format": "pt"})
        with safe_open(aside, framework="pt") as written:
            for name, tensor in tensors.items():
                if not _same(written.get_tensor(name), tensor):
                    raise RuntimeError(f"{target}: {name} was not written as it was read")
        os.replace(aside, target)
    except (OSError, SafetensorError) as error:
        raise InputError(
            expected=f"a folder with room for the weights: {target.parent}",
            found=str(error),
            change="--output-dir, or free some space",
        ) from error
    finally:
        aside.unlink(missing_ok=True)


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Returns whether the tensors have the same bits (NaN equals NaN)."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    return torch.equal(one.reshape(-1).view(torch.uint8), other.detach().contiguous().reshape(-1).view(torch.uint8))


def _copy(folder: Path, output: Path) -> tuple[str, ...]:
    """Copies configuration, tokenizer and card."""
    names = [path.name for path in sorted(folder.iterdir()) if path.is_file() and path.suffix in _COPIED]
    copied = [name for name in names if name != files.PICKLE_INDEX and not (output / name).exists()]
    for name in copied:
        shutil.copy(folder / name, output / name)
    return tuple(copied)
