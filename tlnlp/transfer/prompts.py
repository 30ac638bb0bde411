"""Prompt and prefix: peft's weights, put before the tokens of each row by hooks on the network's body, so that heads do
not need to know about them."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from transformers import DynamicCache

from tlnlp.lazy import lazy_module

# Takes most of a second to import, and most strategies do not need it.
peft: Any = lazy_module("peft")


class Prompt(nn.Module):
    """Trainable embeddings before the embeddings of each row (Lester et al. 2021).

    Rows keep their positions in the output: the hook removes the outputs at the prompt. A module inside the body that
    reads the first position (BERT's pooler) reads the prompt's first, as in peft; it is new or trained with the head in
    either case. The prompt is initialised with embeddings sampled from the table, the better initialisation in section
    3.2 of that paper.
    """

    def __init__(self, network: Any, tokens: int) -> None:
        super().__init__()
        self.tokens, self.inputs = tokens, _inputs_of(network.base_model)
        table = network.get_input_embeddings()
        self.config = peft.PromptTuningConfig(
            prompt_tuning_init="SAMPLE_VOCAB",
            num_virtual_tokens=tokens,
            token_dim=table.weight.shape[1],
            num_transformer_submodules=1,
            **_shape(network.config),
        )
        self.encoder = peft.PromptEmbedding(self.config, table)
        network.base_model.register_forward_pre_hook(self._prepend, with_kwargs=True)
        network.base_model.register_forward_hook(self._remove_prompt)

    def _prepend(self, body: Any, arguments: Any, named: dict[str, Any]) -> Any:
        named = {**dict(zip(self.inputs, arguments, strict=False)), **named}
        pieces = body.get_input_embeddings()(named.pop("input_ids"))  # [rows, longest, width]
        prompt = self.encoder.embedding.weight.to(pieces.dtype).expand(len(pieces), -1, -1)
        named["inputs_embeds"] = torch.cat([prompt, pieces], dim=1)
        for name, value in (("attention_mask", 1), ("token_type_ids", 0)):
            if named.get(name) is not None:
                named[name] = nn.functional.pad(named[name], (self.tokens, 0), value=value)
        return (), named

    def _remove_prompt(self, body: Any, arguments: Any, output: Any) -> Any:
        output["last_hidden_state"] = output["last_hidden_state"][:, self.tokens :]
        return output


class Prefix(nn.Module):
    """Trainable keys and values before those of each row, in each layer (Li and Liang 2021, section 4).

    They are initialised with small values: with peft's initialisation they would outweigh the row's own.
    """

    def __init__(self, network: Any, tokens: int) -> None:
        super().__init__()
        self.tokens, self.inputs = tokens, _inputs_of(network.base_model)
        shape = _shape(network.config)
        self.layers, self.heads = shape["num_layers"], shape["num_attention_heads"]
        width = getattr(network.config, "head_dim", None) or (
            network.config.hidden_size // network.config.num_attention_heads
        )
        self.config = peft.PrefixTuningConfig(
            num_virtual_tokens=tokens,
            token_dim=width * self.heads,
            num_transformer_submodules=1,
            encoder_hidden_size=width * self.heads,
            **shape,
        )
        self.encoder = peft.PrefixEncoder(self.config)
        nn.init.normal_(self.encoder.embedding.weight, std=0.02)
        network.base_model.register_forward_pre_hook(self._prepend, with_kwargs=True)

    def _prepend(self, body: Any, arguments: Any, named: dict[str, Any]) -> Any:
        named = {**dict(zip(self.inputs, arguments, strict=False)), **named}
        rows = len(named["input_ids"])
        # [tokens, layers x 2, heads, width of a head] -> [layers x 2, heads, tokens, width of a head]
        states = self.encoder.embedding.weight.view(self.tokens, self.layers * 2, self.heads, -1).permute(1, 2, 0, 3)
        # The layers' own keys and values have this type.
        kind, table = states.device.type, body.get_input_embeddings().weight
        states = states.to(torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else table.dtype)
        cache = DynamicCache()
        for layer in range(self.layers):
            key, value = (each.expand(rows, -1, -1, -1) for each in states[2 * layer : 2 * layer + 2])
            cache.update(key, value, layer)
        named |= {str(_name_of_cache(self.inputs)): cache, "use_cache": False}
        if named.get("attention_mask") is not None:
            named["attention_mask"] = nn.functional.pad(named["attention_mask"], (self.tokens, 0), value=1)
        return (), named


def takes_prefix(body: nn.Module) -> bool:
    """Returns whether the layers of `body` accept cached keys and values."""
    return _name_of_cache(_inputs_of(body)) is not None


def _name_of_cache(inputs: Sequence[str]) -> str | None:
    """Returns the name of the network's argument for cached keys and values, which transformers 5.24 renamed."""
    return next((name for name in ("cache", "past_key_values") if name in inputs), None)


def _shape(config: Any) -> dict[str, int]:
    # FNet has none; a prompt does not need them.
    heads = getattr(config, "num_key_value_heads", None) or getattr(config, "num_attention_heads", 1)
    return {"num_layers": config.num_hidden_layers, "num_attention_heads": heads}


def _inputs_of(body: nn.Module) -> list[str]:
    return list(inspect.signature(body.forward).parameters)
