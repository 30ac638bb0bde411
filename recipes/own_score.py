"""A number for a text or a pair of your own data: a grade, a rating, a price.

    accelerate launch recipes/own_score.py --data essays.csv --columns text=essay label=grade
    accelerate launch recipes/own_score.py --data pairs.csv --columns text=question text_pair=answer label=relevance

Trained with squared error, in the unit of the data, and scored by correlation. Any number is valid, also one that no
train row has. For a few whole numbers (stars), own_classification may fit as well.
"""

from tlnlp import Columns, Data, Default, Recipe, Regression, Task, heads, metrics

task = Task(
    name="own_score",
    data=Data(sample="reviews"),
    columns=Columns(text="text", label="label"),
    head=heads.sentence,
    labels=Regression(),
    metrics=(metrics.spearman, metrics.pearson),
)

recipe = Recipe(
    task=task,
    defaults=dict(
        epochs=Default(20, "few rows: more epochs than in the papers; not tuned"),
        learning_rate=Default(5e-4, "not tuned; between the papers and recipes/sst2.py: small networks need more"),
    ),
)

if __name__ == "__main__":
    recipe.main()
