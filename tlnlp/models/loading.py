"""Loads tokenizers and networks, with the head of the task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from torch import nn

from tlnlp.acceleration.embedding_pruning import PrunedEmbedding
from tlnlp.errors import InputError
from tlnlp.models.base_weights import loading_options
from tlnlp.models.checkpoint import Checkpoint, not_readable
from tlnlp.models.feature_classifier import FILE as READER_FILE
from tlnlp.models.feature_classifier import FeatureClassifier
from tlnlp.recipe import NEW
from tlnlp.task import Head, Task


def load_tokenizer(source: str, model: str, **options: Any) -> Any:
    """Loads the checkpoint's fast tokenizer. If it has no pad token (GPT-2), it pads with its last token, masked out.

    Raises:
        InputError: the checkpoint has no tokenizer.
    """
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(source, trust_remote_code=False, **options)
    except (OSError, ValueError, KeyError) as error:
        raise not_readable(model, error) from error
    if len(tokenizer) <= len(tokenizer.all_special_ids):  # transformers returns an empty one if files are missing
        raise not_readable(model, ValueError("its tokenizer is missing (tokenizer.json, or vocab.txt or vocab.json)"))
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(
    checkpoint: Checkpoint,
    task: Task,
    tokenizer: Any,
    *,
    seed: int,
    new_head: bool = False,
    new_weights: bool = False,
    load_in: str = "fp32",
    device: torch.device | None = None,
) -> Any:
    """Loads the network with the task's head, in fp32 on the CPU.

    Args:
        seed: initialises new weights.
        new_head: replace the checkpoint's head, if it has one.
        new_weights: read no weights of the checkpoint; a NEW one has none.
        load_in, device: the form of all weights if not fp32, and where quantised ones go, see `loading_options`.

    Raises:
        InputError: weights other than those of a new head are missing.
    """
    config = checkpoint.config
    new_tokens = task.head.tokenizer_options.get("extra_special_tokens", ())
    if len(tokenizer) > config.vocab_size + len(new_tokens):
        raise InputError(
            expected=f"a tokenizer with at most the network's {config.vocab_size:,} tokens",
            found=f"{checkpoint.name}: {len(tokenizer):,} tokens",
            change="the checkpoint: its tokenizer belongs to another network",
        )
    changes = task.head.config_changes(task, checkpoint.labels)
    for name, value in changes.items():
        setattr(config, name, value)
    config.pad_token_id = tokenizer.pad_token_id
    auto = getattr(transformers, task.head.auto_class)
    torch.manual_seed(seed)
    if new_weights or checkpoint.place == NEW:
        config.vocab_size = max(config.vocab_size, len(tokenizer))
        return auto.from_config(config, dtype=torch.float32)
    try:
        model, report = auto.from_pretrained(
            checkpoint.place,
            config=config,
            **loading_options(load_in, task.head.auto_class, config, device or torch.device("cpu")),
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=new_head,
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise not_readable(checkpoint.name, error) from error
    if len(tokenizer) > model.config.vocab_size:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    if new_head:
        # If the checkpoint has a head of the right size, its weights are replaced as well.
        own = set(model.base_model.parameters())
        head = [name for name, parameter in model.named_parameters() if parameter not in own]
        reinitialize(model, head, task.head.auto_class, seed, None)
    body = {name for name, _ in model.base_model.named_parameters(prefix=model.base_model_prefix)}
    # By name the pooler is part of the base model, but many checkpoints lack it: it belongs to the head.
    lost = sorted(name for name in report["missing_keys"] if name in body and ".pooler." not in name)
    if lost:
        raise InputError(
            expected=f"the weights of a {type(model).__name__}",
            found=f"{checkpoint.name} without {', '.join(lost[:3])}{' ...' if len(lost) > 3 else ''}",
            change="the checkpoint, or --strategy from_scratch",
        )
    return model


def reinitialize(
    model: nn.Module, names: Sequence[str], auto_class: str, seed: int, compact: PrunedEmbedding | None
) -> None:
    """Re-initialises the parameters `names` as in a new network of this configuration."""
    torch.manual_seed(seed)
    fresh = getattr(transformers, auto_class).from_config(model.config, dtype=torch.float32)
    new, own = dict(fresh.named_parameters()), dict(model.named_parameters())
    with torch.no_grad():
        for name in names:
            is_cut = compact is not None and name == compact.parameter
            own[name].copy_(compact.take(new[name]) if compact and is_cut else new[name])


def load_whole(folder: Path, head: Head) -> Any:
    """Loads a complete network from a folder, in fp32, with the feature classifier if there is one."""
    kind = FeatureClassifier if (folder / READER_FILE).is_file() else getattr(transformers, head.auto_class)
    return kind.from_pretrained(folder, dtype=torch.float32)
