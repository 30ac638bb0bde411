"""Question answering on your own data: the answer is a span of a context, or there is none.

    accelerate launch recipes/own_answering.py --data faq.csv --columns question=ask context=page answers=reply
    accelerate launch recipes/own_answering.py --data train-v2.0.json         # SQuAD's original format
    accelerate launch recipes/own_answering.py --data faq.jsonl --fix-answers  # corrects wrong answer offsets

An answer is a text, a list of texts, or SQuAD's {"text": [...], "answer_start": [...]}; empty if there is no answer.
"""

from tlnlp import Columns, Data, Default, Recipe, Task, heads, metrics

task = Task(
    name="own_answering",
    data=Data(sample="passages"),
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
)

if __name__ == "__main__":
    recipe.main()
