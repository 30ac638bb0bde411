"""Pre-train a small masked language model and its vocabulary on plain text (Devlin et al. 2019, section 3.1).

    python recipes/pretrain.py --data corpus.txt.xz --output-dir runs/pretrain/mine
    python recipes/pretrain.py --data reviews.txt --model runs/pretrain/mine/model --strategy full   # continued

The bundled `mini` was made with this recipe; its README.md has the commands. The layers are those of ModernBERT (Warner
et al. 2024).
"""

from tlnlp import Columns, Data, Default, NewModel, Recipe, Task, heads, metrics

task = Task(
    name="pretrain", data=Data(), columns=Columns(text="text"), head=heads.masked_lm, metrics=(metrics.perplexity,)
)  # fmt: skip

recipe = Recipe(
    task=task,
    new_model=NewModel(
        architecture="modernbert",
        config=dict(
            hidden_size=256, num_hidden_layers=4, num_attention_heads=4, intermediate_size=384,
            max_position_embeddings=512, local_attention=128, global_attn_every_n_layers=1, embedding_dropout=0.0,
            pad_token_id=0, cls_token_id=2, bos_token_id=2, sep_token_id=3, eos_token_id=3, classifier_pooling="mean",
        ),
        vocab_size=16_000,
        coverage=0.99999,
        lowercase=True,
        character_map={"ي": "ی", "ك": "ک"},
    ),
    defaults=dict(
        model=Default("new", "the network above, with a vocabulary trained on the rows"),
        strategy=Default("from_scratch", "a new network has nothing to transfer"),
        epochs=Default(1, "more text rather than more epochs"),
        learning_rate=Default(1e-3, "Warner et al. 2024, table 3 (8e-4 for a network of 149 M)"),
        mask_fraction=Default(0.3, "Warner et al. 2024, section 2.2; Wettig et al. 2023"),
    ),
)  # fmt: skip

if __name__ == "__main__":
    recipe.main()
