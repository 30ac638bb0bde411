"""SQuAD 1.1: which words of a passage answer a question? (Rajpurkar et al. 2016)

    accelerate launch recipes/squad.py                              # offline: bundled model, bundled sample
    accelerate launch recipes/squad.py --data $DATA/squad --model FOLDER --train-rows 20000 --max-length 384
    accelerate launch recipes/squad.py --full                  # the published run, from the Hub

Passages longer than --max-length are split into windows that overlap by --window-overlap tokens.
"""

from tlnlp import Columns, Data, Default, Published, Recipe, Task, heads, metrics

task = Task(
    name="squad",
    data=Data(sample="passages", hub="rajpurkar/squad"),
    columns=Columns(question="question", context="context", answers="answers"),
    head=heads.span,
    metrics=(metrics.squad,),
)

recipe = Recipe(
    task=task,
    defaults=dict(
        epochs=Default(10, "few rows: more epochs than in the papers; not tuned"),
        learning_rate=Default(5e-4, "not tuned; between the papers and recipes/sst2.py: small networks need more"),
        max_length=Default(384, "Devlin et al. 2019, code (run_squad)"),
    ),
    published=Published(
        model="google-bert/bert-base-uncased",
        score=dict(f1=0.8852, exact_match=0.8122),
        settings=dict(epochs=2, learning_rate=3e-5, batch_size=12, max_length=384),
        source="transformers' question-answering README",
    ),
)

if __name__ == "__main__":
    recipe.main()
