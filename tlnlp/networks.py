"""Networks small enough for a laptop without a GPU, for `--model new` where a recipe brings no checkpoint."""

from tlnlp.recipe import NewModel

# A thousand pieces: a few hundred rows hold no more that occur often enough to be learnt.
small_gpt = NewModel(
    architecture="gpt2",
    config=dict(
        n_embd=128, n_layer=3, n_head=4, n_positions=512, pad_token_id=0, bos_token_id=2, eos_token_id=3
    ),
    pieces=1_000,
    lowercase=True,
    at_most=True,
)  # fmt: skip
