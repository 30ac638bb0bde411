"""WNUT 2017: entities in social media that do not occur in the train rows (Derczynski et al. 2017)

    accelerate launch recipes/wnut17.py                             # offline: bundled model, bundled sample
    accelerate launch recipes/wnut17.py --data wnut17/ --model bert-base-cased --keep best
    accelerate launch recipes/wnut17.py --full                  # the published run, from the Hub

Tag names are read from the data. Files may be in CoNLL format.
The best system of the shared task reached 0.4186 on test (Derczynski et al. 2017).
"""

from tlnlp import Columns, Data, Default, Published, Recipe, Task, heads, metrics

task = Task(
    name="wnut17",
    data=Data(sample="entities", hub="leondz/wnut_17", test="test"),
    columns=Columns(words="tokens", tags="ner_tags"),
    head=heads.tag,
    metrics=(metrics.entity_f1,),
)

recipe = Recipe(
    task=task,
    defaults=dict(
        epochs=Default(10, "few rows: more epochs than in the papers; not tuned"),
        learning_rate=Default(2e-3, "as in recipes/conll2003.py, which has the same sample"),
    ),
    published=Published(
        model="distilbert/distilbert-base-uncased",
        score=dict(entity_f1=0.4165),
        settings=dict(epochs=5, learning_rate=2e-5, batch_size=32, max_length=128),
        source="model card of PabloGuinea/distilbert-base-token (test rows)",
    ),
)

if __name__ == "__main__":
    recipe.main()
