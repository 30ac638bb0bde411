"""Tries a network on a few rows before anything is built on it: does it run, ignore padding, run packed?"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
import transformers
from accelerate import Accelerator

from tlnlp.acceleration.padding_free import PaddingFree, attention_window
from tlnlp.acceleration.varlen_attention import attend_at_once
from tlnlp.errors import InputError
from tlnlp.heads.encoded import EncodedDataset, model_inputs
from tlnlp.settings import Settings
from tlnlp.task import Task

# Relative differences up to which outputs of batches of other shapes are the same, in these precisions.
FP32, BF16 = 1e-4, 3e-2


def logits_on(encoded: EncodedDataset, items: np.ndarray, task: Task, tokenizer: Any) -> Callable[[Any], Any]:
    """Returns a function from the network to its logits for `items`."""
    batch = task.head.collate(encoded, items, tokenizer, np.random.default_rng(0))

    def ask(network: Any) -> torch.Tensor:
        device = next(network.parameters()).device  # a quantised network is loaded onto the GPU
        return task.head.logits(network, {name: value.to(device) for name, value in batch.items()})

    return ask


def run_as_trained(ask: Callable[[Any], Any], settings: Settings, accelerator: Accelerator) -> Callable[[Any], Any]:
    """Returns `ask`, in the arithmetic of the run if the weights are in fewer bits."""

    def run(network: Any) -> Any:
        with accelerator.autocast():
            return ask(network)

    return ask if settings.load_in == "fp32" else run


def ignores_padding(
    network: Any, encoded: EncodedDataset, task: Task, tokenizer: Any, settings: Settings, accelerator: Accelerator
) -> bool:
    """Runs the network for the first time, in the arithmetic of the run if the weights are in fewer bits: see
    `padding_is_ignored`.

    Raises:
        InputError: this network cannot run on these rows.
    """
    in_fewer_bits = settings.load_in != "fp32"
    try:
        with accelerator.autocast() if in_fewer_bits else nullcontext():
            return padding_is_ignored(network, encoded, task, tokenizer, rounding=BF16 if in_fewer_bits else FP32)
    # A network raises whatever it raises: what it lacks is told here, before anything is built on it.
    except Exception as error:
        fewer = f" with --load-in {settings.load_in}" if in_fewer_bits else ""
        raise InputError(
            expected=f"a network that transformers {transformers.__version__} can run{fewer} on rows of {task.name}",
            found=f"{settings.model}, a {type(network).__name__}: {type(error).__name__}: {str(error).strip()[:200]}",
            change="omit --load-in" if in_fewer_bits else "another --model, or another release of transformers",
        ) from error


def padding_is_ignored(
    network: Any, encoded: EncodedDataset, task: Task, tokenizer: Any, rounding: float = FP32
) -> bool:
    """Returns whether the network computes the same for a row alone and padded to a longer one, as tested on the
    shortest and the longest row. Convolutions over tokens and Fourier transforms do not.

    Args:
        rounding: relative difference up to which outputs are the same.
    """
    shortest, longest = np.array([encoded.lengths.argmin()]), np.array([encoded.lengths.argmax()])
    if encoded.lengths[shortest] == encoded.lengths[longest]:
        return True
    both = np.concatenate([shortest, longest])
    was_training = network.training
    with torch.no_grad():
        alone = [logits_on(encoded, item, task, tokenizer)(network.eval()) for item in (shortest, longest)]
        together = logits_on(encoded, both, task, tokenizer)(network)
        batch = task.head.collate(encoded, both, tokenizer, np.random.default_rng(0))
        reads_padding = _reads_padding(network, model_inputs(batch))
    network.train(was_training)
    expected = torch.cat(alone)
    tolerance = rounding * float(expected.abs().max())
    is_same = expected.shape == together.shape and bool(((expected - together).abs() <= tolerance).all())
    return is_same and not reads_padding


def _reads_padding(network: Any, inputs: dict[str, torch.Tensor]) -> bool:
    """Returns whether the states of real tokens depend on which token the padding is: seen also where random weights
    make the difference small."""
    if getattr(network.config, "is_encoder_decoder", False):  # its body wants a decoder's tokens as well
        return False
    device = next(network.parameters()).device
    inputs = {name: value.to(device) for name, value in inputs.items()}
    real = inputs["attention_mask"].bool()
    other = torch.where(real, inputs["input_ids"], inputs["input_ids"][real][-1])
    both = [network.base_model(**{**inputs, "input_ids": ids})[0] for ids in (inputs["input_ids"], other)]
    if both[0].shape[:2] != real.shape:  # tokens are pooled on the way, those of the padding with them
        return True
    expected, found = (states[real] for states in both)
    return bool(((expected - found).abs() > 1e-6 * expected.abs().max()).any())


def note_on_padding(encoded: EncodedDataset, task: Task, settings: Settings) -> str:
    """Returns the note on a network whose outputs depend on the padding.

    Raises:
        InputError: a row of this task is several sequences, which are padded to the longest.
    """
    if encoded.sequence_offsets is not None:
        raise InputError(
            expected=f"a network that ignores padding, since each row of {task.name} is several sequences",
            found=f"{settings.model}, whose outputs depend on the padding",
            change="another --model (BERT, RoBERTa, ModernBERT)",
        )
    return "only rows of equal length are batched: the outputs of this network depend on the padding"


def try_strategy(network: Any, run_once: Callable[[Any], Any], strategy: str) -> None:
    """Raises an error if the network does not run with what `strategy` put into it.

    Raises:
        InputError: see above.
    """
    try:
        with torch.no_grad():
            run_once(network)
    # A layer whose output is of another kind raises whatever it raises.
    except Exception as error:
        raise InputError(
            expected=f"--strategy {strategy} on a network whose layers return a state for each token (BERT, GPT-2)",
            found=f"a {network.config.model_type}: {type(error).__name__}: {str(error).strip()[:120]}",
            change="another --strategy or another --model",
        ) from error


def pack_on_device(
    network: Any,
    encoded: EncodedDataset,
    task: Task,
    tokenizer: Any,
    accelerator: Accelerator,
    left_out: Callable[[str], None] = lambda reason: None,
) -> PaddingFree | None:
    """Returns padding-free layers in the form of the device: on a CPU in groups of rows, on a GPU with attention in one
    call; None, and why, if the network runs padded.

    Args:
        left_out: called with the reason.
    """
    on_cpu = accelerator.device.type == "cpu"
    if not on_cpu and (accelerator.device.type != "cuda" or accelerator.mixed_precision == "no"):
        left_out("the GPU's attention without padding computes in bf16 and fp16 only")
        return None
    packing = pack(network, encoded, task, tokenizer, left_out)
    if packing is None or on_cpu:
        return packing
    order = np.argsort(encoded.lengths, kind="stable")
    ask = logits_on(encoded, order[:: max(1, len(order) // 8)], task, tokenizer)

    def ask_in_precision(network: Any) -> torch.Tensor:
        with accelerator.autocast():
            return ask(network)

    if why := attend_at_once(packing, network, ask_in_precision):
        packing.remove(network)
        left_out(why)
        return None
    return packing


def pack(
    network: Any,
    encoded: EncodedDataset,
    task: Task,
    tokenizer: Any,
    left_out: Callable[[str], None] = lambda reason: None,
) -> PaddingFree | None:
    """Returns padding-free layers if sequence lengths differ and the network supports it, as tested on some of the
    rows; None also if some of its weights are in fewer bits (`--load-in`).

    Args:
        left_out: called with the reason if the network does not support it.
    """
    if not encoded.can_pad or len({parameter.dtype for parameter in network.parameters()}) > 1:
        return None
    sequences = encoded.features["input_ids"].lengths
    # Longer rows run padded: they would show nothing.
    offsets = np.arange(len(encoded) + 1) if encoded.sequence_offsets is None else encoded.sequence_offsets
    longest = np.maximum.reduceat(sequences, offsets[:-1])
    fitting = np.flatnonzero(longest <= attention_window(network))
    if len(fitting) == 0:
        return None
    items = fitting[np.argsort(encoded.lengths[fitting], kind="stable")][:: max(1, len(fitting) // 8)]
    # The length of an item of several sequences does not show padding between them: the items with the shortest and the
    # longest sequence are included.
    shortest = np.minimum.reduceat(sequences, offsets[:-1])
    extremes = fitting[[shortest[fitting].argmin(), longest[fitting].argmax()]]
    if shortest[extremes[0]] == longest[extremes[1]]:
        return None
    return PaddingFree.install(network, logits_on(encoded, np.union1d(items, extremes), task, tokenizer), left_out)
