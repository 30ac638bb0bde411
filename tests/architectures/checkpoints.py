"""Tiny random checkpoints of many architectures, as the Hub has them: kind of tokenizer, special tokens, class of the
saved network with its language-model head, tied or untied embeddings.

Weights are large enough that a wrong layer shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

from tests.architectures import tokenizer_kinds as kinds
from tests.architectures.tokenizer_kinds import TokenizerKind

# Standard deviation of the matrices: with a tiny initialisation a network hardly depends on its layers.
LIVELY = 0.15


@dataclass(frozen=True)
class Architecture:
    """One architecture.

    Args:
        model_class: the class of the saved network.
        tokenizer: its kind.
        config: what differs from the configuration's defaults.
        name: `model_type`, if it is not the name in `ARCHITECTURES`.
    """

    model_class: str
    tokenizer: TokenizerKind
    config: Mapping[str, Any]
    name: str = ""


def _of(model_class: str, tokenizer: TokenizerKind, name: str = "", **config: Any) -> Architecture:
    return Architecture(model_class, tokenizer, config, name)


_SIZE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
_ROBERTA = {**_SIZE, "max_position_embeddings": 514, "type_vocab_size": 1}
_GROUPED = {**_SIZE, "num_key_value_heads": 2}
_GEMMA = {**_GROUPED, "head_dim": 8, "max_position_embeddings": 8192}
_T5 = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 4, "num_decoder_layers": 4, "num_heads": 4,
       "decoder_start_token_id": 0}  # fmt: skip
_GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4}
_BART = {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
         "decoder_attention_heads": 4, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "max_position_embeddings": 1024,
         "decoder_start_token_id": 2, "forced_eos_token_id": 2, "is_encoder_decoder": True}  # fmt: skip
_DEBERTA = {**_SIZE, "type_vocab_size": 0, "relative_attention": True, "position_biased_input": False,
            "max_relative_positions": -1}  # fmt: skip

ENCODERS = {
    "bert": _of("BertForMaskedLM", kinds.bert(), **_SIZE),
    "distilbert": _of("DistilBertForMaskedLM", kinds.bert("DistilBertTokenizer"), dim=32, n_layers=2, n_heads=4,
                      hidden_dim=64),
    "electra": _of("ElectraForPreTraining", kinds.bert("ElectraTokenizer"), embedding_size=16, **_SIZE),
    "mobilebert": _of("MobileBertForPreTraining", kinds.bert("MobileBertTokenizer"),
                      **{**_SIZE, "intermediate_size": 32}, embedding_size=16, intra_bottleneck_size=16,
                      true_hidden_size=16, num_feedforward_networks=2),
    "squeezebert": _of("SqueezeBertForMaskedLM", kinds.bert("SqueezeBertTokenizer"), embedding_size=32, q_groups=2,
                       k_groups=2, v_groups=2, post_attention_groups=1, intermediate_groups=2, output_groups=2,
                       **_SIZE),
    "convbert": _of("ConvBertForMaskedLM", kinds.bert("ConvBertTokenizer"), embedding_size=16, head_ratio=2,
                    conv_kernel_size=3, **_SIZE),
    "roformer": _of("RoFormerForMaskedLM", kinds.bert(), embedding_size=32, max_position_embeddings=512, **_SIZE),
    "ernie": _of("ErnieForPreTraining", kinds.bert(), **_SIZE),
    "nomic_bert": _of("NomicBertForMaskedLM", kinds.bert(max_length=8192), max_position_embeddings=2048, **_SIZE),
    "layoutlm": _of("LayoutLMForMaskedLM", kinds.bert("LayoutLMTokenizer"), **_SIZE),
    "canine": _of("CanineModel", kinds.characters(), num_hash_buckets=64, local_transformer_stride=16,
                  num_hash_functions=4, downsampling_rate=4, upsampling_kernel_size=4, **_SIZE),
    "funnel": _of("FunnelForPreTraining", kinds.funnel(), block_sizes=[1, 1, 1], num_decoder_layers=1, d_model=32,
                  n_head=4, d_head=8, d_inner=64),
    "mpnet": _of("MPNetForMaskedLM", kinds.mpnet(), max_position_embeddings=514, **_SIZE),
    "roberta": _of("RobertaForMaskedLM", kinds.roberta(), **_ROBERTA),
    "data2vec-text": _of("Data2VecTextModel", kinds.roberta(), **_ROBERTA),
    "longformer": _of("LongformerForMaskedLM", kinds.roberta("LongformerTokenizer", 4096),
                      **{**_ROBERTA, "max_position_embeddings": 4098}, attention_window=[16, 16], sep_token_id=2),
    "deberta": _of("DebertaForMaskedLM", kinds.deberta(), **_DEBERTA, pos_att_type=["c2p", "p2c"]),
    "deberta-v2": _of("DebertaV2ForMaskedLM",
                      kinds.albert("DebertaV2Tokenizer", ("[PAD]", "[CLS]", "[SEP]", "[UNK]"), bos_token="[CLS]",
                                   eos_token="[SEP]", vocab_type="spm"),
                      **_DEBERTA, pos_att_type=["p2c", "c2p"], position_buckets=256, norm_rel_ebd="layer_norm",
                      share_att_key=True),
    "xlm-roberta": _of("XLMRobertaForMaskedLM", kinds.xlm_roberta(), **_ROBERTA),
    "xlm-roberta-xl": _of("XLMRobertaXLForMaskedLM", kinds.xlm_roberta(), **_ROBERTA),
    "camembert": _of("CamembertForMaskedLM", kinds.camembert(), **_ROBERTA),
    "albert": _of("AlbertForPreTraining", kinds.albert(bos_token="[CLS]", eos_token="[SEP]"), embedding_size=16,
                  **_SIZE),
    "big_bird": _of("BigBirdForPreTraining",
                    kinds.albert("BigBirdTokenizer", ("<pad>", "</s>", "<s>", "<unk>", "[CLS]", "[SEP]", "[MASK]"),
                                 bos_token="<s>", eos_token="</s>", max_length=4096),
                    max_position_embeddings=4096, attention_type="block_sparse", block_size=16, num_random_blocks=2,
                    sep_token_id=5, **_SIZE),
    "rembert": _of("RemBertForMaskedLM",
                   kinds.albert("RemBertTokenizer", ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")),
                   input_embedding_size=16, output_embedding_size=48, **_SIZE),
    "xlnet": _of("XLNetLMHeadModel", kinds.xlnet(), d_model=32, n_layer=2, n_head=4, d_inner=64),
    "modernbert": _of("ModernBertForMaskedLM", kinds.modernbert(), **{**_SIZE, "intermediate_size": 48},
                      max_position_embeddings=8192, local_attention=16, global_attn_every_n_layers=2),
    "eurobert": _of("EuroBertForMaskedLM", kinds.eurobert(), max_position_embeddings=8192, **_GROUPED),
    "fnet": _of("FNetForMaskedLM", kinds.albert(model_input_names=["input_ids", "token_type_ids"]), hidden_size=32,
                num_hidden_layers=2, intermediate_size=64, type_vocab_size=4),
}  # fmt: skip
# A stack of layers whose parts stand in parallel lists; tokenizers of their own would want a package.
ENCODERS["xlm"] = _of("XLMWithLMHeadModel", kinds.bert(), emb_dim=32, n_layers=2, n_heads=4)
ENCODERS["flaubert"] = _of("FlaubertWithLMHeadModel", kinds.bert(), emb_dim=32, n_layers=2, n_heads=4, pre_norm=True)
ENCODER_DECODERS = {
    "t5": _of("T5ForConditionalGeneration", kinds.t5(), **_T5),
    "mt5": _of("MT5ForConditionalGeneration", kinds.t5(), feed_forward_proj="gated-gelu", tie_word_embeddings=False,
               **_T5),
    "bart": _of("BartForConditionalGeneration", kinds.roberta("BartTokenizer", 1024), **_BART),
}  # fmt: skip
DECODERS = {
    "gpt2": _of("GPT2LMHeadModel", kinds.gpt2(), **_GPT2),
    "openai-gpt": _of("OpenAIGPTLMHeadModel", kinds.openai_gpt(), **_GPT2),
    "gpt_neo": _of("GPTNeoForCausalLM", kinds.gpt2(max_length=2048), hidden_size=32, num_layers=2, num_heads=4,
                   attention_types=[[["global", "local"], 1]], window_size=16),
    "gpt_neox": _of("GPTNeoXForCausalLM", kinds.gpt_neox(), rotary_pct=0.5, tie_word_embeddings=False, **_SIZE),
    "gpt_bigcode": _of("GPTBigCodeForCausalLM", kinds.gpt2(), **_GPT2),
    "opt": _of("OPTForCausalLM", kinds.opt(), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, ffn_dim=64,
               word_embed_proj_dim=32, max_position_embeddings=2048),
    "bloom": _of("BloomForCausalLM", kinds.bloom(), hidden_size=32, n_layer=2, n_head=4),
    "llama": _of("LlamaForCausalLM", kinds.llama(), max_position_embeddings=2048, **_GROUPED),
    "llama3": _of("LlamaForCausalLM", kinds.llama3(), "llama", max_position_embeddings=131072,
                  tie_word_embeddings=True, **_GROUPED),
    "mistral": _of("MistralForCausalLM", kinds.llama(10**30), max_position_embeddings=32768, sliding_window=4096,
                   **_GROUPED),
    "qwen2": _of("Qwen2ForCausalLM", kinds.qwen(), max_position_embeddings=32768, tie_word_embeddings=True, **_GROUPED),
    "qwen3": _of("Qwen3ForCausalLM", kinds.qwen("<|im_end|>", 131072), head_dim=8, max_position_embeddings=40960,
                 tie_word_embeddings=True, **_GROUPED),
    "gemma": _of("GemmaForCausalLM", kinds.gemma(), **_GEMMA),
    "gemma2": _of("Gemma2ForCausalLM", kinds.gemma(), sliding_window=16, **_GEMMA),
    "gemma3_text": _of("Gemma3ForCausalLM", kinds.gemma(), sliding_window=16, **_GEMMA),
    "phi": _of("PhiForCausalLM", kinds.gpt2("CodeGenTokenizer", 2048), max_position_embeddings=2048, **_SIZE),
    "phi3": _of("Phi3ForCausalLM", kinds.llama(4096, pad_token="</s>"), max_position_embeddings=4096, **_SIZE),
    "smollm3": _of("SmolLM3ForCausalLM", kinds.smollm3(), max_position_embeddings=32768, tie_word_embeddings=True,
                   **_GROUPED),
    "stablelm": _of("StableLmForCausalLM", kinds.gpt_neox(), **_GROUPED),
    "falcon": _of("FalconForCausalLM", kinds.falcon(), hidden_size=32, num_hidden_layers=2, num_attention_heads=4),
    "mamba": _of("MambaForCausalLM", kinds.gpt_neox(max_length=10**30), hidden_size=32, num_hidden_layers=2,
                 state_size=4),
}  # fmt: skip
# Those that the installed release of transformers has.
ARCHITECTURES = {
    name: architecture
    for name, architecture in {**ENCODERS, **ENCODER_DECODERS, **DECODERS}.items()
    if hasattr(transformers, architecture.model_class)
}


def build(name: str, folder: Path) -> Path:
    """Writes the checkpoint to `folder`, without dropout."""
    architecture = ARCHITECTURES[name]
    tokenizer = architecture.tokenizer.write(folder)
    given: dict[str, Any] = {}
    if tokenizer is not None:
        given["vocab_size"] = -(-tokenizer.get_vocab_size() // 8) * 8  # a multiple of 8, as on the Hub
        for role in ("bos", "eos", "pad", "cls", "sep", "mask"):
            token = architecture.tokenizer.special.get(f"{role}_token")
            # The defaults are ids of the real vocabulary.
            given[f"{role}_token_id"] = None if token is None else tokenizer.token_to_id(token)
    config = transformers.AutoConfig.for_model(architecture.name or name, **{**given, **architecture.config})
    _remove_dropout(config)
    torch.manual_seed(0)
    network = getattr(transformers, architecture.model_class)(config)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=LIVELY)
        for module in network.modules():
            if isinstance(module, torch.nn.Embedding) and module.padding_idx is not None:
                module.weight[module.padding_idx] = 0
    network.save_pretrained(folder)
    return folder


def _remove_dropout(config: Any) -> None:
    for key, value in config.to_dict().items():
        if "drop" in key and isinstance(value, int | float) and not isinstance(value, bool):
            setattr(config, key, 0.0)
    # None and no such entry stand for a default above zero.
    for key in ("classifier_dropout", "classifier_dropout_prob", "attention_dropout"):
        if not isinstance(getattr(config, key, None), bool):
            setattr(config, key, 0.0)
