"""Loads tokenizers and networks, with the head of the task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn

from tlnlp.acceleration.embedding_pruning import PrunedEmbedding
from tlnlp.errors import InputError
from tlnlp.models.base_weights import loading_options
from tlnlp.models.checkpoint import (
    Checkpoint,
    base_of_adapter,
    errors_in_words,
    not_readable,
    read_config,
    vocabulary_size,
)
from tlnlp.models.checkpoint_files import CONFIG, has_tokenizer, read_json
from tlnlp.models.config_limits import check_counts
from tlnlp.models.feature_classifier import FILE as READER_FILE
from tlnlp.models.feature_classifier import FeatureClassifier
from tlnlp.models.finite import check_finite
from tlnlp.models.merge_adapter import merge_adapter
from tlnlp.recipe import NEW
from tlnlp.task import Head, Task
from tlnlp.training.sharding import copy_into

# For a tokenizer that has neither a pad nor an end token (the first GPT's).
PAD_TOKEN = "[PAD]"
# BigBird's attention between blocks of tokens.
SPARSE = "block_sparse"
# Layers that every network of transformers initialises by itself.
ORDINARY = (nn.Linear, nn.Embedding, nn.LayerNorm, nn.modules.conv._ConvNd)


@dataclass(frozen=True)
class LoadedWeights:
    """A network with the weights of a checkpoint.

    Args:
        network: in evaluation mode, on the CPU.
        missing: names of the parameters that the checkpoint lacks, which have been initialised at random. Those that
            are tied to others are not among them.
        head_of_adapter: modules of a head that an adapter without label names has brought.
    """

    network: Any
    missing: tuple[str, ...]
    head_of_adapter: tuple[str, ...] = ()


def load_tokenizer(source: str, model: str, **options: Any) -> Any:
    """Loads the checkpoint's fast tokenizer. If it has no pad token, it pads with its end token (GPT-2), or with a new
    one, whose embedding is added to the network (openai-gpt).

    Raises:
        InputError: the checkpoint has no tokenizer.
    """
    if not has_tokenizer(Path(source)) and (base := base_of_adapter(source)) is not None:
        return load_tokenizer(base.place, model, **options)
    with errors_in_words(model):
        tokenizer = transformers.AutoTokenizer.from_pretrained(source, trust_remote_code=False, **options)
    if len(tokenizer) <= len(tokenizer.all_special_ids):  # transformers returns an empty one if files are missing
        raise not_readable(model, ValueError("its tokenizer is missing (tokenizer.json, or vocab.txt or vocab.json)"))
    if tokenizer.pad_token is None and tokenizer.eos_token is not None:
        tokenizer.pad_token = tokenizer.eos_token
    elif tokenizer.pad_token is None:
        # A token that rows may end with cannot be it: transformers' heads look for the last token before the padding.
        tokenizer.add_special_tokens({"pad_token": PAD_TOKEN})
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
    """Loads the network with the task's head, in fp32 on the CPU. What the weights tell about the checkpoint is added
    to its notes, and which of them are not its own to `initialized`.

    Args:
        seed: initialises new weights.
        new_head: replace the checkpoint's head, if it has one.
        new_weights: read no weights of the checkpoint; a NEW one has none.
        load_in, device: the form of all weights if not fp32, and where quantised ones go, see `loading_options`.

    Raises:
        InputError: weights other than those of a new head are missing, or some are NaN or infinite.
    """
    config = checkpoint.config
    if base_of_adapter(checkpoint.place) is None:  # an adapter may bring a larger embedding table
        _check_vocabulary(checkpoint, tokenizer, task, vocabulary_size(config))
    _configure(checkpoint, task, tokenizer)
    auto = getattr(transformers, task.head.auto_class)
    torch.manual_seed(seed)
    if new_weights or checkpoint.place == NEW:
        if vocabulary_size(config) is not None:
            config.vocab_size = max(config.vocab_size, len(tokenizer))
        model = auto.from_config(config, dtype=torch.float32)
        checkpoint.initialized[:] = [name for name, _ in model.named_parameters()]
        return model
    loaded = load_weights(
        auto, checkpoint.place, checkpoint.name, config, new_head=new_head, load_in=load_in, device=device
    )
    model = loaded.network
    shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
    vocabulary = vocabulary_size(model.config)
    _check_vocabulary(checkpoint, tokenizer, task, vocabulary)
    if vocabulary is not None and (lacking := len(tokenizer) - vocabulary) > 0:
        # The tokens of the task are new to the network; those that it was to know already begin as an average token.
        model.resize_token_embeddings(len(tokenizer), mean_resizing=checkpoint.resize_embeddings)
        if checkpoint.resize_embeddings:
            checkpoint.notes.append(f"{checkpoint.name}: {lacking:,} new rows of the embedding table, around its mean")
    head = []
    if new_head:
        # If the checkpoint has a head of the right size, its weights are replaced as well.
        own = set(model.base_model.parameters())
        head = [name for name, parameter in model.named_parameters() if parameter not in own]
        reinitialize(model, head, task.head.auto_class, seed, None)
    # The weights of an adapter are not in its base, and their sum may be rounded in another way elsewhere.
    is_merged = base_of_adapter(checkpoint.place) is not None
    checkpoint.initialized[:] = [
        name
        for name, parameter in model.named_parameters()
        if is_merged or name in (*loaded.missing, *head) or parameter.shape != shapes[name]
    ]
    body = {name for name, _ in model.base_model.named_parameters(prefix=model.base_model_prefix)}
    # By name the pooler is part of the base model, but many checkpoints lack it: it belongs to the head.
    lost = sorted(name for name in loaded.missing if name in body and ".pooler." not in name)
    if lost:
        raise InputError(
            expected=f"the weights of a {type(model).__name__}",
            found=f"{checkpoint.name} without {', '.join(lost[:3])}{' ...' if len(lost) > 3 else ''}",
            change="the checkpoint, or --strategy from_scratch",
        )
    _initialize_bare_parameters(model, loaded.missing, task.head.auto_class, seed)
    check_finite(model, checkpoint.name)
    if not new_head:
        checkpoint.notes.extend(_notes_on_head(loaded, checkpoint, task))
    return model


def _configure(checkpoint: Checkpoint, task: Task, tokenizer: Any) -> None:
    """Adapts the checkpoint's configuration to the task."""
    config = checkpoint.config
    for name, value in task.head.config_changes(task, checkpoint.labels).items():
        setattr(config, name, value)
    config.pad_token_id = tokenizer.pad_token_id
    if getattr(config, "attention_type", None) == SPARSE:
        # The network gives it up for good at its first short batch: what it computes for a row would depend on the rows
        # before it.
        config.attention_type = "original_full"
        checkpoint.notes.append(f"{checkpoint.name}: attention is computed in full, not in sparse blocks")


def _initialize_bare_parameters(model: Any, missing: Sequence[str], auto_class: str, seed: int) -> None:
    """Initialises what the checkpoint lacks and transformers leaves as it finds it in memory: weights that belong to no
    ordinary layer (the bias of data2vec's language-model head)."""
    bare = [name for name in missing if not isinstance(model.get_submodule(name.rpartition(".")[0]), ORDINARY)]
    own = dict(model.named_parameters())
    if bare := [name for name in bare if name in own]:
        reinitialize(model, bare, auto_class, seed, None)


def _check_vocabulary(checkpoint: Checkpoint, tokenizer: Any, task: Task, most: int | None) -> None:
    """Raises an error if the tokenizer has more than `most` tokens, beside those of the task and a new pad token."""
    if most is None:
        return
    added = [*task.head.tokenizer_options.get("extra_special_tokens", ()), PAD_TOKEN]
    new = sum(number is not None and number >= most for number in tokenizer.convert_tokens_to_ids(added))
    lacking = len(tokenizer) - new - most
    if lacking <= 0 or checkpoint.resize_embeddings:
        return
    last = tokenizer.convert_ids_to_tokens(list(range(most, most + min(3, lacking))))
    raise InputError(
        expected=f"a tokenizer with at most the network's {most:,} tokens",
        found=f"{checkpoint.name}: {len(tokenizer):,} tokens, the last of them {', '.join(map(str, last))}",
        change="--resize-embeddings if tokens were added to this tokenizer (new rows are learnt); otherwise the "
        "checkpoint: its tokenizer belongs to another network",
    )


def _notes_on_head(loaded: LoadedWeights, checkpoint: Checkpoint, task: Task) -> list[str]:
    """Returns notes on a language model that begins with a random head, and on a head whose labels have no names."""
    notes = []
    is_language_model = task.head.auto_class.endswith(("MaskedLM", "CausalLM"))
    if is_language_model and loaded.missing:
        notes.append(
            f"{checkpoint.name} has no language-model head: a new one is learnt, from random weights "
            f"({', '.join(sorted(loaded.missing)[:2])}{' ...' if len(loaded.missing) > 2 else ''})"
        )
    if loaded.head_of_adapter and checkpoint.labels:
        notes.append(
            f"the adapter's own head ({', '.join(loaded.head_of_adapter)}) goes on; its labels have no names: they are "
            f"taken to be {', '.join(checkpoint.labels)}, in this order (--new-head if that is wrong)"
        )
    if loaded.head_of_adapter and loaded.missing:
        notes.append(
            f"neither the adapter nor its base has {', '.join(loaded.missing[:2])}: random weights before the head"
        )
    return notes


def load_weights(
    auto: Any,
    source: str,
    model: str,
    config: Any,
    *,
    new_head: bool = False,
    load_in: str = "fp32",
    device: torch.device | None = None,
) -> LoadedWeights:
    """Loads a network from a checkpoint, or from an adapter and its base.

    Args:
        auto: the auto class of transformers.
        source: folder or Hub id.
        model: the value of `--model`, for messages.
        config: its configuration.
        new_head: whether a head of another size is left out.
        load_in: the form of the weights, see `base_weights.loading_options`; "stored" is the one of the checkpoint.
        device: where quantised weights are put.

    Raises:
        InputError: the weights cannot be read, or an adapter does not fit its base.
    """
    base = base_of_adapter(source)
    if base is not None:
        config.vocab_size = read_config(base.place, base.name).vocab_size
        below = load_weights(auto, base.place, base.name, config, new_head=True, load_in=load_in, device=device)
        merged = merge_adapter(below.network, Path(source), below.missing, with_head=not new_head)
        nameless = () if (Path(source) / CONFIG).is_file() else merged.head
        return LoadedWeights(below.network, merged.missing, nameless)
    with errors_in_words(model):
        network, report = auto.from_pretrained(
            source,
            config=config,
            **loading_options(load_in, auto, config, device or torch.device("cpu")),
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=new_head,
        )
    other_sizes = {name for name, *_ in report["mismatched_keys"]}
    return LoadedWeights(network, tuple(sorted({*report["missing_keys"], *other_sizes})))


def load_language_model(auto: Any, place: str, model: str, config: Any) -> Any:
    """Loads a network that answers with words, in evaluation mode.

    Args:
        auto: AutoModelForMaskedLM or AutoModelForCausalLM.
        place: folder or Hub id.
        model: the value of `--model`, for messages.

    Raises:
        InputError: its weights cannot be read, or some are missing: the network would answer at random.
    """
    loaded = load_weights(auto, place, model, config, load_in="stored")
    missing = [name for name in loaded.missing if ".pooler." not in name]  # words do not depend on it
    if missing:
        saved_as = ", ".join(config.architectures or ["another network"])
        raise InputError(
            expected=f"a checkpoint with all weights of {type(loaded.network).__name__}, to answer with words",
            found=f"{model}, saved as {saved_as}, without {', '.join(missing[:3])}{' ...' * (len(missing) > 3)}",
            change="--model with a checkpoint that has a language-model head",
        )
    check_finite(loaded.network, model)
    return loaded.network.eval()


def reinitialize(
    model: nn.Module, names: Sequence[str], auto_class: str, seed: int, compact: PrunedEmbedding | None
) -> None:
    """Re-initialises the parameters `names` as in a new network of this configuration."""
    torch.manual_seed(seed)
    fresh = getattr(transformers, auto_class).from_config(model.config, dtype=torch.float32)
    new, own = dict(fresh.named_parameters()), dict(model.named_parameters())
    with torch.no_grad():
        for name in names:
            if compact is not None and name == compact.parameter:
                compact.whole.copy_(new[name])
                copy_into(own[name], compact.take(new[name]))
            else:
                copy_into(own[name], new[name])


def load_whole(folder: Path, head: Head) -> Any:
    """Loads a complete network from a folder, in fp32, with the feature classifier if there is one."""
    check_counts(read_json(folder / CONFIG), str(folder))
    kind = FeatureClassifier if (folder / READER_FILE).is_file() else getattr(transformers, head.auto_class)
    with errors_in_words(str(folder)):
        return kind.from_pretrained(folder, dtype=torch.float32)
