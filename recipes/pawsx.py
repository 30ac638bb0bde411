"""PAWS-X: do two sentences with the same words mean the same? Zero-shot, trained on English (Yang et al. 2019)

    accelerate launch recipes/pawsx.py                              # offline: bundled model, bundled sample
    accelerate launch recipes/pawsx.py --full                 # the published run, from the Hub
    accelerate launch recipes/pawsx.py --data hub --model FOLDER --train-language de     # translate-train

On the Hub, the English train rows are written by people; those of the other languages are machine translations.
"""

from tlnlp import Columns, Data, Default, Published, Recipe, Task, heads, metrics

hub, languages = "google-research-datasets/paws-x", ("de", "es", "fr", "ja", "ko", "zh")
task = Task(
    name="pawsx",
    data=Data(sample="paraphrase", hub=hub, subset="en", test="test"),
    target_languages={each: Data(sample="paraphrase", hub=hub, subset=each, dev="test") for each in languages}
    | dict.fromkeys(("ru", "fa"), Data(sample="paraphrase")),
    columns=Columns(text="sentence1", text_pair="sentence2", label="label"),
    head=heads.sentence,
    labels=("0", "1"),
    metrics=(metrics.accuracy,),
    pair_is_symmetric=True,
)

recipe = Recipe(
    task=task,
    defaults=dict(
        epochs=Default(10, "as in recipes/mrpc.py"),
        learning_rate=Default(5e-4, "as in recipes/mrpc.py"),
    ),
    published=Published(
        model="google-bert/bert-base-multilingual-cased",
        score=dict(),
        settings=dict(epochs=5, learning_rate=2e-5, batch_size=32, max_length=128),
        source="Hu et al. 2020, section 4.2 (settings)",
    ),
)

if __name__ == "__main__":
    recipe.main()
