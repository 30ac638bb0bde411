"""Your own tags: one for each word, for entities (IOB1, IOB2, IOBES: found, and said) or anything else.

    accelerate launch recipes/own_tagging.py --data corpus.conll       # .conllu, .bio; first column words, last tags
    accelerate launch recipes/own_tagging.py --data rows.jsonl --columns words=tokens tags=ner_tags

Tag names are found in the rows, and said. Plain tags (parts of speech): look at word accuracy.
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
        epochs=Default(10, "few rows: more passes than the papers make; not tuned"),
        learning_rate=Default(2e-3, "of 5e-4, 1e-3 and 2e-3, on rows cut from the sample; larger networks want less"),
    ),
)

if __name__ == "__main__":
    recipe.main()
