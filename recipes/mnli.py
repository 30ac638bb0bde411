"""MNLI: does a sentence follow from another, contradict it, or neither? (Williams et al. 2018, in GLUE)

    accelerate launch recipes/mnli.py                               # offline: bundled model, bundled sample
    accelerate launch recipes/mnli.py --full                  # the published run, from the Hub

The primary score is that of the matched dev split (genres of the train rows); the mismatched split is reported as well.
"""

from tlnlp import Columns, Data, Default, Published, Recipe, Task, heads, metrics

task = Task(
    name="mnli",
    data=Data(
        sample="entailment", hub="nyu-mll/glue", subset="mnli",
        dev="validation_matched", extra_splits={"mismatched": "validation_mismatched"},
        original_columns={"sentence1": "premise", "sentence2": "hypothesis", "gold_label": "label"},
    ),
    columns=Columns(text="premise", text_pair="hypothesis", label="label"),
    head=heads.sentence,
    labels=("entailment", "neutral", "contradiction"),
    metrics=(metrics.accuracy,),
)  # fmt: skip

recipe = Recipe(
    task=task,
    defaults=dict(
        epochs=Default(10, "few rows: more epochs than in the papers; not tuned"),
        learning_rate=Default(5e-4, "not tuned; between the papers and recipes/sst2.py: small networks need more"),
    ),
    published=Published(
        model="google-bert/bert-base-cased",
        score=dict(accuracy=0.8391),
        settings=dict(epochs=3, learning_rate=2e-5, batch_size=32, max_length=128),
        source="transformers' text-classification README (3 epochs at 2e-5, batch 32); mismatched 0.8410",
    ),
)

if __name__ == "__main__":
    recipe.main()
