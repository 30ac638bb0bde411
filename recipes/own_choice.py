"""Multiple choice on your own data: which of several endings, answers or options fits a text?

    accelerate launch recipes/own_choice.py --data quiz.jsonl --columns text=story endings=options label=answer
    accelerate launch recipes/own_choice.py --data race/ --columns text=article prompt=question endings=options
    accelerate launch recipes/own_choice.py --data swag.csv --columns text=sent1 endings=ending0,ending1

Endings are a list, a list as text, texts with | between them, or a column each; their number may differ between rows.
The label is the number of the right one from 0, its letter, its column or its text: the first that fits all rows.
"""

from tlnlp import Columns, Data, Default, Recipe, Task, heads, metrics

task = Task(
    name="own_choice",
    data=Data(sample="choices"),
    columns=Columns(text="text", endings="endings", label="label"),
    head=heads.choice,
    metrics=(metrics.accuracy,),
)

recipe = Recipe(
    task=task,
    defaults=dict(
        epochs=Default(10, "few rows: more epochs than in the papers; not tuned"),
        learning_rate=Default(5e-4, "not tuned; between the papers and recipes/sst2.py: small networks need more"),
    ),
)

if __name__ == "__main__":
    recipe.main()
