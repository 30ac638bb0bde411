"""Finds a checkpoint and checks its configuration against the task and the flags, before its weights are loaded."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import transformers

from tlnlp.errors import InputError, did_you_mean
from tlnlp.settings import Settings
from tlnlp.task import Head

# Networks whose positions start after the padding index: RoBERTa has 514 positions for 512 tokens.
COUNTS_FROM_PADDING = ("roberta", "xlm-roberta", "camembert", "xlm-roberta-xl", "roberta-prelayernorm", "mpnet")
BUNDLED = Path(__file__).parents[1] / "bundled"
# peft's file of adapter weights, the only weights that a run with an adapter saves.
ADAPTER_FILE = "adapter_model.safetensors"


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


def not_readable(model: str, error: Exception) -> InputError:
    hint = did_you_mean(model, bundled_models())
    return InputError(
        expected=f"a checkpoint that transformers {transformers.__version__} can load",
        found=f"--model {model}{hint}: {str(error).strip().splitlines()[0][:200]}",
        change="the name after --model; for a Hub id also check the network (HF_ENDPOINT, HF_TOKEN)",
    )


def check_length(config: Any, settings: Settings, *, added: int = 0) -> None:
    """Checks that the network has enough positions for `--max-length`.

    Args:
        added: number of positions used by a prompt or a prefix.

    Raises:
        InputError: `--max-length` is above the checkpoint's limit.
    """
    positions = getattr(config, "max_position_embeddings", None)
    if positions is None:
        return
    if config.model_type in COUNTS_FROM_PADDING:
        positions -= (config.pad_token_id or 0) + 1
    room = positions - added
    if settings.max_length > room:
        without = f" without the {added} of --strategy {settings.strategy}" if added else ""
        raise InputError(
            expected=f"--max-length of at most {room}, the positions of {settings.model}{without}",
            found=f"--max-length {settings.max_length}",
            change=f"--max-length {room}, or a checkpoint with more positions",
        )


def check_architecture(config: Any, head: Head, settings: Settings) -> None:
    """Checks that the architecture has the head's model class and, if the head needs it, is causal (or not).

    Raises:
        InputError: it does not fit; the message says which checkpoints do.
    """
    if type(config) not in getattr(transformers, head.auto_class)._model_mapping:
        raise InputError(
            expected=f"a checkpoint that {head.auto_class} supports",
            found=f"{settings.model}, a {config.model_type}",
            change="another --model, or a recipe with another head (for GPT checkpoints: gpt_*)",
        )
    if not head.causal:
        return
    if type(config) in transformers.AutoModelForMaskedLM._model_mapping:
        raise InputError(
            expected="a causal checkpoint (such as GPT-2)",
            found=f"{settings.model}, a {config.model_type}, which is bidirectional",
            change="another --model, or a recipe with another head",
        )
    own_output = head.auto_class.endswith("CausalLM")
    if settings.lm_weight > 0 and not own_output and not config.tie_word_embeddings:
        raise InputError(
            expected="a checkpoint with tied input and output embeddings (GPT-2), for the language-model loss",
            found=f"{settings.model}: tie_word_embeddings is false",
            change="--lm-weight 0, or another --model",
        )


def match_labels(config: Any, head: Head, labels: Sequence[str], settings: Settings) -> tuple[str, ...]:
    """Returns the label order of the run: the checkpoint's order if it already has a head with these labels.

    A fine-tuned checkpoint has named labels. If it has the same names in another order, its order is used (the labels
    of the rows are mapped). Other names are an error, since the head would predict the wrong labels.

    Raises:
        InputError: the names differ, and `--new-head` is not set.
    """
    trained = any(kind.endswith(head.auto_class.removeprefix("AutoModel")) for kind in config.architectures or [])
    if not trained or not labels or settings.new_head or settings.strategy == "from_scratch":
        return tuple(labels)
    own = tuple(config.id2label[i] for i in sorted(config.id2label))
    if sorted(own) == sorted(labels):
        return own
    raise InputError(
        expected=f"a checkpoint without a head, or one with the labels {', '.join(labels)}",
        found=f"{settings.model}, whose head has the labels {', '.join(own[:8])}",
        change="id2label in its config.json if only the names differ, or use --new-head for a new head",
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
