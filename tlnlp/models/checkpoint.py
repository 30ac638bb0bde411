"""A checkpoint is found and its configuration read; its weights are not."""

from __future__ import annotations

import contextlib
import json
import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import huggingface_hub
import transformers

from tlnlp.errors import InputError, did_you_mean
from tlnlp.models import checkpoint_files as files
from tlnlp.models.checksums import check_weights
from tlnlp.models.config_limits import check_counts

BUNDLED = Path(__file__).parents[1] / "bundled"
# Kinds of adapters, by peft's names, whose weights can be added to those of the base checkpoint.
MERGED_KINDS = ("LORA", "IA3")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that has been found and checked, and not yet loaded.

    Args:
        name: what `--model` says.
        place: folder or Hub id; NEW for a network that is made here. The folder of an adapter stands for its base
            checkpoint with the adapter's weights merged into it.
        config: its configuration.
        labels: label names in the order to work in.
        fingerprint: digest of its files, or the Hub's revision.
        resize_embeddings: whether the embedding table gets rows for tokens of the tokenizer that it lacks.
        notes: what the user should know about it. `load_model` adds what only the weights tell.
        initialized: names of the parameters whose values are not in its files; `load_model` says which.
    """

    name: str
    place: str
    config: Any
    labels: tuple[str, ...]
    fingerprint: str
    resize_embeddings: bool = False
    notes: list[str] = field(default_factory=list)
    initialized: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class BaseOfAdapter:
    """The base checkpoint of the adapter in a folder.

    Args:
        kind: kind of the adapter, by peft's name.
        name: the base's name, as the adapter's files say.
        place: its folder.
    """

    kind: str
    name: str
    place: str


def bundled_models() -> dict[str, Path]:
    """Returns {name: folder} of the bundled checkpoints."""
    return {path.parent.name: path.parent for path in sorted(BUNDLED.glob("*/config.json"))}


def find_checkpoint(name: str, *, weights_needed: bool = True) -> str:
    """Resolves `--model name` to a folder or a Hub id.

    Raises:
        InputError: the folder does not exist, or has no readable weights; it has an adapter whose base checkpoint is
            not at hand, or which cannot be merged into it.
    """
    bundled = bundled_models()
    if name in bundled:
        return str(bundled[name])
    folder = Path(name).expanduser()
    if folder.is_dir():
        if base_of_adapter(folder) is None:
            files.check_folder(folder, weights_needed=weights_needed)
            if weights_needed:
                check_weights(folder)
        return str(folder)
    if folder.exists() or not _is_hub_id(name):
        beside = [path.name for path in folder.parent.glob("*")] if folder.parent.is_dir() else []
        raise InputError(
            expected=f"--model {' | '.join(bundled)}, a folder with a checkpoint, or a Hub id",
            found=f"{name}, which is {'a file' if folder.exists() else 'no folder'}{did_you_mean(folder.name, beside)}",
            change="the path after --model",
        )
    return name


def _is_hub_id(name: str) -> bool:
    return bool(re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name)) and not name.startswith(".")


# --- adapters, which are of no use without their base


def base_of_adapter(source: str | Path) -> BaseOfAdapter | None:
    """Returns the base of the adapter in the folder `source`; None if there is no adapter.

    Raises:
        InputError: the adapter is incomplete or of a kind that cannot be merged, or its base is not at hand.
    """
    folder = Path(source)
    if not folder.is_dir() or not files.is_adapter(folder):
        return None
    files.check_adapter_folder(folder)
    check_weights(folder)
    record = files.read_json(folder / files.TASK_FILE).get("adapter")
    settings = files.read_json(folder / files.ADAPTER_CONFIG)
    kind = str(settings.get("peft_type") or (record or {}).get("kind", "unknown")).upper()
    if kind not in MERGED_KINDS:
        raise InputError(
            expected=f"a complete checkpoint, or an adapter that can be added to its base ({', '.join(MERGED_KINDS)})",
            found=f"{folder}: an adapter of kind {kind}",
            change="--model, to the adapter's base checkpoint; or train lora or ia3, or with --merge",
        )
    if record:
        place = find_base(folder, record)
        return BaseOfAdapter(kind, record["base"], place if Path(place).is_dir() else _cached(folder, place, None))
    name = settings.get("base_model_name_or_path")
    if not name:
        raise InputError(
            expected=f"base_model_name_or_path in {folder / files.ADAPTER_CONFIG}: the base checkpoint of the adapter",
            found="none",
            change="write the folder or the Hub id of the checkpoint that it was trained on",
        )
    return BaseOfAdapter(kind, name, _find_named_base(folder, name, settings.get("revision")))


def _find_named_base(folder: Path, name: str, revision: str | None) -> str:
    """Returns the folder of the base that peft's configuration names: bundled, a folder (from here, or from the
    adapter's), or the Hub's files that are on this machine. Nothing is downloaded: nobody asked for this id."""
    for place in (Path(name).expanduser(), folder / name):
        if name not in bundled_models() and place.is_dir() and place.resolve() != folder.resolve():
            return find_checkpoint(str(place))
    return find_checkpoint(name) if name in bundled_models() else _cached(folder, name, revision)


def _cached(folder: Path, name: str, revision: str | None) -> str:
    """Returns the folder with the files of a Hub id that are on this machine already."""
    if _is_hub_id(name):
        path = huggingface_hub.try_to_load_from_cache(name, files.CONFIG, revision=revision)
        if isinstance(path, str):
            return find_checkpoint(str(Path(path).parent))
    raise InputError(
        expected=f"the base checkpoint of the adapter in {folder}, on this machine: {name}",
        found="neither a bundled model, nor a folder, nor files of the Hub that were downloaded",
        change=f"hf download {name}" if _is_hub_id(name) else f"base_model_name_or_path in {files.ADAPTER_CONFIG}",
    )


def find_base(folder: Path, record: Mapping[str, Any]) -> str:
    """Returns the base of an adapter that a run saved in `folder`: by the name that was given, otherwise by its former
    path. From the Hub: its id.

    Args:
        record: what the run recorded (`AdapterFiles.record`).
    """
    name, place = record["base"], record["place"]
    if not Path(place).is_absolute():
        return place
    known = name in bundled_models() or Path(name).expanduser().is_dir()
    there = [each for each in ([find_checkpoint(name)] if known else []) + [place] if Path(each).is_dir()]
    for each in there:
        if fingerprint(each, None) == record["fingerprint"]:
            return each
    raise InputError(
        expected=f"the base checkpoint of the adapter in {folder}: {name}, at {place}",
        found="a checkpoint with other weights" if there else "no such folder",
        change="restore it; a model saved with --merge (lora, ia3) needs no base checkpoint",
    )


# --- the configuration


def read_config(source: str, model: str) -> Any:
    """Loads the checkpoint's configuration; of an adapter without one, its base's.

    Raises:
        InputError: it cannot be loaded; the network is none of transformers' own; its weights are quantised.
    """
    base = base_of_adapter(source)
    if base is not None and not (Path(source) / files.CONFIG).is_file():
        return read_config(base.place, model)
    with errors_in_words(model):
        if not Path(source).is_dir():
            _require_network(source)
        config = transformers.AutoConfig.from_pretrained(source, trust_remote_code=False)
    check_counts(config.to_dict(), model)
    quantised = getattr(config, "quantization_config", None) or getattr(config, "quantization", None)
    if quantised is not None:
        told = quantised if isinstance(quantised, Mapping) else vars(quantised)
        raise InputError(
            expected="a checkpoint with weights in full or half precision, which can learn",
            found=f"--model {model}, quantised ({_method_of(told)})",
            change="the checkpoint that it was quantised from",
        )
    return config


def _require_network(source: str) -> None:
    """Raises an error if a checkpoint is neither on this machine nor can the Hub be found. The Hub's library would ask
    again and again, for 24 seconds.

    Raises:
        ConnectionError: see above.
    """
    host = urlsplit(huggingface_hub.constants.ENDPOINT).hostname
    is_here = isinstance(huggingface_hub.try_to_load_from_cache(source, files.CONFIG), str)
    # Where there is a proxy, it finds the Hub.
    if is_here or huggingface_hub.constants.HF_HUB_OFFLINE or getproxies() or host is None:
        return
    try:
        socket.getaddrinfo(host, None)
    except OSError as error:
        raise ConnectionError(f"not on this machine, and {host} cannot be found ({error.strerror})") from error


def _method_of(quantised: Mapping[str, Any]) -> str:
    method = str(quantised.get("quant_method") or "bitsandbytes").rpartition(".")[2]
    bits = quantised.get("bits") or (
        4 if quantised.get("load_in_4bit") else 8 if quantised.get("load_in_8bit") else None
    )
    return f"{method}, {bits} bits" if bits else method


@contextlib.contextmanager
def errors_in_words(model: str) -> Iterator[None]:
    """Converts whatever transformers raises while it reads a checkpoint to a clear message. What it may raise is not
    documented: missing packages, foreign files and names of other versions have all kinds of errors.

    Args:
        model: the value of `--model`.

    Raises:
        InputError: instead of any other error.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise not_readable(model, error) from error


def vocabulary_size(config: Any) -> int | None:
    """Returns the number of tokens of a network; None if it has no table of tokens (CANINE hashes characters)."""
    return getattr(config, "vocab_size", None)


def not_readable(model: str, error: Exception) -> InputError:
    """Returns an error that says why transformers cannot read the checkpoint, and what can be done."""
    text = str(error).strip()
    first = text.splitlines()[0][:200] if text else type(error).__name__
    if "trust_remote_code" in text or "custom code" in text:
        return InputError(
            expected=f"a checkpoint whose network and tokenizer are part of transformers {transformers.__version__}",
            found=f"--model {model}, which needs code of its own (auto_map), and code from a checkpoint is never run",
            change="--model with another checkpoint, or a newer transformers if that has the architecture",
        )
    if package := _missing_package(error):
        return InputError(
            expected=f"the package {package}, which --model {model} needs",
            found=first,
            change=f"pip install {package}",
        )
    hint = did_you_mean(model, bundled_models())
    advice = "the name after --model; for a Hub id also check the network (HF_ENDPOINT, HF_TOKEN)"
    if files.WEIGHTS in text and not Path(model).is_dir():
        advice = f"if it has weights of PyTorch: hf download {model} --local-dir FOLDER, then tlnlp convert FOLDER"
    elif f"named {files.CONFIG}" in text and not Path(model).is_dir():
        advice = f"if it is an adapter: hf download {model} --local-dir FOLDER, then --model FOLDER"
    return InputError(
        expected=f"a checkpoint that transformers {transformers.__version__} can load",
        found=f"--model {model}{hint}: {first}",
        change=advice,
    )


def _missing_package(error: Exception) -> str | None:
    """Returns the package that an ImportError asks for, if it says which."""
    if not isinstance(error, ImportError):
        return None
    said = re.search(
        r"You need to install (\S+) to use|requires the (\S+) library|pip install (?:-\S+ )*([\w.-]+)", str(error)
    )
    if said is not None:
        return next(group for group in said.groups() if group).strip("`'\"")
    return error.name


def fingerprint(source: str, config: Any) -> str:
    """Returns a digest of a local checkpoint's weights and configuration, or the revision of one from the Hub. That of
    an adapter covers its base."""
    folder = Path(source)
    if not folder.is_dir():
        return f"{source}@{getattr(config, '_commit_hash', None)}"
    base = base_of_adapter(folder)
    if base is None:
        own = [*folder.glob("*.safetensors"), folder / files.CONFIG, folder / "tokenizer.json"]
        return files.digest(sorted(own))
    # Without the path of the base, whose own digest is there: it may have moved.
    settings = files.read_json(folder / files.ADAPTER_CONFIG)
    settings.pop("base_model_name_or_path", None)
    merged = [folder / name for name in (files.ADAPTER_FILE, files.CONFIG, "tokenizer.json")]
    return f"{files.digest(merged, json.dumps(settings, sort_keys=True))}+{fingerprint(base.place, None)}"
