"""WikiANN: which words are names? Zero-shot, trained on English (Pan et al. 2017; split by Rahimi et al. 2019)

    accelerate launch recipes/panx.py                               # offline: bundled model, bundled sample
    accelerate launch recipes/panx.py --data $DATA/panx --languages de fr es fa
    accelerate launch recipes/panx.py --full                  # the published run, from the Hub

Scored like conlleval: an entity counts as correct if its type and all of its words are right.
"""

from tlnlp import Columns, Data, Default, Published, Recipe, Task, heads, metrics

task = Task(
    name="panx",
    data=Data(sample="entities", hub="google/xtreme", subset="PAN-X.en", test="test"),
    target_languages={
        language: Data(sample="entities", hub="google/xtreme", subset=f"PAN-X.{language}", dev="test")
        for language in ("de", "fr", "es", "ru", "fa")
    },
    columns=Columns(words="tokens", tags="ner_tags"),
    head=heads.tag,
    metrics=(metrics.entity_f1,),
)

recipe = Recipe(
    task=task,
    defaults=dict(
        epochs=Default(10, "as in recipes/conll2003.py"),
        learning_rate=Default(2e-3, "as in recipes/conll2003.py"),
    ),
    published=Published(
        model="google-bert/bert-base-multilingual-cased",
        score=dict(),
        settings=dict(epochs=10, learning_rate=2e-5, batch_size=32, max_length=128),
        source="Hu et al. 2020, section 4.2 (settings)",
    ),
)

if __name__ == "__main__":
    recipe.main()
