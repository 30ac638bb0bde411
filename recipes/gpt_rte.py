"""RTE as in the GPT paper: premise, delimiter, hypothesis, extract token (Radford et al. 2018, section 3.3, entailment)

    accelerate launch recipes/gpt_rte.py                            # offline: bundled GPT-2 and sample
    accelerate launch recipes/gpt_rte.py --lm-weight 0              # its ablation: no language-model loss
    accelerate launch recipes/gpt_rte.py --full                     # the published run, from the Hub

If the order of a pair does not matter (Task.pair_is_symmetric, see recipes/stsb.py), the gpt head reads both orders.
"""

from tlnlp import Columns, Data, Default, Published, Recipe, Task, heads, metrics

task = Task(
    name="gpt_rte",
    data=Data(sample="entailment_two_way", hub="nyu-mll/glue", subset="rte"),
    columns=Columns(text="sentence1", text_pair="sentence2", label="label"),
    head=heads.gpt,
    labels=("entailment", "not_entailment"),
    metrics=(metrics.accuracy,),
)

recipe = Recipe(
    task=task,
    defaults=dict(
        model=Default("mini-gpt", "the bundled GPT-2; --model gpt2 for one with more pre-training"),
        epochs=Default(10, "few rows: more epochs than in the papers; not tuned"),
        learning_rate=Default(5e-4, "not tuned; between the papers and recipes/sst2.py: small networks need more"),
    ),
    published=Published(
        model="openai-community/openai-gpt",
        score=dict(accuracy=0.56),
        settings=dict(epochs=3, learning_rate=6.25e-5, batch_size=32, max_length=128, warmup_fraction=0.002),
        source="Radford et al. 2018, table 2 (test rows) and section 4.1",
    ),
)

if __name__ == "__main__":
    recipe.main()
