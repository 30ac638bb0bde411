"""Classification of your own data: a sentence, or a pair of sentences, and a label in each row.

    accelerate launch recipes/own_classification.py --data reviews.csv --columns text=review label=stars
    accelerate launch recipes/own_classification.py --data pairs/ --columns text=question text_pair=reply label=helpful
    accelerate launch recipes/own_classification.py --data reviews.csv --columns text=review label=stars weight=votes

Label names are read from the train rows and printed. A column that has the name of its role needs no mapping.
"""

from tlnlp import Columns, Data, Default, Recipe, Task, heads, metrics

task = Task(
    name="own_classification",
    data=Data(sample="reviews"),
    columns=Columns(text="text", label="label"),
    head=heads.sentence,
    metrics=(metrics.accuracy, metrics.f1),
)

recipe = Recipe(
    task=task,
    defaults=dict(
        epochs=Default(5, "few rows: more epochs than in the papers; not tuned"),
        learning_rate=Default(1e-3, "not tuned; between the papers and recipes/sst2.py: small networks need more"),
    ),
)

if __name__ == "__main__":
    recipe.main()
