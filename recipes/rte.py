"""RTE: does a sentence follow from a text? (Dagan et al. 2006 and later, in GLUE: Wang et al. 2019)

    accelerate launch recipes/rte.py                                # offline: bundled model, bundled sample
    accelerate launch recipes/rte.py --data $DATA/rte --model FOLDER --seeds 3
    accelerate launch recipes/rte.py --full                  # the published run, from the Hub

With 2,490 train rows, small models are hardly better than the majority baseline (0.527). Run several seeds.
"""

from tlnlp import Columns, Data, Default, Published, Recipe, Task, heads, metrics

task = Task(
    name="rte",
    data=Data(sample="entailment_two_way", hub="nyu-mll/glue", subset="rte"),
    columns=Columns(text="sentence1", text_pair="sentence2", label="label"),
    head=heads.sentence,
    labels=("entailment", "not_entailment"),
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
        score=dict(accuracy=0.6570),
        settings=dict(epochs=3, learning_rate=2e-5, batch_size=32, max_length=128),
        source="transformers' text-classification README (bert-base-cased, 3 epochs at 2e-5, batch 32)",
    ),
)

if __name__ == "__main__":
    recipe.main()
