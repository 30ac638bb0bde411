"""Compiled layers: torch.compile fuses the small operations of each layer, so that a GPU gets fewer kernels.

Layer by layer, since all layers of a network share one compiled graph, and with dynamic shapes: micro-batches differ in
the number of rows and tokens. Embeddings, hooks, attention on packed rows and the head stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface

from tlnlp.acceleration.padding_free import ATTENTION, packed_attention
from tlnlp.transfer.layers import layer_modules

BACKEND = "inductor"
# Relative difference of logits up to which they are the same. In 16 bits a fused operation rounds once where its parts
# rounded several times.
ROUNDING = {torch.float64: 1e-6, torch.float32: 1e-4}
ROUNDING_16_BITS = 3e-2


def compile_layers(
    model: Any,
    ask: Callable[[nn.Module], torch.Tensor],
    left_out: Callable[[str], None] = lambda reason: None,
) -> bool:
    """Compiles the layers of `model`, if that gives the same outputs. Nothing of it is saved. Returns whether it was
    done.

    Args:
        ask: runs the network on some rows, in the precision of the run, and returns its logits.
        left_out: called with the reason if it was not done.
    """
    try:
        layers = list(dict.fromkeys(layer_modules(model)))  # ALBERT has one that is called several times
    except ValueError as error:
        left_out(str(error))
        return False
    # Which rows are packed is different in each micro-batch: part of a graph, it would be compiled each time.
    AttentionInterface.register(ATTENTION, torch.compiler.disable(packed_attention))
    was_training, reason = model.training, ""
    with torch.no_grad():
        expected = ask(model.eval())
        for layer in layers:
            layer.forward = torch.compile(layer.forward, dynamic=True, backend=BACKEND)
        try:
            found = ask(model)
            tolerance = ROUNDING.get(expected.dtype, ROUNDING_16_BITS) * float(expected.abs().max())
            if not bool(((expected - found).abs() <= tolerance).all()):
                reason = "the compiled layers give other outputs"
        # A compiler that is missing, or that a network is too much for, raises whatever it raises.
        except Exception as error:
            reason = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:120]}"
    model.train(was_training)
    if reason:
        for layer in layers:
            del layer.forward
        AttentionInterface.register(ATTENTION, packed_attention)
        left_out(reason)
    return not reason
