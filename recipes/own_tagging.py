"""Tagging of your own data: a tag for each word, e.g. for entities (IOB1, IOB2, IOBES are detected).

    accelerate launch recipes/own_tagging.py --data corpus.conll       # .conllu, .bio; first column words, last tags
    accelerate launch recipes/own_tagging.py --data rows.jsonl --columns words=tokens tags=ner_tags

Tag names are read from the rows and printed. For plain tags (parts of speech), look at word accuracy.
"""

from tlnlp import Columns, Data, Default, Recipe, Task, heads, metrics

task = Task(
    name="own_tagging",
    data=Data(sample="entities"),
    columns=Columns(words="words", tags="tags"),
    head=heads.tag,
    metrics=(metrics.entity_f1, metrics.word_accuracy),
)

recipe = Recipe(
    task=task,
    defaults=dict(
        epochs=Default(10, "few rows: more epochs than in the papers; not tuned"),
        learning_rate=Default(2e-3, "best of 5e-4, 1e-3, 2e-3 on held-out sample rows; larger networks need less"),
    ),
)

if __name__ == "__main__":
    recipe.main()
