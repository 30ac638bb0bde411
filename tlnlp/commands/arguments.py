"""What each subcommand may be asked, one typed class each: its flags, its --help, its completion. No torch in here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

Precision = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class RecipesArguments:
    """The recipes that come with the package: name, head, and what is asked. `tlnlp run NAME` runs one."""


@dataclass(frozen=True)
class PredictArguments:
    """Answers of a saved model to new rows: jsonl in (csv, tsv, parquet, CoNLL too, by the file's name), jsonl out.

    tlnlp predict runs/sst2/mini-sample-full/model reviews.csv --columns text=review > answers.jsonl

    echo '{"text": "A film to see twice."}' | tlnlp predict runs/sst2/mini-sample-full/model
    """

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL", help="Folder `model` of a run.")]
    files: Annotated[
        tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FILE", help="Standard input (jsonl) if unset.")
    ] = ()
    columns: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="ROLE=COLUMN", help="Which column plays which role, as in the recipe.")
    ] = ()
    output: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help="Standard output if unset.")] = None
    max_tokens: Annotated[int, tyro.conf.arg(metavar="TOKENS", help="Budget of a batch: for memory.")] = 4096
    precision: Annotated[Precision, tyro.conf.arg(metavar="fp32|bf16|fp16", help="Arithmetic of the network.")] = "fp32"


@dataclass(frozen=True)
class FillMaskArguments:
    """Which words a masked-word model puts in the place of [MASK], with their probabilities.

    tlnlp fill-mask "Berlin is the capital of [MASK]."

    tlnlp fill-mask "The [MASK] barked at the [MASK]." --top 3

    tlnlp fill-mask "The child [MASK] in the garden." --words was were

    [MASK] stands for whatever mask token the checkpoint has. Without a text, JSON lines are read from standard input,
    {"text": "... [MASK] ..."}, and answered as JSON lines.
    """

    text: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="TEXT", help="With [MASK] where a word is.")
    ] = ()
    model: Annotated[
        str, tyro.conf.arg(metavar="NAME|FOLDER|HUB_ID", help="Bundled name, local folder, or Hub id.")
    ] = "mini"
    top: Annotated[int, tyro.conf.arg(metavar="COUNT", help="Answers shown.")] = 5
    pieces: Annotated[int, tyro.conf.arg(metavar="COUNT", help="Word pieces that a word may be made of, at most.")] = 2
    words: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="WORD ...", help="Only these words, each with its probability.")
    ] = ()


@dataclass(frozen=True)
class NextWordArguments:
    """The most likely next words with their probabilities. In a terminal: choose one to go on, undo, add your own.

    tlnlp next-word "She opened the"

    tlnlp next-word "The largest city in Iran is" --model gpt2 --once

    Without a text, JSON lines are read from standard input, {"text": "..."}, and answered as JSON lines.
    """

    text: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="TEXT", help="What is to go on.")] = None
    model: Annotated[
        str, tyro.conf.arg(metavar="NAME|FOLDER|HUB_ID", help="Bundled name, local folder, or Hub id.")
    ] = "mini-gpt"
    top: Annotated[int, tyro.conf.arg(metavar="COUNT", help="Answers shown.")] = 8
    once: Annotated[bool, tyro.conf.arg(help="Show the words and end, also in a terminal.")] = False


@dataclass(frozen=True)
class DemoArguments:
    """A web page on this machine: fill-mask, next word, a trained model that can be asked, and the same before it
    learnt. Works without a network; nothing leaves the machine.

    tlnlp demo

    tlnlp demo --run runs/sst2/mini-sample-full
    """

    run: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FOLDER ...", help="Runs to ask: runs/TASK/NAME.")] = ()
    model: Annotated[str, tyro.conf.arg(metavar="NAME|FOLDER|HUB_ID", help="For fill-mask; none leaves it out.")] = (
        "mini"
    )
    gpt: Annotated[str, tyro.conf.arg(metavar="NAME|FOLDER|HUB_ID", help="For the next word; none leaves it out.")] = (
        "mini-gpt"
    )
    port: Annotated[int, tyro.conf.arg(metavar="NUMBER", help="Where the page is, on 127.0.0.1.")] = 7860


@dataclass(frozen=True)
class ReportArguments:
    """One HTML file about a run: scores with intervals, learning curves, what is confused, calibration, the rows that
    are most wrong, data, cost. Of several runs, or of a comparison or a matrix, with all of them side by side.

    tlnlp report runs/sst2/mini-sample-full

    tlnlp report runs/sst2/mini-sample-full runs/sst2/mini-sample-from_scratch --output both.html

    tlnlp report runs/compare/sst2-sample
    """

    folders: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER", help="Of runs.")]
    output: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help="report.html in the first folder if unset.")] = (
        None
    )


@dataclass(frozen=True)
class CheckArguments:
    """What there is to know of the rows: label balance, lengths, rows that stand twice or on both sides of a split,
    near-duplicates, what a tokenizer makes of them, and what a bag of words would score.

    tlnlp check reviews.csv --columns text=review label=stars

    tlnlp check ../data/mrpc --recipe recipes/mrpc.py --model bert-base-cased

    Which role each column plays is told by its name, by --columns, or by a recipe.
    """

    data: Annotated[
        str, tyro.conf.Positional, tyro.conf.arg(metavar="DATA", help="File or folder; with --recipe sample or hub.")
    ]
    recipe: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help="The task: its columns and its labels.")] = None
    columns: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="ROLE=COLUMN", help="Which column plays which role.")
    ] = ()
    model: Annotated[str, tyro.conf.arg(metavar="NAME|FOLDER|HUB_ID", help="Whose tokenizer counts tokens.")] = "mini"
    max_length: Annotated[
        int | None, tyro.conf.arg(metavar="TOKENS", help="Longer rows would be cut; the recipe's own if unset.")
    ] = None
    quick: Annotated[bool, tyro.conf.arg(help="Leave near-duplicates and the bag of words out.")] = False
    json: Annotated[bool, tyro.conf.arg(help="One JSON object instead of words.")] = False


@dataclass(frozen=True)
class MatrixArguments:
    """From which language to which does a checkpoint transfer? Learns from each of --train-languages by itself and
    answers in all --languages; a table and a heat map show the scores.

    tlnlp matrix recipes/sentiment_zero_shot.py --data $DATA/xed --train-languages en de fr --seeds 3

    Every other flag is passed on to the recipe, as in --languages en de fr ru --epochs 3 --strategy lora. Runs that
    are there already are not run again: the same command goes on where it was stopped.
    """

    recipe: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RECIPE.py", help="A cross-lingual recipe.")]
    train_languages: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="LANGUAGE ...", help="Learnt from, one after the other.")
    ]
    models: Annotated[
        tuple[str, ...],
        tyro.conf.arg(metavar="MODEL ...", help="Checkpoints, side by side; the recipe's --model if unset."),
    ] = ()
    seeds: Annotated[int, tyro.conf.arg(metavar="COUNT", help="Runs of each kind, seeds 0 to COUNT-1.")] = 3
    workers: Annotated[
        int | None, tyro.conf.arg(metavar="COUNT", help="Runs at a time; one for each GPU, or one on a CPU if unset.")
    ] = None
    output_dir: Annotated[
        Path | None, tyro.conf.arg(metavar="FOLDER", help="Where all goes; runs/matrix/TASK-DATA if unset.")
    ] = None


@dataclass(frozen=True)
class CompletionArguments:
    """A script by which a shell completes `tlnlp`: subcommands, recipes, flags, and what may stand behind them.

    tlnlp completion bash > ~/.local/share/bash-completion/completions/tlnlp

    tlnlp completion zsh > ~/.zfunc/_tlnlp

    tlnlp completion fish > ~/.config/fish/completions/tlnlp.fish

    In zsh the folder has to be in fpath before compinit. The next shell knows it; made anew after an update.
    """

    shell: Annotated[Literal["bash", "zsh", "fish"], tyro.conf.Positional, tyro.conf.arg(metavar="bash|zsh|fish")]
