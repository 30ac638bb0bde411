"""Cross-lingual sentiment: trained on English reviews, evaluated in German, French, Spanish, Russian and Persian.

    accelerate launch recipes/sentiment_zero_shot.py                # offline: bundled model, bundled sample
    accelerate launch recipes/sentiment_zero_shot.py --data $DATA/xed --languages de fa
    accelerate launch recipes/sentiment_zero_shot.py --data $DATA/sst2 --transfer-data $DATA/xed

No published data set has all of these languages: use your own (FOLDER/en/, FOLDER/de/, ...), or the subtitles of XED
(Oehman et al. 2020). Rows that are neither positive nor negative are left out.
"""

from tlnlp import Columns, Data, Default, Recipe, Task, heads, metrics

reviews = Data(sample="reviews", original_columns={"sentence": "text"}, partly_labelled=True)
task = Task(
    name="sentiment_zero_shot",
    data=reviews,
    target_languages=dict.fromkeys(("de", "fr", "es", "ru", "fa"), reviews),
    columns=Columns(text="text", label="label"),
    head=heads.sentence,
    labels=("negative", "positive"),
    metrics=(metrics.accuracy,),
)

recipe = Recipe(
    task=task,
    defaults=dict(
        epochs=Default(3, "as in recipes/sst2.py"),
        learning_rate=Default(1e-3, "as in recipes/sst2.py"),
    ),
)

if __name__ == "__main__":
    recipe.main()
