"""Saving and loading adapters: the adapter weights and the head in peft's format, without the base model."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import nn

from tlnlp.errors import InputError
from tlnlp.models import checkpoint
from tlnlp.models.base_weights import check_quantised, keep_in_fp32, parameters_in
from tlnlp.models.checkpoint_files import ADAPTER_FILE
from tlnlp.models.loading import load_weights
from tlnlp.task import Head
from tlnlp.transfer.adapters import InstalledAdapter, install
from tlnlp.transfer.phases import AdapterSpec

# peft's names of our model classes. For other classes peft would load a prompt or a prefix and not use it.
TASK_TYPES = {
    "AutoModelForSequenceClassification": "SEQ_CLS",
    "AutoModelForTokenClassification": "TOKEN_CLS",
    "AutoModelForQuestionAnswering": "QUESTION_ANS",
    "AutoModelForCausalLM": "CAUSAL_LM",
}


@dataclass(frozen=True)
class AdapterFiles:
    """The files of a network with an adapter.

    Args:
        installed: the adapter in the network.
        base: `--model`, as given.
        place: the folder or Hub id to which `base` was resolved.
        fingerprint: the fingerprint of that checkpoint.
        modules: modules that are saved completely (peft's `modules_to_save`): the head, and the embeddings if tokens
            were added.
        load_in: the form of the base's weights under it.
    """

    installed: InstalledAdapter
    base: str
    place: str
    fingerprint: str
    modules: tuple[str, ...]
    load_in: str = "fp32"

    def record(self) -> dict[str, Any]:
        """Returns what `load_adapted` needs, as JSON values."""
        plain = asdict(self.installed.adapter)
        return plain | {name: value for name, value in vars(self).items() if name != "installed"}

    def write(self, folder: Path, model: Any, auto_class: str) -> None:
        """Writes configuration, adapter weights and head to `folder`, and peft's configuration if peft supports this
        adapter for this network."""
        folder.mkdir(parents=True)
        model.config.architectures = [type(model).__name__]
        config = copy.deepcopy(model.config)
        if hasattr(config, "quantization_config"):  # of the base in memory: nothing quantised is saved
            del config.quantization_config
        config.save_pretrained(folder)
        tensors = _tensors(model, self.installed, self.modules)
        whole = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
        save_file(whole, folder / ADAPTER_FILE, metadata={"format": "pt"})
        task_type = TASK_TYPES.get(auto_class)
        if self.installed.config is None or (self.installed.config.is_prompt_learning and task_type is None):
            return
        config = copy.deepcopy(self.installed.config)
        config.task_type, config.modules_to_save = task_type, list(self.modules)
        config.base_model_name_or_path, config.inference_mode = self.place, True
        config.save_pretrained(folder)


def load_adapted(
    folder: Path, record: Mapping[str, Any], head: Head, *, as_trained: bool = False, device: torch.device | None = None
) -> Any:
    """Loads the base checkpoint of the adapter in `folder`, with the adapter and the head, in fp32. The base has the
    values that it had in training, rounded to bf16 or quantised; a quantised one remains so.

    Args:
        as_trained: the base remains in bf16, if it was.
        device: where a quantised base is put.

    Raises:
        InputError: the base checkpoint is missing or has other weights, or the adapter does not fit it.
    """
    place, load_in = checkpoint.find_base(folder, record), record.get("load_in", "fp32")  # older versions had none
    check_quantised(load_in)
    config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
    pieces = checkpoint.vocabulary_size(config)
    if pieces is not None:
        config.vocab_size = checkpoint.read_config(place, record["base"]).vocab_size
    # The head may have another size: it is replaced.
    auto = getattr(transformers, head.auto_class)
    network = load_weights(auto, place, record["base"], config, new_head=True, load_in=load_in, device=device).network
    if pieces is not None and pieces != network.config.vocab_size:
        network.resize_token_embeddings(pieces, mean_resizing=False)
    installed = install(network, AdapterSpec(record["kind"], record["options"]), seed=0)
    keep_in_fp32(network, [*installed.parameters, *parameters_in(network, record["modules"])])
    own, stored = _tensors(network, installed, record["modules"]), load_file(folder / ADAPTER_FILE)
    if own.keys() != stored.keys():
        differing = sorted(own.keys() ^ stored.keys())
        raise InputError(
            expected=f"the weights of the adapter and the head in {folder / ADAPTER_FILE}",
            found=f"{len(differing)} missing or unexpected, among them {differing[0]}",
            change="train it again: it was saved for another network, or by another version of peft",
        )
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(stored[name])
    return network.float() if load_in == "bf16" and not as_trained else network


def _tensors(network: nn.Module, installed: InstalledAdapter, modules: Any) -> dict[str, torch.Tensor]:
    """Returns all saved tensors by their names in peft's files. They share memory with the network, for reading and
    writing."""
    whole = {
        installed.key_of(f"{module}.{name}"): tensor
        for module in modules
        for name, tensor in network.get_submodule(module).state_dict().items()
    }
    return installed.tensors(network) | whole
