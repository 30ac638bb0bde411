"""Memory of one GPU for a Llama, by a formula that a test holds against what torch allocates for small ones.

    python benchmarks/large_models.py

The formula is that of an update of several micro-batches, in which gradients are there while the next one is computed.
"""

from __future__ import annotations

from dataclasses import dataclass

# Bytes that a layer keeps of each token for the backward pass, for each unit of the width, of the width of keys and of
# values, and of the feed-forward width. In fp32, for example, 8, 2 and 4 numbers: the inputs of norms and linear parts,
# queries, keys, values and outputs of attention, and both sides of the gated product. LoRA keeps the input of each part
# once more, after dropout, and its mask.
KEPT = {
    ("full", "fp32"): (32, 8, 16),
    ("lora", "fp32"): (64, 8, 20),
    ("full", "bf16"): (30, 8, 8),
    ("lora", "bf16"): (48, 4, 12),
}
LORA_PARTS = 7
# Logits, their logarithms, and the gradients of both, in fp32.
OF_A_LOGIT = 16
# Outside the layers: embeddings, the last norm, the gradients that travel back.
OUTSIDE = 24


@dataclass(frozen=True)
class Llama:
    """The sizes of a Llama."""

    layers: int
    width: int
    feed_forward: int
    heads: int
    key_value_heads: int
    vocabulary: int

    @property
    def key_value_width(self) -> int:
        """Width of the keys, and of the values."""
        return self.width // self.heads * self.key_value_heads

    @property
    def layer_weights(self) -> int:
        """Weights of a layer."""
        return self.width * (2 * self.width + 2 * self.key_value_width + 3 * self.feed_forward + 2)

    @property
    def table_weights(self) -> int:
        """Weights of the embedding table."""
        return self.vocabulary * self.width

    def lora_weights(self, rank: int) -> int:
        """Weights of LoRA on all linear parts of the layers."""
        ends = 4 * self.width + 2 * (self.width + self.key_value_width) + 3 * (self.width + self.feed_forward)
        return self.layers * rank * ends


@dataclass(frozen=True)
class Memory:
    """What one process holds, in bytes."""

    weights: float
    gradients: float
    moments: float
    activations: float
    logits: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.weights + self.gradients + self.moments + self.activations + self.logits


def estimate(
    model: Llama,
    *,
    tokens: int,
    strategy: str = "full",
    precision: str = "fp32",
    rank: int = 8,
    checkpointing: bool = False,
    scored_tokens: int = 0,
    processes: int = 1,
) -> Memory:
    """Returns the memory of a process for a network with a small head.

    Args:
        tokens: of a micro-batch, with its padding.
        strategy: "full", or "lora" on all linear parts; with bf16 its frozen base is in bf16 (`--load-in bf16`).
        precision: of the computation, "fp32" or "bf16".
        checkpointing: whether a layer is computed again in the backward pass.
        scored_tokens: of a micro-batch, for which a language model has logits.
        processes: that divide weights, gradients and moments among themselves (FSDP).
    """
    base = model.layers * model.layer_weights + model.table_weights * (2 if scored_tokens else 1) + model.width
    trained = base if strategy == "full" else model.lora_weights(rank)
    kept_in = 2 if strategy == "lora" and precision == "bf16" else 4
    weights = (base * kept_in + (trained * 4 if strategy == "lora" else 0)) / processes
    if processes > 1:  # what is in no layer, the layer at hand and the next one are gathered
        weights += kept_in * (2 * model.layer_weights + model.table_weights * (2 if scored_tokens else 1))
    if strategy == "full" and precision == "bf16":
        # Copies in bf16 for as long as a micro-batch takes; with FSDP of the gathered layers only.
        weights += 2 * model.layer_weights * (model.layers if processes == 1 else 2)
    of_width, of_keys, of_feed_forward = KEPT[strategy, precision]
    layer = of_width * model.width + of_keys * model.key_value_width + of_feed_forward * model.feed_forward
    layer += 4 * (2 + model.heads) + (LORA_PARTS * rank * kept_in if strategy == "lora" else 0)
    of_all = model.layers * layer
    if checkpointing:  # the inputs of all layers, and one layer at a time
        of_all = model.layers * kept_in * model.width + layer
    return Memory(
        weights=weights,
        gradients=4 * trained / processes,
        moments=8 * trained / processes,
        activations=tokens * (of_all + OUTSIDE * model.width),
        logits=scored_tokens * OF_A_LOGIT * model.vocabulary,
    )


# Touvron et al. 2023 and Grattafiori et al. 2024, table 3.
LLAMA_8B = Llama(32, 4096, 14336, 32, 8, 128_256)
EACH = (
    ("lora, --load-in bf16, one GPU", {"strategy": "lora", "precision": "bf16"}, 1),
    ("full, one GPU", {"precision": "bf16"}, 1),
    ("full, FSDP on 8 GPUs", {"precision": "bf16"}, 8),
)


def table() -> list[str]:
    """Returns the worked table, in GiB."""
    lines = [
        "| Llama-8B, 4,096 tokens in a micro-batch | weights | gradients | moments | activations | sum, GiB | with "
        "`--gradient-checkpointing` |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, how, processes in EACH:
        plain, less = (
            estimate(LLAMA_8B, tokens=4096, checkpointing=checkpointing, processes=processes, **how)  # type: ignore[arg-type]
            for checkpointing in (False, True)
        )
        parts = (plain.weights, plain.gradients, plain.moments, plain.activations, plain.total, less.total)
        lines.append(f"| {name} | " + " | ".join(f"{part / 2**30:,.1f}" for part in parts) + " |")
    return lines


if __name__ == "__main__":
    print("\n".join(table()))
