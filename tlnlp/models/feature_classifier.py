"""A frozen network with a classifier on its layers (strategy `shallow`). For the heads it is an ordinary model that
returns logits. It is saved as one matrix and its options, next to the unchanged checkpoint."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import nn
from transformers.modeling_outputs import SequenceClassifierOutput

from tlnlp.acceleration.padding_free import unpacked
from tlnlp.heads.encoded import EncodedDataset
from tlnlp.lazy import path_of
from tlnlp.task import Task
from tlnlp.transfer.groups import Group
from tlnlp.transfer.layers import find_layers, layer_modules
from tlnlp.transfer.linear_probe import Classifier
from tlnlp.transfer.phases import CLASSIFIER, FeatureClassifierConfig

FILE, WEIGHTS = "classifier.json", "classifier.safetensors"
# The heads that a feature classifier can serve: one prediction per row, or per word.
OF_ROWS, OF_WORDS = ("sentence", "gpt"), ("tag",)


class _Read(Exception):
    """Raised when all needed layers are computed, to skip those above."""


class FeatureClassifier(nn.Module):
    """A network without its head, and a classifier on its `layers`, of which 0 is the input of the first layer.

    Args:
        network: returns the last hidden states first, like every AutoModel.
        pooling: "mean" (over the real tokens, including special tokens), "first", "last"; None: no pooling.
        outputs: number of logits. The classifier is random until it is fitted, so that comparisons of outputs detect
            changes in the network.
    """

    def __init__(self, network: Any, layers: Sequence[int], pooling: str | None, outputs: int) -> None:
        super().__init__()
        self.network, self.layers, self.pooling = network.requires_grad_(False), tuple(layers), pooling
        self.last = len(find_layers(network))
        width = network.config.hidden_size
        self.weight = nn.Parameter(torch.randn(outputs, len(self.layers), width) / width**0.5, requires_grad=False)
        self.bias = nn.Parameter(torch.zeros(outputs), requires_grad=False)

    @property
    def config(self) -> Any:
        """The configuration of the network."""
        return self.network.config

    @property
    def base_model(self) -> Any:
        """The network, under the name that transformers' model classes use."""
        return self.network

    def set_attn_implementation(self, name: str) -> None:
        """Sets the attention implementation of the network."""
        self.network.set_attn_implementation(name)

    def read(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """Returns the features [rows, layers, width], without pooling [rows, longest, layers, width], in fp32.

        They are transformers' `hidden_states`; the last one is the network's output, including a final norm.
        """
        found: dict[int, torch.Tensor] = {}

        def enter(module: nn.Module, arguments: Any, named: dict[str, Any]) -> None:
            note(0, arguments[0] if arguments else named["hidden_states"])

        def note(layer: int, states: torch.Tensor) -> None:
            found[layer] = self._pool(unpacked(states).float(), inputs["attention_mask"])
            if layer == max(self.layers):
                raise _Read

        inner = any(layer < self.last for layer in self.layers)
        stack = layer_modules(self.network) if inner else []
        hooks = [
            stack[layer - 1].register_forward_hook(
                lambda module, given, states, layer=layer: note(layer, states if torch.is_tensor(states) else states[0])
            )
            for layer in self.layers
            if 0 < layer < self.last
        ]
        if 0 in self.layers:
            hooks.append(stack[0].register_forward_pre_hook(enter, with_kwargs=True))
        try:
            output = self.network(**inputs)
            found[self.last] = self._pool(output[0].float(), inputs["attention_mask"])
        except _Read:
            pass
        finally:
            for hook in hooks:
                hook.remove()
        return torch.stack([found[layer] for layer in self.layers], dim=-2)

    def _pool(self, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        if self.pooling is None:
            return states
        if self.pooling == "first":
            return states[:, 0]
        if self.pooling == "last":  # rows are padded on the right
            return states[torch.arange(len(states), device=states.device), mask.sum(1) - 1]
        return (states * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)

    def forward(self, **inputs: torch.Tensor) -> SequenceClassifierOutput:
        """Returns `logits` [rows, outputs], without pooling [rows, longest, outputs]."""
        features = self.read(inputs)
        with torch.autocast(features.device.type, enabled=False):  # the classifier was fitted in full precision
            logits = torch.einsum("...lw,olw->...o", features, self.weight) + self.bias
        return SequenceClassifierOutput(logits=logits)

    def take(self, classifier: Classifier, times: int = 1) -> None:
        """Sets the fitted classifier.

        Args:
            times: number of logits that the head sums per row (both orders of a pair); the classifier is fitted on
                their mean.
        """
        self.weight.copy_(torch.from_numpy(classifier.weight / times))
        self.bias.copy_(torch.from_numpy(classifier.bias / times))

    def save_pretrained(self, folder: Path) -> None:
        """Saves the unchanged checkpoint, without its head, and the classifier."""
        self.network.save_pretrained(folder)
        save_file({"weight": self.weight.cpu().contiguous(), "bias": self.bias.cpu()}, folder / WEIGHTS)
        note = {"layers": self.layers, "pooling": self.pooling}
        (folder / FILE).write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def from_pretrained(cls, folder: Path, **options: Any) -> FeatureClassifier:
        """Loads what `save_pretrained` wrote."""
        note, numbers = json.loads((folder / FILE).read_text(encoding="utf-8")), load_file(folder / WEIGHTS)
        network = transformers.AutoModel.from_pretrained(folder, use_safetensors=True, **options)
        reader = cls(network, note["layers"], note["pooling"], len(numbers["bias"]))
        reader.load_state_dict(numbers, strict=False)
        return reader


def with_feature_classifier(
    network: Any, groups: list[Group], fit: FeatureClassifierConfig, task: Task
) -> tuple[FeatureClassifier, list[Group]]:
    """Replaces the head of `network` by a feature classifier, not fitted yet; returns it with its layer groups."""
    outputs, body = network.config.num_labels, network.base_model
    reader = FeatureClassifier(body, fit.layers, fit.pooling if head_name(task) in OF_ROWS else None, outputs)
    name_of = {parameter: name for name, parameter in reader.named_parameters()}
    named = dict(network.named_parameters())
    kept = []
    for group in groups:
        names = tuple(name_of[named[name]] for name in group.parameters if named[name] in name_of)
        if names:
            size = sum(reader.get_parameter(name).numel() for name in names)
            kept.append(replace(group, parameters=names, size=size, biases=(), bias_size=0))
    size = reader.weight.numel() + reader.bias.numel()
    return reader, [*kept, Group(CLASSIFIER, ("weight", "bias"), size)]


def mean_of_items(features: np.ndarray, encoded: EncodedDataset, items: np.ndarray) -> np.ndarray:
    """Returns the features of `items` [items, ...] from those of their sequences, in order [sequences, ...]: the mean,
    where an item has several."""
    if encoded.sequence_offsets is None:
        return features
    each = np.diff(encoded.sequence_offsets)[items]
    firsts = np.cumsum([0, *each[:-1]])
    return np.add.reduceat(features, firsts) / each.reshape(-1, *[1] * (features.ndim - 1)).astype(features.dtype)


def head_name(task: Task) -> str:
    """Returns the name of the module of the task's head."""
    return path_of(task.head).rpartition(".")[2]
