"""Prompt and prefix: weights of peft that stand before the tokens of each row, put there by hooks on the network's
body, so that every head sees its own rectangle of tokens and knows nothing of them."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from transformers import DynamicCache

from tlnlp.lazy import lazy_module

# Takes most of a second to import, and most strategies do without.
peft: Any = lazy_module("peft")


class Prompt(nn.Module):
    """Pieces that learn before the pieces of each row (Lester et al. 2021).

    Rows keep their places: what the body answers at the prompt is cut off behind it. What reads the first place inside
    the body (BERT's pooler) reads the prompt's first, as in peft; it is new or learns with the head in either case.
    The prompt begins as pieces drawn from the table, the better start of that paper's section 3.2.
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
        network.base_model.register_forward_pre_hook(self._put, with_kwargs=True)
        network.base_model.register_forward_hook(self._cut)

    def _put(self, body: Any, arguments: Any, named: dict[str, Any]) -> Any:
        named = {**dict(zip(self.inputs, arguments, strict=False)), **named}
        pieces = body.get_input_embeddings()(named.pop("input_ids"))  # [rows, longest, width]
        prompt = self.encoder.embedding.weight.to(pieces.dtype).expand(len(pieces), -1, -1)
        named["inputs_embeds"] = torch.cat([prompt, pieces], dim=1)
        for name, value in (("attention_mask", 1), ("token_type_ids", 0)):
            if named.get(name) is not None:
                named[name] = nn.functional.pad(named[name], (self.tokens, 0), value=value)
        return (), named

    def _cut(self, body: Any, arguments: Any, output: Any) -> Any:
        output["last_hidden_state"] = output["last_hidden_state"][:, self.tokens :]
        return output


class Prefix(nn.Module):
    """Keys and values that learn before those of each row, in each layer (Li and Liang 2021, section 4).

    They begin small: drawn as peft draws them they would outweigh the row's own.
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
        network.base_model.register_forward_pre_hook(self._put, with_kwargs=True)

    def _put(self, body: Any, arguments: Any, named: dict[str, Any]) -> Any:
        named = {**dict(zip(self.inputs, arguments, strict=False)), **named}
        rows = len(named["input_ids"])
        # [tokens, layers x 2, heads, width of a head] -> [layers x 2, heads, tokens, width of a head]
        states = self.encoder.embedding.weight.view(self.tokens, self.layers * 2, self.heads, -1).permute(1, 2, 0, 3)
        cache = DynamicCache()
        for layer in range(self.layers):
            key, value = (each.expand(rows, -1, -1, -1) for each in states[2 * layer : 2 * layer + 2])
            cache.update(key, value, layer)
        named |= {str(_name_of_cache(self.inputs)): cache, "use_cache": False}
        if named.get("attention_mask") is not None:
            named["attention_mask"] = nn.functional.pad(named["attention_mask"], (self.tokens, 0), value=1)
        return (), named


def takes_prefix(body: nn.Module) -> bool:
    """Whether the layers of `body` can be given keys and values."""
    return _name_of_cache(_inputs_of(body)) is not None


def _name_of_cache(inputs: Sequence[str]) -> str | None:
    """What a network calls the keys and values that it is given: transformers 5.24 renamed them."""
    return next((name for name in ("cache", "past_key_values") if name in inputs), None)


def _shape(config: Any) -> dict[str, int]:
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    return {"num_layers": config.num_hidden_layers, "num_attention_heads": heads}


def _inputs_of(body: nn.Module) -> list[str]:
    return list(inspect.signature(body.forward).parameters)
