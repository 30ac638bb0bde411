"""UD parts of speech: one of 17 tags for each word (Universal Dependencies, as in XTREME: Hu et al. 2020)

    accelerate launch recipes/udpos.py                              # offline: bundled model, bundled sample
    accelerate launch recipes/udpos.py --data $DATA/udpos/en --columns tags=upos --model FOLDER
    accelerate launch recipes/udpos.py --full                  # the published run, from the Hub

--data also takes a folder with CoNLL-U files, the original format of the treebanks.
"""

from tlnlp import Columns, Data, Default, Published, Recipe, Task, heads, metrics

task = Task(
    name="udpos",
    data=Data(sample="parts_of_speech", hub="google/xtreme", subset="udpos.English", test="test"),
    columns=Columns(words="tokens", tags="pos_tags"),
    head=heads.tag,
    metrics=(metrics.word_accuracy,),
)

recipe = Recipe(
    task=task,
    defaults=dict(
        epochs=Default(10, "few rows: more epochs than in the papers; not tuned"),
        learning_rate=Default(2e-3, "best of 5e-4, 1e-3, 2e-3 on held-out sample rows; larger networks need less"),
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
