"""QQP: do two people ask the same question? (Quora question pairs, in GLUE: Wang et al. 2019)

    accelerate launch recipes/qqp.py                                # offline: bundled model, bundled sample
    accelerate launch recipes/qqp.py --full                  # the published run, from the Hub

Scored by F1 of "duplicate" and by accuracy: GLUE reports both, since 63 % of the pairs are not duplicates.
"""

from tlnlp import Columns, Data, Default, Published, Recipe, Task, heads, metrics

task = Task(
    name="qqp",
    data=Data(sample="paraphrase", hub="nyu-mll/glue", subset="qqp", original_columns={"is_duplicate": "label"}),
    columns=Columns(text="question1", text_pair="question2", label="label"),
    head=heads.sentence,
    labels=("not_duplicate", "duplicate"),
    metrics=(metrics.f1, metrics.accuracy),
    pair_is_symmetric=True,
)

recipe = Recipe(
    task=task,
    defaults=dict(
        epochs=Default(10, "few rows: more epochs than in the papers; not tuned"),
        learning_rate=Default(5e-4, "not tuned; between the papers and recipes/sst2.py: small networks need more"),
    ),
    published=Published(
        model="google-bert/bert-base-cased",
        score={"f1 of duplicate": 0.8749, "accuracy": 0.9071},
        settings=dict(epochs=3, learning_rate=2e-5, batch_size=32, max_length=128),
        source="transformers' text-classification README (bert-base-cased, 3 epochs at 2e-5, batch 32)",
    ),
)

if __name__ == "__main__":
    recipe.main()
