"""Tiny networks of each architecture with a given head, and rows to read."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from tlnlp.data import Rows
from tlnlp.heads.encoded import EncodedDataset, model_inputs
from tlnlp.settings import Settings
from tlnlp.task import Columns, Data, Labels, Task

TEXTS = [
    "A film to see twice.",
    "It condescends to the farmers it claims to admire, and then it does so again and again for two hours.",
    "Dull.",
    "The story soon finds its feet and then it simply soars.",
    "Two hours of a man staring at a typewriter is not a portrait of an artist.",
    "I laughed once.",
    "The colour has been bleached out of everything.",
]
SECOND_TEXTS = [
    "Go.",
    "He admires farmers.",
    "It is not.",
    "Why?",
    "An artist types.",
    "Twice, in truth.",
    "It is grey.",
]
SETTINGS = Settings(max_length=62, max_tokens=620)
# The longest of `TEXTS` are several windows of one item.
IN_WINDOWS = Settings(max_length=12, max_tokens=620, windows="mean", window_overlap=4)


def as_rows(labels: Labels, values: list[Any] | None, *, pairs: bool = False) -> Rows:
    """`TEXTS` (and `SECOND_TEXTS`) with these labels."""
    columns: dict[str, list[Any]] = {"text": TEXTS}
    if pairs:
        columns["text_pair"] = SECOND_TEXTS
    if values is not None:
        columns["label"] = values
    return Rows(columns, "tests", np.arange(1, len(TEXTS) + 1), tuple(labels) if isinstance(labels, tuple) else None)


def as_task(head: Any, labels: Labels = None, **more: Any) -> Task:
    label = "label" if "label" in head.roles else None
    return Task("tests", Data(), Columns(text="text", label=label), head, labels, **more)


def as_words() -> Rows:
    """`TEXTS` cut into words, each with one of three tags."""
    words = [re.findall(r"\w+|[^\w\s]", text) for text in TEXTS]
    tags = [[(len(word) + place) % 3 for place, word in enumerate(row)] for row in words]
    return Rows({"words": words, "tags": tags}, "tests", np.arange(1, len(TEXTS) + 1), ("NOUN", "PUNCT", "VERB"))


def as_choices() -> Rows:
    """`TEXTS` with two, three or four of `SECOND_TEXTS` as endings."""
    count = len(SECOND_TEXTS)
    endings = [[SECOND_TEXTS[(row + k) % count] for k in range(2 + row % 3)] for row in range(count)]
    columns = {"text": TEXTS, "endings": endings, "label": [1, 2, 0, 1, 0, 3, 0]}
    return Rows(columns, "tests", np.arange(1, count + 1), None)


def as_questions() -> Rows:
    """`SECOND_TEXTS` asked about `TEXTS`; the answer is the context's last word, or there is none."""
    places = [text.rstrip(".").rfind(" ") + 1 for text in TEXTS]
    answers = [
        {"text": [text[place:-1]], "answer_start": [place]} if row % 3 else {"text": [], "answer_start": []}
        for row, (text, place) in enumerate(zip(TEXTS, places, strict=True))
    ]
    columns = {"question": SECOND_TEXTS, "context": TEXTS, "answers": answers}
    return Rows(columns, "tests", np.arange(1, len(TEXTS) + 1), None)


@dataclass
class ReadOptions:
    """A network with a head, and rows encoded for it.

    Args:
        batch: all items of the rows in one micro-batch.
    """

    head: Any
    task: Task
    rows: Rows
    tokenizer: Any
    model: Any
    encoded: EncodedDataset
    batch: dict[str, torch.Tensor]
    settings: Settings = SETTINGS

    @property
    def items(self) -> np.ndarray:
        return np.arange(len(self.encoded))

    def collate(self, items: np.ndarray | None = None, draw: int = 0) -> dict[str, torch.Tensor]:
        items = self.items if items is None else np.asarray(items)
        return self.head.collate(self.encoded, items, self.tokenizer, np.random.default_rng(draw))

    def forward(self, batch: dict[str, torch.Tensor]) -> np.ndarray:
        with torch.no_grad():
            return self.head.forward(self.model, batch).numpy()

    def loss(self, batch: dict[str, torch.Tensor]) -> float:
        with torch.no_grad():
            return self.head.loss(self.model, batch, self.task).item()

    def answers(self) -> list[dict[str, Any]]:
        return self.head.decode(list(self.forward(self.batch)), self.encoded, self.rows, self.task)

    def huggingface_loss(self) -> float:
        """What the network's own class computes from the same batch: a mean."""
        with torch.no_grad():
            inputs, labels = model_inputs(self.batch), self.batch["labels"]
            if self.head.auto_class.endswith("CausalLM"):  # their class shifts the labels itself
                labels = inputs["input_ids"].where(inputs["attention_mask"].bool(), -100)
            if labels.shape[1:] == (2,):
                return self.model(**inputs, start_positions=labels[:, 0], end_positions=labels[:, 1]).loss.item()
            return self.model(**inputs, labels=labels).loss.item()


Read = Callable[..., ReadOptions]


@pytest.fixture(scope="session")
def read() -> Read:
    """read(folder, head, task, rows, settings): a network in evaluation mode, its weights drawn large enough to tell
    answers apart."""

    def _read(
        folder: Path, head: Any, task: Task, rows: Rows, settings: Settings = SETTINGS, **config_changes: Any
    ) -> ReadOptions:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **head.tokenizer_options)
        config = transformers.AutoConfig.from_pretrained(folder)
        changes = head.config_changes(task, rows.labels or ())
        changes |= {"vocab_size": max(config.vocab_size, len(tokenizer))}
        changes |= {"pad_token_id": tokenizer.pad_token_id, "initializer_range": 0.3, **config_changes}
        for name, value in changes.items():
            setattr(config, name, value)
        torch.manual_seed(0)
        model = getattr(transformers, head.auto_class).from_config(config).eval()
        encoded = head.encode(rows, task, tokenizer, settings)
        reading = ReadOptions(head, task, rows, tokenizer, model, encoded, {}, settings)
        if tokenizer.pad_token is not None:
            reading.batch = reading.collate()
        return reading

    return _read


@pytest.fixture(scope="session")
def roberta(tmp_path_factory: pytest.TempPathFactory, vocabulary: Any) -> Path:
    """RoBERTa's architecture: positions are counted from the first token that is not padding."""
    folder = tmp_path_factory.mktemp("roberta")
    vocabulary.save_pretrained(folder)
    transformers.RobertaConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=66, pad_token_id=0, bos_token_id=2, eos_token_id=3,
    ).save_pretrained(folder)  # fmt: skip
    return folder


@pytest.fixture(scope="session")
def padded_gpt2(gpt2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GPT-2 as the library reads it: its last token serves as padding."""
    folder = tmp_path_factory.mktemp("padded_gpt2")
    tokenizer = transformers.AutoTokenizer.from_pretrained(gpt2)
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.save_pretrained(folder)
    transformers.AutoConfig.from_pretrained(gpt2).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def bert_with_types(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """BERT with its own tokenizer: wordpieces, and token types that tell the second text from the first."""
    folder = tmp_path_factory.mktemp("bert_with_types")
    words = sorted(set(re.findall(r"\w+|[^\w\s]", " ".join(TEXTS + SECOND_TEXTS).lower())))
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    transformers.BertTokenizer(vocab={piece: i for i, piece in enumerate(pieces)}).save_pretrained(folder)
    transformers.BertConfig(
        vocab_size=len(pieces), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=64,
    ).save_pretrained(folder)  # fmt: skip
    return folder


@pytest.fixture(params=["bert_with_types", "roberta", "modernbert", "padded_gpt2"])
def folder(request: pytest.FixtureRequest) -> Path:
    """Each architecture in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def tokenizer(folder: Path) -> Any:
    return transformers.AutoTokenizer.from_pretrained(folder)
