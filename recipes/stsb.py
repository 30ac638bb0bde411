"""STS-B: how similar in meaning are two sentences, from 0 to 5? (Cer et al. 2017, in GLUE: Wang et al. 2019)

    accelerate launch recipes/stsb.py                               # offline: bundled model, bundled sample
    accelerate launch recipes/stsb.py --data $DATA/stsb --model FOLDER
    accelerate launch recipes/stsb.py --full                  # the published run, from the Hub

A regression task: trained with squared error, scored by correlation.
"""

from tlnlp import Columns, Data, Default, Published, Recipe, Regression, Task, heads, metrics

task = Task(
    name="stsb",
    data=Data(sample="similarity", hub="nyu-mll/glue", subset="stsb", original_columns={"score": "label"}),
    columns=Columns(text="sentence1", text_pair="sentence2", label="label"),
    head=heads.sentence,
    labels=Regression(0, 5),
    metrics=(metrics.spearman, metrics.pearson),
    pair_is_symmetric=True,
)

recipe = Recipe(
    task=task,
    defaults=dict(
        epochs=Default(20, "few rows: more epochs than in the papers; not tuned"),
        learning_rate=Default(5e-4, "not tuned; between the papers and recipes/sst2.py: small networks need more"),
    ),
    published=Published(
        model="google-bert/bert-base-cased",
        score=dict(spearman=0.8848, pearson=0.8864),
        settings=dict(epochs=3, learning_rate=2e-5, batch_size=32, max_length=128),
        source="transformers' text-classification README (bert-base-cased, 3 epochs at 2e-5, batch 32)",
    ),
)

if __name__ == "__main__":
    recipe.main()
