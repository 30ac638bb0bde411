"""SWAG: which of four endings continues a description of what happens? (Zellers et al. 2018)

    accelerate launch recipes/swag.py                               # offline: bundled model, bundled sample
    accelerate launch recipes/swag.py --full                  # the published run, from the Hub

For other data, --columns endings=a,b,c names a column for each ending; the number of endings may differ between rows.
"""

from tlnlp import Columns, Data, Default, Published, Recipe, Task, heads, metrics

task = Task(
    name="swag",
    data=Data(sample="choices", hub="allenai/swag", subset="regular"),
    columns=Columns(text="sent1", prompt="sent2", endings="ending0,ending1,ending2,ending3", label="label"),
    head=heads.choice,
    metrics=(metrics.accuracy,),
)

recipe = Recipe(
    task=task,
    defaults=dict(
        epochs=Default(10, "few rows: more epochs than in the papers; not tuned"),
        learning_rate=Default(5e-4, "not tuned; between the papers and recipes/sst2.py: small networks need more"),
    ),
    published=Published(
        model="google-bert/bert-base-uncased",
        score=dict(accuracy=0.816),
        settings=dict(epochs=3, learning_rate=2e-5, batch_size=16, max_length=128),
        source="Devlin et al. 2019, section 4.4 and table 4 (dev, BERT-base)",
    ),
)

if __name__ == "__main__":
    recipe.main()
