"""Whole runs on rows that are longer than what is read at once: by windows of a row, and by windows of attention."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

import tlnlp
from tests.recipe_runs import load_recipe
from tlnlp.display.console import RunConsole
from tlnlp.errors import InputError
from tlnlp.models.task_file import load_network
from tlnlp.run import run_once
from tlnlp.runs.request import Request
from tlnlp.runs.result import RunResult
from tlnlp.training.distributed import start_accelerator

MAX_LENGTH, OVERLAP = 12, 4


def run(recipe: str, folder: Path, **settings: Any) -> RunResult:
    declared = load_recipe(recipe)
    asked = declared.settings(**({"epochs": 1, "batch_size": 16, "quiet": True, "learning_rate": 1e-2} | settings))
    request = replace(Request.of(declared, asked), folder=folder)
    return run_once(request, start_accelerator(asked.precision), RunConsole(speaks=False, quiet=True))


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "validation.jsonl").read_text().splitlines()]


def predictions_of(run_folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run_folder / "predictions.jsonl").read_text().splitlines()]


def logits_alone(network: Any, **row: Any) -> np.ndarray:
    """Of one sequence by itself, without padding: [labels]."""
    with torch.no_grad():
        return network(**{name: torch.tensor([row[name]]) for name in row}).logits[0].numpy()


@pytest.mark.parametrize("strategy", ["full", "lora", "shallow", "head_only"])
def test_a_saved_model_reads_the_windows_that_it_was_trained_with(
    strategy: str, bert: Path, reviews: Path, tmp_path: Path
) -> None:
    """Against transformers alone: its tokenizer's own overlapping windows, each by itself, their logits averaged."""
    result = run(
        "sst2", tmp_path / "run", model=str(bert), data=str(reviews), strategy=strategy, max_length=MAX_LENGTH,
        windows="mean", window_overlap=OVERLAP, epochs=2,
    )  # fmt: skip
    model = tmp_path / "run" / "model"
    texts = [row["sentence"] for row in rows_of(reviews)]
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    network = load_network(model, load_recipe("sst2").task.head).eval()
    expected, windows_of = [], []
    for text in texts:
        windows = tokenizer(
            text, truncation=True, max_length=MAX_LENGTH, stride=OVERLAP, return_overflowing_tokens=True,
            add_special_tokens=True,
        )  # fmt: skip
        windows_of.append(len(windows["input_ids"]))
        masks = windows["attention_mask"]
        each = [
            logits_alone(network, input_ids=ids, attention_mask=mask)
            for ids, mask in zip(windows["input_ids"], masks, strict=True)
        ]
        expected.append(torch.tensor(np.mean(each, axis=0)).softmax(0).numpy())
    assert len(set(windows_of)) > 2
    told = predictions_of(tmp_path / "run")
    assert [list(each["scores"].values()) for each in told] == pytest.approx(np.stack(expected), abs=2e-5)
    predictor = tlnlp.load(tmp_path / "run")
    again = predictor.predict(texts)
    assert [each.prediction for each in again] == [each["prediction"] for each in told]
    assert [each.score for each in again] == pytest.approx([each["score"] for each in told], abs=1e-5)
    long = sum(each > 1 for each in windows_of)
    (said,) = [note for note in result.notes if "validation" in note and "windows" in note]
    assert f"{long} rows" in said
    assert f"split into {sum(each for each in windows_of if each > 1)} windows" in said
    assert "split into windows whose logits are averaged" in (model / "README.md").read_text()
    if strategy == "full":
        features = predictor.features(texts, pooling="first")
        states = [
            network.base_model(input_ids=torch.tensor([ids])).last_hidden_state[0, 0].detach().numpy()
            for ids in tokenizer(
                texts[:1], truncation=True, max_length=MAX_LENGTH, stride=OVERLAP, return_overflowing_tokens=True
            )["input_ids"]
        ]
        assert features.shape[0] == len(texts)
        assert features[0] == pytest.approx(np.mean(states, axis=0), abs=2e-5)


def test_vectors_of_a_row_with_endings_are_refused_in_words(short_run: Callable[[str], Any]) -> None:
    predictor = tlnlp.load(short_run("copa").folder)
    row = {"premise": "He fell.", "question": "cause", "choice1": "It was icy.", "choice2": "It was dry."}
    with pytest.raises(InputError, match="one sequence per row"):
        predictor.features([row])


# --- attention that does not see all of a long row


def _gemma(vocabulary: Any) -> Any:
    return transformers.Gemma3TextConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
        head_dim=8, intermediate_size=32, max_position_embeddings=128, sliding_window=20,
        layer_types=["sliding_attention", "full_attention"], pad_token_id=0, bos_token_id=2, eos_token_id=3,
    )  # fmt: skip


def _mistral(vocabulary: Any) -> Any:
    return transformers.MistralConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
        intermediate_size=32, max_position_embeddings=128, sliding_window=20, pad_token_id=0, bos_token_id=2,
        eos_token_id=3,
    )  # fmt: skip


def _longformer(vocabulary: Any) -> Any:
    return transformers.LongformerConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=130, attention_window=[20, 20], pad_token_id=0, bos_token_id=2, eos_token_id=3,
        sep_token_id=3,
    )  # fmt: skip


def _modernbert(vocabulary: Any) -> Any:
    return transformers.ModernBertConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
        max_position_embeddings=128, local_attention=20, global_attn_every_n_layers=2, pad_token_id=0, cls_token_id=2,
        bos_token_id=2, sep_token_id=3, eos_token_id=3,
    )  # fmt: skip


LOCAL = {"modernbert": _modernbert, "gemma3_text": _gemma, "mistral": _mistral, "longformer": _longformer}
# The same network with a window in which every row fits.
WIDE = {
    "modernbert": {"local_attention": 128}, "gemma3_text": {"sliding_window": 128}, "mistral": {"sliding_window": 128},
    "longformer": {"attention_window": [64, 64]},
}  # fmt: skip


@pytest.mark.parametrize("architecture", LOCAL)
def test_rows_beyond_the_window_of_attention_are_answered_as_by_transformers_alone(
    architecture: str, vocabulary: Any, reviews: Path, tmp_path: Path
) -> None:
    config = LOCAL[architecture](vocabulary)
    config.initializer_range = 0.3
    torch.manual_seed(0)
    transformers.AutoModel.from_config(config).save_pretrained(tmp_path / "base")
    vocabulary.save_pretrained(tmp_path / "base")
    run("sst2", tmp_path / "run", model=str(tmp_path / "base"), data=str(reviews), max_length=40, max_tokens=40)
    model = tmp_path / "run" / "model"
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    # Eager attention with transformers' own masks: no speed-up of anybody's.
    network = transformers.AutoModelForSequenceClassification.from_pretrained(model, attn_implementation="eager").eval()
    wide = transformers.AutoModelForSequenceClassification.from_pretrained(model, **WIDE[architecture]).eval()
    lengths, differences = [], []
    for row, told in zip(rows_of(reviews), predictions_of(tmp_path / "run"), strict=True):
        ids = tokenizer(row["sentence"], truncation=True, max_length=40)["input_ids"]
        lengths.append(len(ids))
        logits = logits_alone(network, input_ids=ids)
        differences.append(np.abs(logits - logits_alone(wide, input_ids=ids)).max())
        expected = torch.tensor(logits).softmax(0).tolist()
        assert list(told["scores"].values()) == pytest.approx(expected, abs=2e-5)
    assert sum(length > 20 for length in lengths) >= 3, "rows whose ends do not see each other in a local layer"
    assert min(lengths) <= 20
    assert max(differences) > 1e-3, "what the window hides would be seen here"
