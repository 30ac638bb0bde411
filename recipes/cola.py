"""CoLA: is a sentence grammatically acceptable English? (Warstadt et al. 2019, in GLUE: Wang et al. 2019)

    accelerate launch recipes/cola.py                               # offline: bundled model, bundled sample
    accelerate launch recipes/cola.py --data $DATA/cola --model FOLDER
    accelerate launch recipes/cola.py --full                  # the published run, from the Hub

Scored by Matthews correlation, since two thirds of the rows are acceptable: the majority baseline scores 0.
"""

from tlnlp import Columns, Data, Default, Published, Recipe, Task, heads, metrics

task = Task(
    name="cola",
    data=Data(
        sample="acceptability", hub="nyu-mll/glue", subset="cola",
        original_header=("source", "label", "star", "sentence"),
    ),
    columns=Columns(text="sentence", label="label"),
    head=heads.sentence,
    labels=("unacceptable", "acceptable"),
    metrics=(metrics.matthews, metrics.accuracy),
)  # fmt: skip

recipe = Recipe(
    task=task,
    defaults=dict(
        epochs=Default(10, "few rows: more epochs than in the papers; not tuned"),
        learning_rate=Default(5e-4, "not tuned; between the papers and recipes/sst2.py: small networks need more"),
    ),
    published=Published(
        model="google-bert/bert-base-cased",
        score=dict(matthews_correlation=0.5653),
        settings=dict(epochs=3, learning_rate=2e-5, batch_size=32, max_length=128),
        source="transformers' text-classification README (bert-base-cased, 3 epochs at 2e-5, batch 32)",
    ),
)

if __name__ == "__main__":
    recipe.main()
