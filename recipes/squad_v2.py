"""SQuAD 2.0: which words of a passage answer a question, if any? (Rajpurkar et al. 2018)

    accelerate launch recipes/squad_v2.py                           # offline: bundled model, bundled sample
    accelerate launch recipes/squad_v2.py --data $DATA/squad_v2 --model FOLDER
    accelerate launch recipes/squad_v2.py --full                  # the published run, from the Hub

The prediction is "" (no answer) if the first token scores higher than the best span.
"""

from tlnlp import Columns, Data, Default, Published, Recipe, Task, heads, metrics

task = Task(
    name="squad_v2",
    data=Data(sample="passages", hub="rajpurkar/squad_v2"),
    columns=Columns(question="question", context="context", answers="answers"),
    head=heads.span,
    metrics=(metrics.squad,),
    unanswerable=True,
)

recipe = Recipe(
    task=task,
    defaults=dict(
        epochs=Default(10, "few rows: more epochs than in the papers; not tuned"),
        learning_rate=Default(5e-4, "not tuned; between the papers and recipes/sst2.py: small networks need more"),
        max_length=Default(384, "Devlin et al. 2019, code (run_squad)"),
    ),
    published=Published(
        model="google-bert/bert-large-uncased",
        score=dict(f1=0.819, exact_match=0.787),
        settings=dict(epochs=2, learning_rate=5e-5, batch_size=48, max_length=384),
        source="Devlin et al. 2019, section 4.3 and table 3 (dev, BERT-large)",
    ),
)

if __name__ == "__main__":
    recipe.main()
