"""Pre-train a small GPT-2 and its vocabulary on plain text, or go on with one (Radford et al. 2018, section 3.1).

    python recipes/pretrain_gpt.py --data corpus.txt.xz --output-dir runs/pretrain_gpt/mine
    python recipes/pretrain_gpt.py --data reviews.txt --model gpt2             # continued

Each word is guessed from those before it. --data takes text files (a line a row), or a column `text`.
"""

from tlnlp import Columns, Data, Recipe, Sourced, Task, heads, metrics, networks

task = Task(
    name="pretrain_gpt",
    data=Data(),
    columns=Columns(text="text"),
    head=heads.next_word,
    metrics=(metrics.perplexity,),
)

recipe = Recipe(
    task=task,
    new_model=networks.small_gpt,
    defaults=dict(
        model=Sourced("new", "a small GPT-2 made here, with a vocabulary learnt from the rows"),
        epochs=Sourced(1, "more text rather than more passes"),
        learning_rate=Sourced(1e-3, "as in recipes/pretrain.py, whose network is of like size"),
    ),
)

if __name__ == "__main__":
    recipe.main()
