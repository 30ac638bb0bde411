"""COPA with the GPT paper's multiple-choice input: context, delimiter, answer, extract token (Radford et al. 2018)

    accelerate launch recipes/gpt_copa.py                           # offline: bundled GPT-2 and sample
    accelerate launch recipes/gpt_copa.py --lm-weight 0             # its ablation: no language-model loss
    accelerate launch recipes/gpt_copa.py --full                    # the published run, from the Hub

The paper does not evaluate COPA; on Story Cloze, which also has two endings, it reports 0.865 (table 3).
"""

from tlnlp import Columns, Data, Default, Published, Recipe, Task, heads, metrics

task = Task(
    name="gpt_copa",
    data=Data(sample="choices", hub="aps/super_glue", subset="copa"),
    columns=Columns(text="premise", prompt="question", endings="choice1,choice2", label="label"),
    head=heads.gpt,
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
        score=dict(),
        settings=dict(epochs=3, learning_rate=6.25e-5, batch_size=32, max_length=128, warmup_fraction=0.002),
        source="settings: Radford et al. 2018, section 4.1; the paper has no COPA",
    ),
)

if __name__ == "__main__":
    recipe.main()
