"""Your own questions: the answer is a piece of a context, or there is none.

    accelerate launch recipes/own_answering.py --data faq.csv --columns question=ask context=page answers=reply
    accelerate launch recipes/own_answering.py --data train-v2.0.json         # SQuAD's own form
    accelerate launch recipes/own_answering.py --data faq.jsonl --fix-answers  # mends wrong starts

An answer is a text, a list of texts, or SQuAD's {"text": [...], "answer_start": [...]}; empty where there is none.
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
        epochs=Default(10, "few rows: more passes than the papers make; not tuned"),
        learning_rate=Default(5e-4, "not tuned; between the papers and recipes/sst2.py, as small networks want more"),
        max_length=Default(384, "the code of Devlin et al. 2019, run_squad"),
    ),
)

if __name__ == "__main__":
    recipe.main()
