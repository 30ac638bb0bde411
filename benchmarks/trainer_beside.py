"""The Trainer's score for comparison with ours: the same model, rows and settings as in real_data.py.

    python benchmarks/trainer_beside.py cola                # three seeds; prints mean and standard deviation

For recipes with the sentence head. Rows are read and scored as by the recipe; tokenizer, network, padding, optimizer
and schedule are the Trainer's (linear, with the same warm-up and decay). The results are stored in recipes/results.
"""

from __future__ import annotations

import argparse
import json
import runpy
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from datasets import Dataset
from real_data import REPOSITORY, RUNS, SHARED, minilm

from tlnlp.data import load_splits
from tlnlp.data.rows import Rows
from tlnlp.display.quiet import quiet_libraries
from tlnlp.evaluation.scoring import measure
from tlnlp.heads.encoded import EncodedDataset, Ragged
from tlnlp.recipe import Recipe
from tlnlp.settings import Settings
from tlnlp.task import Regression


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", type=Path, default=REPOSITORY.parent / "shared" / "data", metavar="FOLDER")
    parser.add_argument("--model", default=minilm(), metavar="FOLDER")
    asked = parser.parse_args()
    quiet_libraries()
    recipe: Recipe = runpy.run_path(str(REPOSITORY / "recipes" / f"{asked.recipe}.py"))["recipe"]
    data, flags = RUNS[asked.recipe]
    told = [*flags.split(), *SHARED.split(), "--model", asked.model, "--data", str(asked.data / data)]
    settings = recipe.parse(told, "")
    scores = [score(recipe, settings, seed) for seed in range(asked.seeds)]
    kept = {}
    for name in scores[0]:
        values = [each[name] for each in scores]
        kept[name] = {"mean": statistics.fmean(values), "std": statistics.stdev(values), "seeds": values}
        print(f"{asked.recipe}, Trainer: {name} {kept[name]['mean']:.4f} +- {kept[name]['std']:.4f} {values}")
    place = REPOSITORY / "recipes" / "results" / "trainer.json"
    there = json.loads(place.read_text()) if place.exists() else {}
    place.write_text(json.dumps(there | {asked.recipe: kept}, indent=1) + "\n")


def score(recipe: Recipe, settings: Settings, seed: int) -> dict[str, float]:
    """Returns the metrics of the recipe's task on the dev rows after a run of the Trainer."""
    transformers.set_seed(seed)
    splits = load_splits(recipe.task, settings)
    tokenizer = transformers.AutoTokenizer.from_pretrained(settings.model)
    labels = 1 if isinstance(recipe.task.labels, Regression) else len(splits.train.labels or ())
    network = transformers.AutoModelForSequenceClassification.from_pretrained(settings.model, num_labels=labels)
    train, dev = (encode(rows, tokenizer, settings.max_length) for rows in (splits.train, splits.dev))
    trainer = transformers.Trainer(
        model=network,
        args=transformers.TrainingArguments(
            output_dir=str(REPOSITORY / "runs" / "trainer"),
            num_train_epochs=settings.epochs,
            per_device_train_batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            warmup_steps=settings.warmup_fraction,
            weight_decay=settings.weight_decay,
            bf16=settings.precision == "bf16",
            train_sampling_strategy="group_by_length",
            use_cpu=not torch.accelerator.is_available(),
            seed=seed,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=train,
        processing_class=tokenizer,
        data_collator=transformers.DataCollatorWithPadding(tokenizer),
    )
    trainer.train()
    predicted = trainer.predict(dev)
    # Predictions are in the order of row lengths, and so are the labels.
    label = np.asarray(predicted.label_ids).tolist()
    rows = replace(splits.dev, columns={**splits.dev.columns, "label": label})
    nothing: dict[str, Any] = {"input_ids": Ragged.from_lists([])}
    outputs = list(np.asarray(predicted.predictions))
    answers = recipe.task.head.decode(outputs, EncodedDataset(nothing, np.arange(0), np.ones(0)), rows, recipe.task)
    found = measure(recipe.task, answers, rows)
    print(f"seed {seed}: {found}", flush=True)
    return found


def encode(rows: Rows, tokenizer: Any, max_length: int) -> Dataset:
    """Tokenises the rows as in transformers' examples, with labels as integers."""
    texts = [rows.columns[role] for role in ("text", "text_pair") if role in rows.columns]
    return Dataset.from_dict(
        {**tokenizer(*texts, truncation=True, max_length=max_length), "labels": rows.columns["label"]}
    )


if __name__ == "__main__":
    main()
