"""MRPC: do two sentences from the news mean the same? (Dolan and Brockett 2005, in GLUE: Wang et al. 2019)

    accelerate launch recipes/mrpc.py                               # offline: bundled model, bundled sample
    accelerate launch recipes/mrpc.py --data $DATA/mrpc --model FOLDER --seeds 3
    accelerate launch recipes/mrpc.py --full                  # the published run, from the Hub

Scored by F1 of "equivalent" and by accuracy. There are few rows: run several seeds.
"""

from tlnlp import Columns, Data, Default, Published, Recipe, Task, heads, metrics

task = Task(
    name="mrpc",
    data=Data(
        sample="paraphrase", hub="nyu-mll/glue", subset="mrpc",
        original_columns={"Quality": "label", "#1 String": "sentence1", "#2 String": "sentence2"},
    ),
    columns=Columns(text="sentence1", text_pair="sentence2", label="label"),
    head=heads.sentence,
    labels=("not_equivalent", "equivalent"),
    metrics=(metrics.f1, metrics.accuracy),
    pair_is_symmetric=True,
)  # fmt: skip

recipe = Recipe(
    task=task,
    defaults=dict(
        epochs=Default(10, "few rows: more epochs than in the papers; not tuned"),
        learning_rate=Default(5e-4, "not tuned; between the papers and recipes/sst2.py: small networks need more"),
    ),
    published=Published(
        model="google-bert/bert-base-cased",
        score={"f1 of equivalent": 0.8885, "accuracy": 0.8407},
        settings=dict(epochs=5, learning_rate=2e-5, batch_size=32, max_length=128),
        source="transformers' text-classification README (bert-base-cased, 5 epochs at 2e-5, batch 32)",
    ),
)

if __name__ == "__main__":
    recipe.main()
