"""WNLI: does a sentence with its pronoun replaced follow from the original? (Levesque et al. 2012, in GLUE)

    accelerate launch recipes/wnli.py                               # offline: bundled model, bundled sample
    accelerate launch recipes/wnli.py --data $DATA/wnli --model FOLDER --seeds 3
    accelerate launch recipes/wnli.py --full                  # the published run, from the Hub

Its dev rows share sentences with train rows but have the opposite label, so a model that memorises train rows gets them
wrong. Scores below the majority baseline (0.563) are usual; the BERT paper leaves this task out.
"""

from tlnlp import Columns, Data, Default, Published, Recipe, Task, heads, metrics

task = Task(
    name="wnli",
    data=Data(sample="entailment_two_way", hub="nyu-mll/glue", subset="wnli"),
    columns=Columns(text="sentence1", text_pair="sentence2", label="label"),
    head=heads.sentence,
    labels=("not_entailment", "entailment"),
    metrics=(metrics.accuracy,),
)

recipe = Recipe(
    task=task,
    defaults=dict(
        epochs=Default(10, "few rows: more epochs than in the papers; not tuned"),
        learning_rate=Default(5e-4, "not tuned; between the papers and recipes/sst2.py: small networks need more"),
    ),
    published=Published(
        model="google-bert/bert-base-cased",
        score=dict(accuracy=0.5634),
        settings=dict(epochs=3, learning_rate=2e-5, batch_size=32, max_length=128),
        source="transformers' text-classification README (bert-base-cased, 3 epochs at 2e-5, batch 32)",
    ),
)

if __name__ == "__main__":
    recipe.main()
