"""The piece table cut to the pieces that occur: nothing is learnt otherwise than with the whole table."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from tlnlp.acceleration.embedding_pruning import PrunedEmbedding, pieces_used
from tlnlp.training.optimizer import build_optimizer
from tlnlp.transfer.groups import layer_groups

BERT = transformers.BertConfig(
    vocab_size=60, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, pad_token_id=0,
    max_position_embeddings=20,
)  # fmt: skip
ROBERTA = transformers.RobertaConfig(**{**BERT.to_dict(), "model_type": "roberta", "pad_token_id": 1})


def build(config: Any) -> Any:
    torch.manual_seed(0)
    return transformers.AutoModelForSequenceClassification.from_config(config).eval()


def take_updates(model: Any, ids: torch.Tensor, groups: Any) -> None:
    optimizer = build_optimizer(model, groups, weight_decay=0.1)
    for group in optimizer.param_groups:
        group["lr"] = 1e-2
    for _ in range(5):
        model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.square().sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize("config", [BERT, ROBERTA], ids=["bert", "roberta"])
def test_a_cut_table_learns_what_the_whole_one_learns(config: Any) -> None:
    ids = torch.tensor([[2, 7, 30, 3], [2, 59, 7, 3]])
    whole = build(config).double()
    cut = copy.deepcopy(whole)
    groups = layer_groups(whole)
    compact = PrunedEmbedding.install(cut, pieces_used(ids.numpy().ravel(), always=[0]))
    assert compact is not None
    assert cut.get_input_embeddings().weight.shape[0] < 10
    take_updates(whole, ids, groups)
    take_updates(cut, ids, groups)
    compact.restore()
    assert cut.get_input_embeddings().num_embeddings == 60
    for (name, expected), (_, found) in zip(whole.named_parameters(), cut.named_parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12, msg=name)


def test_pieces_that_do_not_occur_come_back_to_the_bit() -> None:
    model = build(BERT)
    before = model.get_input_embeddings().weight.detach().clone()
    used = np.asarray([0, 2, 3, 7])
    compact = PrunedEmbedding.install(model, used)
    assert compact is not None
    take_updates(model, torch.tensor([[2, 7, 3]]), layer_groups(build(BERT)))
    compact.restore()
    after = model.get_input_embeddings().weight
    others = np.setdiff1d(np.arange(60), used)
    assert torch.equal(after[others], before[others])
    assert not torch.equal(after[7], before[7])


def test_a_piece_that_was_not_named_is_an_error_and_no_silent_answer() -> None:
    model = build(BERT)
    PrunedEmbedding.install(model, np.asarray([0, 2, 3]))
    with pytest.raises(IndexError):
        model(input_ids=torch.tensor([[2, 9, 3]]))


def test_a_table_that_is_also_the_output_is_left_whole() -> None:
    model = transformers.BertForMaskedLM(BERT)
    assert PrunedEmbedding.install(model, np.asarray([0, 2, 3])) is None


def test_a_table_of_which_most_is_used_is_left_whole() -> None:
    assert PrunedEmbedding.install(build(BERT), np.arange(50)) is None


def test_a_table_of_an_encoder_and_a_decoder_is_cut_in_both_and_learns() -> None:
    """They read the matrix by several names: once, one of them was cut, and the others kept reading the old one."""
    config = transformers.T5Config(
        vocab_size=60, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2, decoder_start_token_id=0, dropout_rate=0
    )
    ids = torch.tensor([[2, 7, 30, 1], [2, 59, 7, 1]])
    whole = build(config).double()
    cut = copy.deepcopy(whole)
    groups = layer_groups(whole, lambda network: network(input_ids=ids))
    used = pieces_used(ids.numpy().ravel(), always=[0])
    compact = PrunedEmbedding.install(cut, used, lambda network: network(input_ids=ids).logits)
    assert compact is not None
    assert len(compact.tables) > 1
    before = whole.get_input_embeddings().weight.detach().clone()
    take_updates(whole, ids, groups)
    take_updates(cut, ids, groups)
    compact.restore()
    assert not torch.equal(whole.get_input_embeddings().weight[7], before[7])
    for (name, expected), (_, found) in zip(whole.named_parameters(), cut.named_parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12, msg=name)


def test_a_network_that_reads_tokens_of_its_own_keeps_the_whole_table() -> None:
    model = build(BERT)
    before = model.get_input_embeddings().weight
    model.register_forward_pre_hook(
        lambda module, given, named: (given, {**named, "input_ids": named["input_ids"].clamp(max=40)}), with_kwargs=True
    )
    ids = torch.tensor([[2, 7, 50, 3]])  # 50 is read as 40, which no row has
    ask = lambda network: network(input_ids=ids, attention_mask=torch.ones_like(ids)).logits  # noqa: E731
    assert PrunedEmbedding.install(model, pieces_used(ids.numpy().ravel(), always=[0]), ask) is None
    assert torch.equal(model.get_input_embeddings().weight, before)
