"""COPA: which of two sentences is the cause, or the effect, of another? (Roemmele et al. 2011, in SuperGLUE)

    accelerate launch recipes/copa.py                               # offline: bundled model, bundled sample
    accelerate launch recipes/copa.py --full                  # the published run, from the Hub

There are only 400 train rows: run several seeds. "cause" or "effect" is inserted before each alternative.
"""

from tlnlp import Columns, Data, Default, Published, Recipe, Task, heads, metrics

task = Task(
    name="copa",
    data=Data(sample="choices", hub="aps/super_glue", subset="copa"),
    columns=Columns(text="premise", prompt="question", endings="choice1,choice2", label="label"),
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
        model="google-bert/bert-large-cased",
        score=dict(accuracy=0.706),
        settings=dict(epochs=10, learning_rate=1e-5, batch_size=4, max_length=128),
        source="Wang et al. 2019 (SuperGLUE), table 3 (hidden test rows) and section 5.1",
    ),
)

if __name__ == "__main__":
    recipe.main()
