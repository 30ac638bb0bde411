"""XQuAD: which words of a paragraph answer a question? Zero-shot, trained on SQuAD (Artetxe et al. 2020)

    accelerate launch recipes/xquad.py                              # offline: bundled model, bundled sample
    accelerate launch recipes/xquad.py --data $DATA/squad --transfer-data $DATA/xquad --languages de
    accelerate launch recipes/xquad.py --full                 # the published run, from the Hub

Scored like SQuAD: F1 over the words of the answer, and exact match.
"""

from tlnlp import Columns, Data, Default, Published, Recipe, Task, heads, metrics

languages = ("es", "de", "el", "ru", "tr", "ar", "vi", "th", "zh", "hi", "ro")
task = Task(
    name="xquad",
    data=Data(sample="passages", hub="rajpurkar/squad"),
    target_languages={each: Data(sample="passages", hub="google/xquad", subset=f"xquad.{each}") for each in languages}
    | dict.fromkeys(("fr", "fa"), Data(sample="passages")),
    columns=Columns(question="question", context="context", answers="answers"),
    head=heads.span,
    metrics=(metrics.squad,),
)

recipe = Recipe(
    task=task,
    defaults=dict(
        epochs=Default(10, "as in recipes/squad.py"),
        learning_rate=Default(5e-4, "as in recipes/squad.py"),
        max_length=Default(384, "Devlin et al. 2019, code (run_squad)"),
    ),
    published=Published(
        model="google-bert/bert-base-multilingual-cased",
        score=dict(),
        settings=dict(epochs=2, learning_rate=3e-5, batch_size=32, max_length=384),
        source="Hu et al. 2020 (F1 zero-shot: es 0.755, ru 0.713, de 0.706, el 0.626, ar 0.615; of English 0.835)",
    ),
)

if __name__ == "__main__":
    recipe.main()
