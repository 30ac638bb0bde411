"""Pre-train a small GPT-2 and its vocabulary on plain text, or continue with one (Radford et al. 2018, section 3.1).

    python recipes/pretrain_gpt.py --data corpus.txt.xz --output-dir runs/pretrain_gpt/mine
    python recipes/pretrain_gpt.py --data reviews.txt --model gpt2             # continued

The model predicts each token from those before it. --data takes text files (one row per line), or a column `text`.
"""

from tlnlp import Columns, Data, Default, NewModel, Recipe, Task, heads, metrics

task = Task(
    name="pretrain_gpt",
    data=Data(),
    columns=Columns(text="text"),
    head=heads.causal_lm,
    metrics=(metrics.perplexity,),
)

recipe = Recipe(
    task=task,
    new_model=NewModel(
        architecture="gpt2",
        config=dict(
            n_embd=256, n_layer=4, n_head=4, n_positions=512, attn_pdrop=0.0, embd_pdrop=0.0, resid_pdrop=0.0,
            pad_token_id=0, bos_token_id=2, eos_token_id=3,
        ),
        vocab_size=8_000,
        vocab_size_is_maximum=True,
    ),
    defaults=dict(
        model=Default("new", "the network above, with a vocabulary trained on the rows"),
        epochs=Default(1, "more text rather than more passes"),
        learning_rate=Default(1e-3, "as in recipes/pretrain.py, whose network is of similar size"),
    ),
)  # fmt: skip

if __name__ == "__main__":
    recipe.main()
