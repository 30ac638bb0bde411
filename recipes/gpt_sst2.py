"""SST-2 as in the GPT paper: start and extract tokens, and a language-model loss (Radford et al. 2018, 3.3)

    accelerate launch recipes/gpt_sst2.py                           # offline: bundled GPT-2 and sample
    accelerate launch recipes/gpt_sst2.py --lm-weight 0             # its ablation: no language-model loss
    accelerate launch recipes/gpt_sst2.py --strategy from_scratch   # its ablation: no pre-training
    accelerate launch recipes/gpt_sst2.py --full                    # the published run, from the Hub

Any causal checkpoint works, e.g. --model gpt2.
"""

from tlnlp import Columns, Data, Default, Published, Recipe, Task, heads, metrics

task = Task(
    name="gpt_sst2",
    data=Data(sample="reviews", hub="nyu-mll/glue", subset="sst2"),
    columns=Columns(text="sentence", label="label"),
    head=heads.gpt,
    labels=("negative", "positive"),
    metrics=(metrics.accuracy,),
)

recipe = Recipe(
    task=task,
    defaults=dict(
        model=Default("mini-gpt", "the bundled GPT-2; --model gpt2 for one with more pre-training"),
        epochs=Default(5, "few rows: more epochs than in the papers; not tuned"),
        learning_rate=Default(1e-3, "not tuned; between the papers and recipes/sst2.py: small networks need more"),
    ),
    published=Published(
        model="openai-community/openai-gpt",
        score=dict(accuracy=0.913),
        settings=dict(epochs=3, learning_rate=6.25e-5, batch_size=32, max_length=128, warmup_fraction=0.002),
        source="Radford et al. 2018, table 4 (test rows) and section 4.1",
    ),
)

if __name__ == "__main__":
    recipe.main()
