"""Padding-free layers: the same answers and gradients as transformers' own padded ones."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch.nn.functional import cross_entropy

from tlnlp.acceleration.packed_rows import describe_packing
from tlnlp.acceleration.padding_free import ATTENTION, PaddingFree

SIZE = dict(
    vocab_size=50, hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32,
    max_position_embeddings=40, pad_token_id=0, num_labels=3,
)  # fmt: skip
CONFIGS = {
    "bert": transformers.BertConfig(**SIZE, hidden_dropout_prob=0, attention_probs_dropout_prob=0),
    "roberta": transformers.RobertaConfig(**SIZE, hidden_dropout_prob=0, attention_probs_dropout_prob=0),
    "distilbert": transformers.DistilBertConfig(
        vocab_size=50, dim=16, n_layers=3, n_heads=2, hidden_dim=32, num_labels=3, dropout=0,
        attention_dropout=0, seq_classif_dropout=0,
    ),
    "modernbert": transformers.ModernBertConfig(**SIZE, classifier_pooling="mean", bos_token_id=1, eos_token_id=2),
    "modernbert, first token": transformers.ModernBertConfig(**SIZE, classifier_pooling="cls", bos_token_id=1),
    "gpt2": transformers.GPT2Config(
        vocab_size=50, n_embd=16, n_layer=3, n_head=2, n_positions=40, num_labels=3, pad_token_id=0, bos_token_id=1,
        eos_token_id=2, embd_pdrop=0, attn_pdrop=0, resid_pdrop=0,
    ),
    # grouped queries: fewer keys than queries
    "llama": transformers.LlamaConfig(
        **{**SIZE, "num_attention_heads": 4}, num_key_value_heads=1, bos_token_id=1, eos_token_id=2,
    ),
}  # fmt: skip
if hasattr(transformers, "EuroBertConfig"):  # not in the oldest release
    CONFIGS["eurobert"] = transformers.EuroBertConfig(
        **{**SIZE, "num_attention_heads": 4}, num_key_value_heads=2, bos_token_id=1, eos_token_id=2, mask_token_id=3
    )
# Only where the attention block holds its own residual can the last layer's feed-forward part be spared.
FIRSTS_ONLY = {"bert", "roberta"}


def build(config: Any) -> Any:
    torch.manual_seed(0)
    return transformers.AutoModelForSequenceClassification.from_config(copy.deepcopy(config)).double().eval()


def batch_of(lengths: list[int]) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(1)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    ids = torch.randint(3, 50, mask.shape, generator=draw) * mask
    return {"input_ids": ids, "attention_mask": mask.long()}


def ask(batch: dict[str, torch.Tensor]) -> Any:
    return lambda model: model(**batch).logits


def logits_and_gradients(model: Any, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    model.zero_grad()
    logits = model(**batch).logits
    cross_entropy(logits, torch.arange(len(logits)) % 3).backward()
    return logits.detach(), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("lengths", [[3, 9, 2, 9, 17], [5, 4], [12, 12, 12, 1]])
def test_packed_layers_give_the_logits_and_gradients_of_padded_ones(name: str, lengths: list[int]) -> None:
    model, batch = build(CONFIGS[name]), batch_of(lengths)
    expected_logits, expected = logits_and_gradients(model, batch)
    packing = PaddingFree.install(model, ask(batch_of([4, 7, 2])))
    assert packing is not None
    assert packing.firsts_only == (name in FIRSTS_ONLY)
    logits, gradients = logits_and_gradients(model, batch)
    torch.testing.assert_close(logits, expected_logits, rtol=1e-9, atol=1e-12)
    assert gradients.keys() == expected.keys()
    for parameter, gradient in gradients.items():
        torch.testing.assert_close(gradient, expected[parameter], rtol=1e-9, atol=1e-12, msg=parameter)


def test_layers_see_real_tokens_only() -> None:
    model = build(CONFIGS["bert"])
    PaddingFree.install(model, ask(batch_of([4, 7, 2])))
    seen: list[torch.Size] = []
    for layer in model.bert.encoder.layer:
        layer.intermediate.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].shape))
    model(**batch_of([3, 9, 2, 9, 17]))
    # 40 tokens, filled up to 64, of 85 places; in the last layer the five that are read
    assert seen == [(1, 64, 16), (1, 64, 16), (1, 5, 16)]


def test_a_batch_without_padding_runs_as_it_always_did() -> None:
    assert describe_packing(torch.ones(3, 5, dtype=torch.long)) is None
    model, batch = build(CONFIGS["bert"]), batch_of([6, 6])
    expected = model(**batch).logits
    PaddingFree.install(model, ask(batch_of([4, 7, 2])))
    torch.testing.assert_close(model(**batch).logits, expected, rtol=1e-9, atol=1e-12)


def test_padding_on_the_left_packs_as_well() -> None:
    model, batch = build(CONFIGS["modernbert"]), batch_of([3, 8, 5])
    left = {name: value.flip(1) for name, value in batch.items()}
    expected = model(**left).logits
    assert PaddingFree.install(model, ask(batch_of([4, 7, 2]))) is not None
    torch.testing.assert_close(model(**left).logits, expected, rtol=1e-9, atol=1e-12)


def test_rows_longer_than_an_attention_window_are_the_same() -> None:
    config = transformers.ModernBertConfig(**SIZE, local_attention=8, global_attn_every_n_layers=2, bos_token_id=1)
    model, batch = build(config), batch_of([30, 4, 21])
    expected = model(**batch).logits
    packing = PaddingFree.install(
        model, ask(batch_of([4, 3, 2]))
    )  # within the window, so that this alone would not show it
    assert packing is not None
    assert packing.window == 5
    torch.testing.assert_close(model(**batch).logits, expected, rtol=1e-9, atol=1e-12)
    assert packing.places(np.array([30, 4, 21])) == 90
    assert packing.places(np.array([4, 3, 2])) == 32


@pytest.mark.parametrize("lengths", [[3, 9, 2, 9, 17], [5, 4], [100, 3], [300] * 9 + [2]])
def test_the_places_that_are_counted_are_those_that_layers_compute(lengths: list[int]) -> None:
    config = copy.deepcopy(CONFIGS["bert"])
    config.max_position_embeddings = 512
    model = build(config)
    packing = PaddingFree.install(model, ask(batch_of([4, 7, 2])))
    assert packing is not None
    computed: list[int] = []
    model.bert.encoder.layer[0].intermediate.register_forward_hook(lambda m, i, o: computed.append(i[0].shape[1]))
    model(**batch_of(lengths))
    assert computed == [packing.places(np.array(lengths))]


def test_a_network_that_packing_does_not_suit_is_left_as_it_was() -> None:
    model, batch = build(CONFIGS["bert"]), batch_of([3, 9, 2])
    expected = model(**batch).logits
    model.bert.encoder.layer[1].register_forward_hook(lambda module, inputs, output: output + output.mean(1, True))
    changed = model(**batch).logits
    assert not torch.allclose(expected, changed)
    assert PaddingFree.install(model, ask(batch)) is None
    torch.testing.assert_close(model(**batch).logits, changed)
    assert model.config._attn_implementation == "sdpa"


def test_nothing_of_it_is_saved(tmp_path: Any) -> None:
    model = build(CONFIGS["bert"]).float()
    PaddingFree.install(model, ask(batch_of([4, 7, 2])))
    model.save_pretrained(tmp_path)
    assert ATTENTION not in (tmp_path / "config.json").read_text()


@pytest.mark.skipif(
    not transformers.LayoutLMModel._supports_sdpa, reason="this release of transformers has one attention for LayoutLM"
)
def test_attention_that_does_not_say_its_direction_is_not_packed_however_small_the_weights() -> None:
    """LayoutLM is bidirectional by its mask alone. With new weights all outputs are small, and a wrong direction of
    attention changes them little."""
    model = build(transformers.LayoutLMConfig(**SIZE, hidden_dropout_prob=0, attention_probs_dropout_prob=0))
    reasons: list[str] = []
    assert PaddingFree.install(model, ask(batch_of([4, 7, 2])), reasons.append) is None
    assert "does not say whether it is causal" in reasons[0]


def test_masks_with_a_bias_for_each_key_are_not_dropped() -> None:
    """However small it is: with other weights it may be large."""
    model = build(CONFIGS["bert"])

    def add_bias(layer: Any, arguments: Any, named: dict[str, Any]) -> Any:
        states, mask, *others = arguments
        biased = torch.full(mask.shape, 1e-9, dtype=states.dtype).masked_fill(~mask, torch.finfo(states.dtype).min)
        return (states, biased, *others), named

    for layer in model.bert.encoder.layer:
        layer.register_forward_pre_hook(add_bias, with_kwargs=True)
    reasons: list[str] = []
    assert PaddingFree.install(model, ask(batch_of([4, 7, 2])), reasons.append) is None
    assert "bias" in reasons[0]


def test_why_a_network_runs_padded_is_said() -> None:
    config = transformers.DebertaV2Config(
        **{**SIZE, "type_vocab_size": 0}, relative_attention=True, pos_att_type=["p2c"]
    )
    reasons: list[str] = []
    assert PaddingFree.install(build(config), ask(batch_of([4, 7, 2])), reasons.append) is None
    assert reasons == ["the attention of a deberta-v2 cannot be replaced (eager)"]
