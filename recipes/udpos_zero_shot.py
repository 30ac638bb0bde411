"""Cross-lingual UD parts of speech: one of 17 tags per word. Zero-shot, trained on English (Hu et al. 2020, 3.1)

    accelerate launch recipes/udpos_zero_shot.py                    # offline: bundled model, bundled sample
    accelerate launch recipes/udpos_zero_shot.py --data $DATA/udpos --columns tags=upos --languages de fa
    accelerate launch recipes/udpos_zero_shot.py --full             # the published run, from the Hub

--data takes a folder with one subfolder per language. Scored by the accuracy of 17 tags over words.
"""

from tlnlp import Columns, Data, Default, Published, Recipe, Task, heads, metrics

names = dict(de="German", fr="French", es="Spanish", ru="Russian", fa="Persian")
task = Task(
    name="udpos_zero_shot",
    data=Data(sample="parts_of_speech", hub="google/xtreme", subset="udpos.English", test="test"),
    target_languages={
        language: Data(sample="parts_of_speech", hub="google/xtreme", subset=f"udpos.{name}", dev="test")
        for language, name in names.items()
    },
    columns=Columns(words="tokens", tags="pos_tags"),
    head=heads.tag,
    metrics=(metrics.word_accuracy,),
)

recipe = Recipe(
    task=task,
    defaults=dict(
        epochs=Default(10, "as in recipes/udpos.py"),
        learning_rate=Default(2e-3, "as in recipes/udpos.py"),
    ),
    published=Published(
        model="google-bert/bert-base-multilingual-cased",
        score=dict(accuracy=0.955),
        settings=dict(epochs=10, learning_rate=2e-5, batch_size=32, max_length=128),
        source="Hu et al. 2020, table 12 (English, F1 over tags) and section 4.2",
    ),
)

if __name__ == "__main__":
    recipe.main()
