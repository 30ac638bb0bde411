"""Small tokenizers of each kind that checkpoints on the Hub have: algorithm, special tokens, template, padding side."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from tests.recipe_runs import ROOT

VOCABULARY = 500
# A few lines of each sample, so that every head's rows have tokens.
SAMPLES, LINES = ("reviews", "paraphrase", "passages", "choices", "entities"), 120


@functools.cache
def texts() -> tuple[str, ...]:
    """Sentences to learn the vocabularies from."""
    found: list[str] = []
    for name in SAMPLES:
        path = ROOT / "tlnlp" / "bundled" / "samples" / name / "train.jsonl"
        for line in path.read_text().splitlines()[:LINES]:
            for value in json.loads(line).values():
                is_words = isinstance(value, list) and value and isinstance(value[0], str)
                found += [value] if isinstance(value, str) else [" ".join(value)] if is_words else []
    return tuple(found)


@dataclass(frozen=True)
class TokenizerKind:
    """A tokenizer as a family of checkpoints has it.

    Args:
        build: trains it; None for characters, which have no file.
        class_name: `tokenizer_class` of its configuration.
        special: the rest of its configuration: special tokens, padding side, model inputs.
        max_length: `model_max_length`.
    """

    build: Callable[[], Tokenizer] | None
    class_name: str
    special: dict[str, Any] = field(default_factory=dict)
    max_length: int = 512

    def write(self, folder: Path) -> Tokenizer | None:
        """Writes its files to `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        config = {"tokenizer_class": self.class_name, "model_max_length": self.max_length, **self.special}
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
        names = {name: value for name, value in self.special.items() if name.endswith("_token")}
        (folder / "special_tokens_map.json").write_text(json.dumps({n: v for n, v in names.items() if v}))
        if self.build is None:
            return None
        tokenizer = self.build()
        tokenizer.save(str(folder / "tokenizer.json"))
        return tokenizer


def _template(tokenizer: Tokenizer, single: str, pair: str) -> None:
    names = {word.partition(":")[0] for word in f"{single} {pair}".split() if not word.startswith("$")}
    ids = [(name, tokenizer.token_to_id(name)) for name in sorted(names)]
    tokenizer.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=ids)


@functools.cache
def wordpiece(special: Sequence[str], unknown: str, single: str, pair: str) -> Tokenizer:
    """BERT's."""
    tokenizer = Tokenizer(models.WordPiece(unk_token=unknown))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=VOCABULARY, special_tokens=list(special), show_progress=False)
    tokenizer.train_from_iterator(texts(), trainer)
    _template(tokenizer, single, pair)
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


@functools.cache
def byte_level(special: Sequence[str], last: Sequence[str] = (), single: str = "", pair: str = "") -> Tokenizer:
    """GPT-2's, with special tokens at the beginning or at the end of the vocabulary."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=list(special), show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator(texts(), trainer)
    tokenizer.add_special_tokens(list(last))
    tokenizer.decoder = decoders.ByteLevel()
    if single:
        _template(tokenizer, single, pair)
    else:
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


@functools.cache
def roberta_bytes() -> Tokenizer:
    """RoBERTa's: GPT-2's with BERT's kind of special tokens."""
    tokenizer = Tokenizer.from_str(byte_level(("<s>", "<pad>", "</s>", "<unk>"), ("<mask>",)).to_str())
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return tokenizer


@functools.cache
def unigram(special: Sequence[str], unknown: str, single: str, pair: str, last: Sequence[str] = ()) -> Tokenizer:
    """Sentencepiece's unigram model: XLM-R, ALBERT, T5, XLNet."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=VOCABULARY, special_tokens=list(special), unk_token=unknown, show_progress=False
    )
    tokenizer.train_from_iterator(texts(), trainer)
    tokenizer.add_special_tokens(list(last))
    _template(tokenizer, single, pair)
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


@functools.cache
def sentencepiece_bpe(special: Sequence[str], start: str, *, blank_in_front: bool) -> Tokenizer:
    """Llama's (a blank before the first word) and Gemma's (none), with single bytes for what is unknown."""
    single_bytes = [f"<0x{number:02X}>" for number in range(256)]
    of_words = Tokenizer(models.BPE(unk_token="<unk>"))
    of_words.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=256 + VOCABULARY, special_tokens=[*special, *single_bytes], show_progress=False
    )
    of_words.train_from_iterator(texts(), trainer)
    learnt = json.loads(of_words.to_str())["model"]
    merges = [tuple(each) for each in learnt["merges"]]
    tokenizer = Tokenizer(models.BPE(learnt["vocab"], merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    blank = normalizers.Replace(" ", "▁")
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), blank]) if blank_in_front else blank
    tokenizer.add_special_tokens(list(special))
    _template(tokenizer, f"{start}:0 $A:0", f"{start}:0 $A:0 {start}:1 $B:1")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return tokenizer


@functools.cache
def openai_bpe() -> Tokenizer:
    """The first GPT's: the end of a word is part of its last token; no special tokens but one."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=["<unk>"], end_of_word_suffix="</w>", show_progress=False
    )
    tokenizer.train_from_iterator(texts(), trainer)
    tokenizer.decoder = decoders.BPEDecoder(suffix="</w>")
    return tokenizer


# --- the families

_BRACKETS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_BERT_NAMES = dict(
    zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), _BRACKETS, strict=True), do_lower_case=True
)
_BERT_TEMPLATE = ("[CLS]:0 $A:0 [SEP]:0", "[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1")
_ROBERTA_NAMES = {
    "bos_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "cls_token": "<s>", "unk_token": "<unk>",
    "pad_token": "<pad>", "mask_token": "<mask>",
}  # fmt: skip
_ROBERTA_TEMPLATE = ("<s> $A </s>", "<s> $A </s> </s> $B </s>")
_TEXT_INPUTS = {"model_input_names": ["input_ids", "attention_mask"]}
_END = "<|endoftext|>"


def bert(class_name: str = "BertTokenizer", max_length: int = 512, **special: Any) -> TokenizerKind:
    """Lower-case WordPiece, [CLS] and [SEP], token types."""
    build = functools.partial(wordpiece, _BRACKETS, "[UNK]", *_BERT_TEMPLATE)
    return TokenizerKind(build, class_name, {**_BERT_NAMES, **special}, max_length)


def funnel() -> TokenizerKind:
    """Funnel's: lower-case special tokens; its first token has a type of its own."""
    special = ("<pad>", "<unk>", "<cls>", "<sep>", "<mask>")
    template = ("<cls>:2 $A:0 <sep>:0", "<cls>:2 $A:0 <sep>:0 $B:1 <sep>:1")
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "sep_token": "<sep>", "pad_token": "<pad>",
             "cls_token": "<cls>", "mask_token": "<mask>", "do_lower_case": True}  # fmt: skip
    return TokenizerKind(functools.partial(wordpiece, special, "<unk>", *template), "FunnelTokenizer", names)


def mpnet() -> TokenizerKind:
    """MPNet's: WordPiece with RoBERTa's special tokens, and two between texts."""
    special = ("<s>", "<pad>", "</s>", "<unk>", "[UNK]", "<mask>")
    names = {**_ROBERTA_NAMES, "unk_token": "[UNK]", "do_lower_case": True}
    build = functools.partial(wordpiece, special, "[UNK]", *_ROBERTA_TEMPLATE)
    return TokenizerKind(build, "MPNetTokenizer", names)


def roberta(class_name: str = "RobertaTokenizer", max_length: int = 512) -> TokenizerKind:
    """Byte-level, no token types."""
    return TokenizerKind(roberta_bytes, class_name, _ROBERTA_NAMES, max_length)


def xlm_roberta() -> TokenizerKind:
    """Unigram with RoBERTa's special tokens."""
    special = ("<s>", "<pad>", "</s>", "<unk>")
    build = functools.partial(unigram, special, "<unk>", *_ROBERTA_TEMPLATE, ("<mask>",))
    return TokenizerKind(build, "XLMRobertaTokenizer", _ROBERTA_NAMES)


def camembert() -> TokenizerKind:
    """The same with unused tokens in front, so that the ids differ."""
    special = ("<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED", "<s>", "</s>")
    build = functools.partial(unigram, special, "<unk>", *_ROBERTA_TEMPLATE, ("<mask>",))
    names = {**_ROBERTA_NAMES, "additional_special_tokens": ["<s>NOTUSED", "</s>NOTUSED"]}
    return TokenizerKind(build, "CamembertTokenizer", names)


def albert(class_name: str = "AlbertTokenizer", special: Sequence[str] = (), **names: Any) -> TokenizerKind:
    """Unigram with BERT's special tokens."""
    special = tuple(special) or ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")
    unknown = "[UNK]" if "[UNK]" in special else "<unk>"
    names = {"unk_token": unknown, "sep_token": "[SEP]", "pad_token": special[0], "cls_token": "[CLS]",
             "mask_token": "[MASK]", **names}  # fmt: skip
    max_length = names.pop("max_length", 512)
    last = () if "[MASK]" in special else ("[MASK]",)
    build = functools.partial(unigram, special, unknown, *_BERT_TEMPLATE, last)
    return TokenizerKind(build, class_name, names, max_length)


def deberta() -> TokenizerKind:
    """The first DeBERTa's: byte-level with BERT's special tokens."""
    build = functools.partial(byte_level, ("[PAD]", "[CLS]", "[SEP]", "[UNK]"), ("[MASK]",), *_BERT_TEMPLATE)
    names = {"bos_token": "[CLS]", "eos_token": "[SEP]", "unk_token": "[UNK]", "sep_token": "[SEP]",
             "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]", "vocab_type": "gpt2"}  # fmt: skip
    return TokenizerKind(build, "DebertaTokenizer", names)


def xlnet() -> TokenizerKind:
    """XLNet's: special tokens behind the text, padding before it."""
    special = ("<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>", "<mask>", "<eod>", "<eop>")
    template = ("$A:0 <sep>:0 <cls>:2", "$A:0 <sep>:0 $B:1 <sep>:1 <cls>:2")
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "sep_token": "<sep>", "pad_token": "<pad>",
             "cls_token": "<cls>", "mask_token": "<mask>", "padding_side": "left"}  # fmt: skip
    return TokenizerKind(functools.partial(unigram, special, "<unk>", *template), "XLNetTokenizer", names)


def t5() -> TokenizerKind:
    """T5's: an end token, sentinels at the end of the vocabulary."""
    sentinels = tuple(f"<extra_id_{number}>" for number in range(9, -1, -1))
    template = ("$A </s>", "$A </s> $B </s>")
    build = functools.partial(unigram, ("<pad>", "</s>", "<unk>"), "<unk>", *template, sentinels)
    names = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>", "extra_ids": 10,
             "additional_special_tokens": list(reversed(sentinels))}  # fmt: skip
    return TokenizerKind(build, "T5Tokenizer", names)


def modernbert() -> TokenizerKind:
    """ModernBERT's: byte-level, BERT's special tokens at the end."""
    template = ("[CLS]:0 $A:0 [SEP]:0", "[CLS]:0 $A:0 [SEP]:0 $B:0 [SEP]:0")
    last = ("[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]")
    build = functools.partial(byte_level, ("<|padding|>", _END), last, *template)
    names = {name: value for name, value in _BERT_NAMES.items() if name != "do_lower_case"}
    return TokenizerKind(build, "PreTrainedTokenizerFast", {**names, **_TEXT_INPUTS}, 8192)


def eurobert() -> TokenizerKind:
    """EuroBERT's: Llama 3's with a mask and a pad token."""
    start, end = "<|begin_of_text|>", "<|end_of_text|>"
    last = (start, end, "<|pad|>", "<|mask|>")
    build = functools.partial(byte_level, (), last, f"{start} $A {end}", f"{start} $A {end} $B {end}")
    names = {"bos_token": start, "eos_token": end, "pad_token": "<|pad|>", "mask_token": "<|mask|>", **_TEXT_INPUTS}
    return TokenizerKind(build, "PreTrainedTokenizerFast", names, 8192)


def gpt2(class_name: str = "GPT2Tokenizer", max_length: int = 1024) -> TokenizerKind:
    """Byte-level, one special token, no pad token."""
    names = dict.fromkeys(("bos_token", "eos_token", "unk_token"), _END)
    return TokenizerKind(functools.partial(byte_level, (), (_END,)), class_name, names, max_length)


def gpt_neox(class_name: str = "GPTNeoXTokenizer", max_length: int = 2048) -> TokenizerKind:
    """The same with the special tokens first."""
    names = dict.fromkeys(("bos_token", "eos_token", "unk_token"), _END)
    return TokenizerKind(functools.partial(byte_level, (_END, "<|padding|>")), class_name, names, max_length)


def falcon() -> TokenizerKind:
    """One special token, first, without a start token."""
    names = {"eos_token": _END, **_TEXT_INPUTS}
    return TokenizerKind(functools.partial(byte_level, (_END,)), "PreTrainedTokenizerFast", names, 2048)


def openai_gpt() -> TokenizerKind:
    """No pad token, no end token."""
    return TokenizerKind(openai_bpe, "OpenAIGPTTokenizer", {"unk_token": "<unk>"})


def opt() -> TokenizerKind:
    """OPT's: </s> in front of each text."""
    build = functools.partial(byte_level, ("<s>", "<pad>", "</s>", "<unk>"), (), "</s> $A", "</s> $A </s> $B")
    names = {"bos_token": "</s>", "eos_token": "</s>", "unk_token": "</s>", "pad_token": "<pad>", "add_bos_token": True}
    return TokenizerKind(build, "GPT2Tokenizer", names, 2048)


def bloom() -> TokenizerKind:
    """Byte-level with a pad token, on the left."""
    names = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>",
             "padding_side": "left"}  # fmt: skip
    build = functools.partial(byte_level, ("<unk>", "<s>", "</s>", "<pad>"))
    return TokenizerKind(build, "BloomTokenizerFast", names, 2048)


def llama(max_length: int = 2048, **more: Any) -> TokenizerKind:
    """Llama 2's and Mistral's: sentencepiece, a start token, no pad token."""
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "add_bos_token": True,
             "add_eos_token": False, **more}  # fmt: skip
    build = functools.partial(sentencepiece_bpe, ("<unk>", "<s>", "</s>"), "<s>", blank_in_front=True)
    return TokenizerKind(build, "LlamaTokenizer", names, max_length)


def llama3() -> TokenizerKind:
    """Llama 3's: byte-level, a start token, no pad token."""
    start, end = "<|begin_of_text|>", "<|end_of_text|>"
    build = functools.partial(byte_level, (), (start, end, "<|eot_id|>"), f"{start} $A", f"{start} $A {start} $B")
    names = {"bos_token": start, "eos_token": end, **_TEXT_INPUTS}
    return TokenizerKind(build, "PreTrainedTokenizerFast", names, 131072)


def qwen(end: str = _END, max_length: int = 32768) -> TokenizerKind:
    """Qwen's: byte-level, no start token."""
    build = functools.partial(byte_level, (), (_END, "<|im_start|>", "<|im_end|>"))
    names = {"eos_token": end, "pad_token": _END, "bos_token": None}
    return TokenizerKind(build, "Qwen2Tokenizer", names, max_length)


def smollm3() -> TokenizerKind:
    """Neither a start nor a pad token."""
    build = functools.partial(byte_level, (), ("<|begin_of_text|>", "<|end_of_text|>", "<|im_start|>", "<|im_end|>"))
    names = {"eos_token": "<|im_end|>", "bos_token": None, **_TEXT_INPUTS}
    return TokenizerKind(build, "PreTrainedTokenizerFast", names, 131072)


def gemma() -> TokenizerKind:
    """Gemma's: sentencepiece, a start token, a pad token on the left."""
    special = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>")
    build = functools.partial(sentencepiece_bpe, special, "<bos>", blank_in_front=False)
    names = {"bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>", "pad_token": "<pad>",
             "padding_side": "left", "add_bos_token": True, "add_eos_token": False}  # fmt: skip
    return TokenizerKind(build, "GemmaTokenizer", names, 10**30)


def characters() -> TokenizerKind:
    """CANINE's: code points."""
    return TokenizerKind(None, "CanineTokenizer", {}, 2048)
