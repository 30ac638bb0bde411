"""XNLI: does a sentence follow from another, or contradict it? Zero-shot, trained on English (Conneau et al. 2018)

    accelerate launch recipes/xnli.py                               # offline: bundled model, bundled sample
    accelerate launch recipes/xnli.py --data $DATA/xnli --languages de ru ar    # may lack train rows: see below
    accelerate launch recipes/xnli.py --full                  # the published run, from the Hub

For translate-train, pass --train-language de, or several, such as en de fr. If a folder has no train rows, four fifths
of the dev rows are used for training, and no language is evaluated on a premise that was trained on.
"""

from tlnlp import Columns, Data, Default, Published, Recipe, Task, heads, metrics

languages = ("fr", "es", "de", "el", "bg", "ru", "tr", "ar", "vi", "th", "zh", "hi", "sw", "ur")
task = Task(
    name="xnli",
    data=Data(sample="entailment", hub="facebook/xnli", subset="en", test="test"),
    target_languages={each: Data("entailment", "facebook/xnli", each, dev="test") for each in languages}
    | {"fa": Data(sample="entailment")},
    columns=Columns(text="premise", text_pair="hypothesis", label="label"),
    head=heads.sentence,
    labels=("entailment", "neutral", "contradiction"),
    metrics=(metrics.accuracy,),
)

recipe = Recipe(
    task=task,
    defaults=dict(
        epochs=Default(10, "as in recipes/mnli.py"),
        learning_rate=Default(5e-4, "as in recipes/mnli.py"),
    ),
    published=Published(
        model="google-bert/bert-base-multilingual-uncased",
        score=dict(accuracy=0.814),
        settings=dict(epochs=3, learning_rate=2e-5, batch_size=32, max_length=128),
        source="google-research/bert, multilingual.md: English; zero-shot de 0.705, es 0.743, zh 0.638, ar 0.621",
    ),
)

if __name__ == "__main__":
    recipe.main()
