"""The weights of a frozen base under an adapter in fewer bits (`--load-in`): what learns stays in fp32.

In bf16 they take half of the memory. With bitsandbytes the linear parts of the layers are quantised to 8 bits (Dettmers
et al. 2022, LLM.int8) or to 4 (Dettmers et al. 2023, QLoRA: NormalFloat, the scales quantised once more), on a GPU.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Iterable
from typing import Any

import torch
import transformers
from torch import nn

from tlnlp.errors import InputError
from tlnlp.transfer.layers import find_layers

QUANTISED = ("8bit", "4bit")
# By `--load-in`: without what quantisation keeps beside the weights.
LEAST_BYTES_PER_WEIGHT = {"fp32": 4.0, "bf16": 2.0, "8bit": 1.0, "4bit": 0.5}


def check_quantised(load_in: str) -> None:
    """Raises an error if weights are to be quantised on a machine that cannot.

    Raises:
        InputError: there is no GPU, or bitsandbytes is not installed.
    """
    if load_in not in QUANTISED:
        return
    if not torch.cuda.is_available():
        raise InputError(
            expected=f"a GPU for --load-in {load_in}: bitsandbytes computes with quantised weights there",
            found="no GPU",
            change="--load-in bf16, which halves the weights on a CPU, too",
        )
    if importlib.util.find_spec("bitsandbytes") is None:
        raise InputError(
            expected=f"bitsandbytes for --load-in {load_in}",
            found="it is not installed",
            change='pip install "tlnlp[quantised]", or --load-in bf16',
        )


def loading_options(load_in: str, auto: Any, config: Any, device: torch.device) -> dict[str, Any]:
    """Returns the arguments of `from_pretrained` for weights in this form, which everything has at first.

    Args:
        load_in: "fp32", "bf16", "8bit", "4bit", or "stored" for the type of the checkpoint's file.
        auto: the auto class of transformers.
        device: where quantised weights are put; others remain on the CPU.
    """
    if load_in not in QUANTISED:
        return {"dtype": {"fp32": torch.float32, "bf16": torch.bfloat16, "stored": "auto"}[load_in]}
    with torch.device("meta"):
        network = auto.from_config(config)
    within = {module for layer in find_layers(network) for part in layer.parts for module in part.modules()}
    # What is not in the layers, above all the head, is not quantised.
    whole = [name for name, module in network.named_modules() if isinstance(module, nn.Linear) and module not in within]
    how: dict[str, Any] = {"load_in_8bit": True}
    if load_in == "4bit":
        how = {
            "load_in_4bit": True,
            "bnb_4bit_quant_type": "nf4",  # QLoRA, section 3
            "bnb_4bit_use_double_quant": True,
            "bnb_4bit_compute_dtype": torch.bfloat16,
        }
    quantisation = transformers.BitsAndBytesConfig(llm_int8_skip_modules=whole, **how)
    return {"dtype": torch.bfloat16, "quantization_config": quantisation, "device_map": {"": device}}


def keep_in_fp32(network: Any, names: Iterable[str]) -> None:
    """Converts the parameters `names` to fp32, but for a head's matrix that is the embedding table as well."""
    own = dict(network.named_parameters())
    tables = {module.weight for module in network.modules() if isinstance(module, nn.Embedding)}
    for name in names:
        if own[name] not in tables:
            own[name].data = own[name].data.float()


def parameters_in(network: nn.Module, modules: Collection[str]) -> list[str]:
    """Returns the names of all parameters in `modules`."""
    return [name for name, _ in network.named_parameters() if any(name.startswith(f"{module}.") for module in modules)]
