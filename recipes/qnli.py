"""QNLI: does a sentence contain the answer to a question? (from SQuAD; in GLUE: Wang et al. 2019)

    accelerate launch recipes/qnli.py                               # offline: bundled model, bundled sample
    accelerate launch recipes/qnli.py --model bert-base-uncased --data hub
    accelerate launch recipes/qnli.py --full                  # the published run, from the Hub

Half of the rows are entailments. To never truncate the question, pass --truncate text=never.
"""

from tlnlp import Columns, Data, Default, Published, Recipe, Task, heads, metrics

task = Task(
    name="qnli",
    data=Data(sample="entailment_two_way", hub="nyu-mll/glue", subset="qnli"),
    columns=Columns(text="question", text_pair="sentence", label="label"),
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
        score=dict(accuracy=0.9066),
        settings=dict(epochs=3, learning_rate=2e-5, batch_size=32, max_length=128),
        source="transformers' text-classification README (bert-base-cased, 3 epochs at 2e-5, batch 32)",
    ),
)

if __name__ == "__main__":
    recipe.main()
