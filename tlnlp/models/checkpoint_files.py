"""The files of a checkpoint's folder, checked before anything is loaded: what is missing, cut off, or no weights at
all."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from tlnlp.errors import InputError

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
# Written beside a saved model: the task, checksums, and for an adapter its base checkpoint (`tlnlp.models.task_file`).
TASK_FILE = "tlnlp.json"
# peft's files. The weights are the only ones that a run with an adapter saves.
ADAPTER_CONFIG, ADAPTER_FILE, ADAPTER_PICKLE = (
    *("adapter_config.json", "adapter_model.safetensors"),
    "adapter_model.bin",
)
# Weights as pickles, which may execute code when they are loaded: `tlnlp convert` reads them safely.
PICKLE, PICKLE_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
_NO_WEIGHTS = {"training_args.bin", "optimizer.bin", "optimizer.pt", "scheduler.pt", "scheduler.bin", "rng_state.pth"}
# Any of them is enough for a tokenizer; the last are sentencepiece's.
TOKENIZER_FILES = (
    *("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer_config.json"),
    *("spiece.model", "tokenizer.model", "sentencepiece.bpe.model"),
)
# Weights of other libraries, by suffix.
FOREIGN = {".h5": "TensorFlow", ".msgpack": "Flax", ".gguf": "llama.cpp", ".onnx": "ONNX", ".ot": "rust-bert"}

# What a clone without Git LFS has in the place of a large file: three lines of text.
_POINTER, _POINTER_BYTES = b"version https://git-lfs.github.com/spec/", 1024
_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
# The longest header that safetensors reads.
_MOST_HEADER_BYTES = 100_000_000


def is_adapter(folder: Path) -> bool:
    """Returns whether the folder has an adapter instead of a complete checkpoint."""
    return any((folder / name).is_file() for name in (ADAPTER_CONFIG, ADAPTER_FILE))


def has_tokenizer(folder: Path) -> bool:
    """Returns whether the folder has files of a tokenizer."""
    return any((folder / name).is_file() for name in TOKENIZER_FILES)


def check_folder(folder: Path, *, weights_needed: bool) -> None:
    """Checks the files of a complete checkpoint.

    Raises:
        InputError: the configuration or weights are missing, incomplete, or in a form that is not read.
    """
    if not (folder / CONFIG).is_file():
        raise _refuse(
            folder, "a checkpoint (config.json, model.safetensors, tokenizer)", change="the path after --model"
        )
    check_pointers(path for path in folder.iterdir() if weights_needed or path.suffix not in (".safetensors", ".bin"))
    if weights_needed:
        for path in _weight_files(folder):
            check_safetensors(path)


def check_adapter_folder(folder: Path) -> None:
    """Checks the files of an adapter.

    Raises:
        InputError: its weights are missing or incomplete, or are a pickle.
    """
    check_pointers(folder.iterdir())
    if (folder / ADAPTER_FILE).is_file():
        check_safetensors(folder / ADAPTER_FILE)
    elif (folder / ADAPTER_PICKLE).is_file():
        raise _refuse_pickle(folder)
    else:
        raise _refuse(folder, f"the weights of a peft adapter ({ADAPTER_FILE})", change="the path after --model")


def _weight_files(folder: Path) -> Sequence[Path]:
    """Returns the files from which transformers reads the weights, in its order of preference."""
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if (folder / INDEX).is_file():
        return _shards(folder)
    found = sorted(folder.glob("*.safetensors"))
    if shards := [path.name for path in found if _SHARD.fullmatch(path.name)]:
        raise InputError(
            expected=f"{INDEX} beside the {len(shards)} shards in {folder}, which says which weights they hold",
            found=", ".join(shards[:4]),
            change="download the checkpoint again, with this file",
        )
    if found:
        return found
    if pickles(folder):
        raise _refuse_pickle(folder)
    others = {FOREIGN[path.suffix]: path.name for path in folder.iterdir() if path.suffix in FOREIGN}
    for library, name in others.items():
        raise InputError(
            expected=f"weights of PyTorch in {folder}, as safetensors (model.safetensors)",
            found=f"{name}, which is {library}'s",
            change="the same checkpoint as safetensors, from whoever published it",
        )
    raise _refuse(folder, "weights (model.safetensors)", change="the path after --model, or --strategy from_scratch")


def pickles(folder: Path) -> list[Path]:
    """Returns the files with weights as pickles: the one that transformers would read, the shards that an index names,
    or else all that look like weights.

    Raises:
        InputError: a shard is missing, or the index cannot be read.
    """
    for name in (PICKLE, ADAPTER_PICKLE):
        if (folder / name).is_file():
            return [folder / name]
    if (folder / PICKLE_INDEX).is_file():
        return _shards(folder, PICKLE_INDEX)
    return sorted(
        path for suffix in ("bin", "pt", "pth") for path in folder.glob(f"*.{suffix}") if path.name not in _NO_WEIGHTS
    )


def _shards(folder: Path, index: str = INDEX) -> list[Path]:
    """Returns the files that the index names.

    Raises:
        InputError: one is missing, or the index cannot be read.
    """
    try:
        names = sorted(set(json.loads((folder / index).read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            expected=f"{folder / index}: JSON with a weight_map",
            found=f"{type(error).__name__}: {error}",
            change="download the file again",
        ) from error
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise InputError(
            expected=f"{len(names)} shards in {folder}, which {index} names",
            found=f"{len(names) - len(missing)} of them, without {', '.join(missing[:3])}{' ...' * (len(missing) > 3)}",
            change="download the missing files",
        )
    return [folder / name for name in names]


def read_header(path: Path) -> dict[str, Any]:
    """Returns the header of a safetensors file: {tensor: its dtype, shape and data_offsets}. No tensor is read.

    Raises:
        InputError: the file is no safetensors file, or shorter or longer than its header says.
    """
    size = path.stat().st_size
    expected = f"{path}: safetensors"
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > _MOST_HEADER_BYTES:
            raise InputError(
                expected=expected,
                found=f"{size:,} bytes without its header",
                change="download the file again",
            )
        try:
            header = json.loads(file.read(length)) if length <= size - 8 else None
            tensors = None if header is None else {name: header[name] for name in header if name != "__metadata__"}
            end = 0 if tensors is None else max((each["data_offsets"][1] for each in tensors.values()), default=0)
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                expected=expected,
                found=f"a header that cannot be read: {str(error)[:80]}",
                change="download the file again",
            ) from error
    if tensors is None or size != 8 + length + end:
        whole = "its header alone needs more" if tensors is None else f"{8 + length + end:,} by its header"
        raise InputError(
            expected=f"{expected}, complete",
            found=f"{size:,} bytes, {whole}",
            change="download the file again: it was cut off",
        )
    return tensors


def read_json(path: Path) -> dict[str, Any]:
    """Returns the object in a file; an empty one if there is no such file.

    Raises:
        InputError: the file has something else in it.
    """
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(expected=f"{path}: JSON", found=str(error)[:200], change="the file") from error
    if not isinstance(content, dict):
        raise InputError(expected=f"{path}: a JSON object", found=f"a {type(content).__name__}", change="the file")
    return content


def check_safetensors(path: Path) -> None:
    """Raises an InputError if the file is no safetensors file or has been cut off."""
    read_header(path)


def digest(paths: Iterable[Path], text: str = "") -> str:
    """Returns a digest of a text and the contents of the files that exist, in their order."""
    whole = hashlib.sha256(text.encode())
    for path in paths:
        if path.is_file():
            state = path.stat()
            whole.update(_digest_of(path, (state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)))
    return whole.hexdigest()[:16]


@lru_cache
def _digest_of(path: Path, state: tuple[int, ...]) -> bytes:
    """Returns the digest of a file. It is read once while its `state` stays the same: the base of an adapter is looked
    up in several places."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def check_pointers(paths: Iterable[Path]) -> None:
    """Raises an error for a file whose content Git LFS has not fetched."""
    for path in sorted(paths):
        if not path.is_file() or path.stat().st_size > _POINTER_BYTES:
            continue
        if path.read_bytes().startswith(_POINTER):
            raise InputError(
                expected=f"{path.name} itself in {path.parent}",
                found=f"the {path.stat().st_size} bytes of a Git LFS pointer in its place",
                change=f"git -C {path.parent} lfs pull, or download the file",
            )


def _refuse(folder: Path, expected: str, *, change: str) -> InputError:
    found = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
    return InputError(expected=f"{expected} in {folder}", found=found, change=change)


def _refuse_pickle(folder: Path) -> InputError:
    return _refuse(
        folder,
        "weights as safetensors, which cannot execute code when they are loaded",
        change=f"tlnlp convert {folder}, once: it reads the pickle without executing code, and writes safetensors",
    )
