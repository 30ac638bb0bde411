"""CoNLL-2003: which words in news texts name persons, places, organisations? (Tjong Kim Sang and De Meulder 2003)

    accelerate launch recipes/conll2003.py                          # offline: bundled model, bundled sample
    accelerate launch recipes/conll2003.py --data $DATA/conll2003 --model FOLDER --keep best  # on test
    accelerate launch recipes/conll2003.py --full                  # the published run, from the Hub

Scored like conlleval: an entity counts as correct if its type and all of its words are right. --data also takes a
folder with the original files eng.train, eng.testa and eng.testb.
"""

from tlnlp import Columns, Data, Default, Published, Recipe, Task, heads, metrics

task = Task(
    name="conll2003",
    data=Data(sample="entities", hub="lhoestq/conll2003", test="test"),
    columns=Columns(words="tokens", tags="ner_tags"),
    head=heads.tag,
    labels=("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "B-MISC", "I-MISC"),
    metrics=(metrics.entity_f1,),
)

recipe = Recipe(
    task=task,
    defaults=dict(
        epochs=Default(10, "few rows: more epochs than in the papers; not tuned"),
        learning_rate=Default(2e-3, "best of 5e-4, 1e-3, 2e-3 on held-out sample rows; larger networks need less"),
    ),
    published=Published(
        model="google-bert/bert-base-cased",
        score=dict(entity_f1=0.964),
        settings=dict(epochs=3, learning_rate=5e-5, batch_size=32, max_length=128),
        source="Devlin et al. 2019, section 5.3 and table 7 (dev, BERT-base)",
    ),
)

if __name__ == "__main__":
    recipe.main()
