"""The arguments of each subcommand as a dataclass, which defines its flags, its --help and its shell completion. This
module must not import torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from tlnlp.settings import Precision

# Flags of several commands that say how tables are read.
Separator = Annotated[
    str | None, tyro.conf.arg(metavar="CHARACTER", help="What separates a table's fields; found if unset.")
]
Encoding = Annotated[str | None, tyro.conf.arg(metavar="NAME", help="Encoding of text files; UTF-8 if unset.")]
NoHeader = Annotated[bool, tyro.conf.arg(help="Columns have numbers: --columns text=2.")]


@dataclass(frozen=True)
class RecipesArguments:
    """List the recipes of the package: name, head and task. `tlnlp run NAME` runs one."""


@dataclass(frozen=True)
class PredictArguments:
    """Predict new rows with a saved model. Reads and writes jsonl, csv, tsv, parquet, txt and CoNLL, by the file's
    ending. The columns of the rows are carried along; rows stay in their order.

    tlnlp predict runs/sst2/mini-sample-full/model reviews.csv --columns text=review --output answers.csv

    tlnlp predict runs/sst2/mini-sample-full/model "A film to see twice."

    tlnlp predict runs/sst2/mini-sample-full/model reviews.txt --top 3 --error-rate 0.1 > answers.jsonl

    echo '{"text": "A film to see twice."}' | tlnlp predict runs/sst2/mini-sample-full/model

    A row without a text is answered with null. An --output gets its name when it is complete.
    """

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL", help="The folder `model` of a run.")]
    files: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="FILE|TEXT", help="Files, or texts (of a pair both); standard input (jsonl) if unset."),
    ] = ()
    columns: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="ROLE=COLUMN", help="Column of each role, as in the recipe.")
    ] = ()
    output: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help="Standard output if unset.")] = None
    format: Annotated[
        Literal["jsonl", "csv", "tsv", "parquet", "txt", "conll"] | None,
        tyro.conf.arg(metavar="FORMAT", help="Of the output; by its ending, or jsonl, if unset."),
    ] = None
    input_format: Annotated[
        Literal["jsonl", "json", "csv", "tsv", "parquet", "txt", "conll"] | None,
        tyro.conf.arg(metavar="FORMAT", help="Of standard input, and of files with another ending."),
    ] = None
    separator: Separator = None
    encoding: Encoding = None
    no_header: NoHeader = False
    carry: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="COLUMN ...", help="Columns to carry along; all or none.")
    ] = ("all",)
    top: Annotated[
        int | None, tyro.conf.arg(metavar="COUNT", help="Scores of a row; of more than 100 labels 10 if unset.")
    ] = None
    error_rate: Annotated[
        float | None,
        tyro.conf.arg(metavar="SHARE", help="Add sets of which at most this share lacks the right label."),
    ] = None
    set_method: Annotated[
        Literal["lac", "aps"], tyro.conf.arg(metavar="lac|aps", help="Smallest sets, or larger ones for harder rows.")
    ] = "lac"
    abstain_below: Annotated[
        float | None, tyro.conf.arg(metavar="CONFIDENCE", help="Answer null if the confidence is below.")
    ] = None
    max_tokens: Annotated[
        int, tyro.conf.arg(metavar="TOKENS", help="Maximum tokens per batch; affects only memory.")
    ] = 4096
    precision: Annotated[Precision, tyro.conf.arg(metavar="fp32|bf16|fp16", help="Precision of the network.")] = "fp32"


@dataclass(frozen=True)
class FillMaskArguments:
    """Predict the words for [MASK] with a masked language model, with probabilities.

    tlnlp fill-mask "Berlin is the capital of [MASK]."

    tlnlp fill-mask "The [MASK] barked at the [MASK]." --top 3

    tlnlp fill-mask "The child [MASK] in the garden." --words was were

    [MASK] stands for the checkpoint's mask token. Without a text, JSON lines {"text": "... [MASK] ..."} are read from
    standard input, and predictions are written as JSON lines.
    """

    text: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="TEXT", help="Text with [MASK] in place of a word."),
    ] = ()
    model: Annotated[
        str, tyro.conf.arg(metavar="NAME|FOLDER|HUB_ID", help="Name of a bundled model, local folder, or Hub id.")
    ] = "mini"
    top: Annotated[int, tyro.conf.arg(metavar="COUNT", help="Number of predictions.")] = 5
    pieces: Annotated[int, tyro.conf.arg(metavar="COUNT", help="Maximum number of tokens per word.")] = 2
    words: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="WORD ...", help="Compare the probabilities of these words.")
    ] = ()


@dataclass(frozen=True)
class NextWordArguments:
    """Predict the next word, with probabilities. In a terminal you can choose a word to continue, undo, or type your
    own.

    tlnlp next-word "She opened the"

    tlnlp next-word "The largest city in Iran is" --model gpt2 --once

    Without a text, JSON lines {"text": "..."} are read from standard input, and predictions are written as JSON lines.
    """

    text: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="TEXT", help="Text to continue.")] = None
    model: Annotated[
        str, tyro.conf.arg(metavar="NAME|FOLDER|HUB_ID", help="Name of a bundled model, local folder, or Hub id.")
    ] = "mini-gpt"
    top: Annotated[int, tyro.conf.arg(metavar="COUNT", help="Number of predictions.")] = 8
    once: Annotated[bool, tyro.conf.arg(help="Print the words and exit, also in a terminal.")] = False


@dataclass(frozen=True)
class ConvertArguments:
    """Write the weights of a checkpoint that has only pickles (pytorch_model.bin, adapter_model.bin) as safetensors,
    which all commands read. No code from the pickles is executed; the pickles stay.

    tlnlp convert my-bert

    tlnlp convert my-bert --output-dir my-bert-safetensors
    """

    folder: Annotated[
        Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER", help="A checkpoint with its weights as pickles.")
    ]
    output_dir: Annotated[
        Path | None,
        tyro.conf.arg(metavar="FOLDER", help="Gets the weights, configuration and tokenizer; FOLDER itself if unset."),
    ] = None


@dataclass(frozen=True)
class DemoArguments:
    """Serve a web page on this machine: fill-mask, next word, predictions of a trained model, and the same model before
    fine-tuning. Works without a network connection; no data leave the machine.

    tlnlp demo

    tlnlp demo --run runs/sst2/mini-sample-full
    """

    run: Annotated[
        tuple[Path, ...], tyro.conf.arg(metavar="FOLDER ...", help="Runs whose models are shown: runs/TASK/NAME.")
    ] = ()
    model: Annotated[
        str, tyro.conf.arg(metavar="NAME|FOLDER|HUB_ID", help="Model for fill-mask; none disables it.")
    ] = "mini"
    gpt: Annotated[
        str, tyro.conf.arg(metavar="NAME|FOLDER|HUB_ID", help="Model for the next word; none disables it.")
    ] = "mini-gpt"
    port: Annotated[int, tyro.conf.arg(metavar="NUMBER", help="Port of the page, on 127.0.0.1.")] = 7860


@dataclass(frozen=True)
class ReportArguments:
    """Write an HTML report on a run: scores with intervals, learning curves, confusion matrix, calibration, the rows
    with the largest errors, data, cost. Several runs, or those of a comparison or a matrix, are shown side by side.

    tlnlp report runs/sst2/mini-sample-full

    tlnlp report runs/sst2/mini-sample-full runs/sst2/mini-sample-from_scratch --output both.html

    tlnlp report runs/compare/sst2-sample
    """

    folders: Annotated[
        tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER", help="Output folders of runs.")
    ]
    output: Annotated[
        Path | None, tyro.conf.arg(metavar="FILE", help="Output file; report.html in the first folder if unset.")
    ] = None


@dataclass(frozen=True)
class CheckArguments:
    """Profile the rows before training: label balance, lengths, duplicates within and across splits, near-duplicates,
    tokenizer statistics, and the score of a bag-of-words baseline.

    tlnlp check reviews.csv --columns text=review label=stars

    tlnlp check ../data/mrpc --recipe recipes/mrpc.py --model bert-base-cased

    The role of each column follows from its name, from --columns, or from a recipe.
    """

    data: Annotated[
        str,
        tyro.conf.Positional,
        tyro.conf.arg(metavar="DATA", help="File or folder; with --recipe also sample or hub."),
    ]
    recipe: Annotated[
        Path | None, tyro.conf.arg(metavar="FILE", help="Recipe of the task, for its columns and labels.")
    ] = None
    columns: Annotated[tuple[str, ...], tyro.conf.arg(metavar="ROLE=COLUMN", help="Column of each role.")] = ()
    separator: Separator = None
    encoding: Encoding = None
    no_header: NoHeader = False
    label_names: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="NAME ...", help="Names of labels or tags that are numbers, from 0.")
    ] = ()
    several_labels: Annotated[
        Literal["find", "yes", "no"],
        tyro.conf.arg(metavar="find|yes|no", help="Labels of a row: one or several; found if unset."),
    ] = "find"
    label_separator: Annotated[
        str | None, tyro.conf.arg(metavar="TEXT", help="What stands between several labels in a cell.")
    ] = None
    model: Annotated[
        str, tyro.conf.arg(metavar="NAME|FOLDER|HUB_ID", help="Checkpoint whose tokenizer counts tokens.")
    ] = "mini"
    max_length: Annotated[
        int | None, tyro.conf.arg(metavar="TOKENS", help="Maximum length; the recipe's if unset.")
    ] = None
    quick: Annotated[bool, tyro.conf.arg(help="Skip near-duplicates and the bag-of-words baseline.")] = False
    json: Annotated[bool, tyro.conf.arg(help="Print a JSON object instead of text.")] = False


@dataclass(frozen=True)
class CacheArguments:
    """What the cache holds: large files as they were read, and their rows as a tokenizer encoded them, each once for
    all processes, seeds, resumes and runs. All of it is made again when it is needed.

    tlnlp cache

    tlnlp cache --clear

    tlnlp cache --above 20

    The folder is $TLNLP_CACHE, or tlnlp in $XDG_CACHE_HOME or ~/.cache. Above $TLNLP_CACHE_GB gigabytes (50 if unset)
    what was not used for the longest time is deleted.
    """

    clear: Annotated[bool, tyro.conf.arg(help="Delete all of it.")] = False
    above: Annotated[
        float | None,
        tyro.conf.arg(metavar="GIGABYTES", help="Delete what was not used for the longest time, down to this size."),
    ] = None


@dataclass(frozen=True)
class MatrixArguments:
    """How well does a checkpoint transfer from each language to each other? Trains on each of --train-languages
    separately and evaluates in all --languages; a table and a heat map show the scores.

    tlnlp matrix recipes/sentiment_zero_shot.py --data $DATA/xed --train-languages en de fr --seeds 3

    All other flags are passed to the recipe, as in --languages en de fr ru --epochs 3 --strategy lora. Finished runs
    are not repeated: the same command continues an interrupted matrix.
    """

    recipe: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RECIPE.py", help="A cross-lingual recipe.")]
    train_languages: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="LANGUAGE ...", help="Source languages; each is trained on separately.")
    ]
    models: Annotated[
        tuple[str, ...],
        tyro.conf.arg(metavar="MODEL ...", help="Checkpoints to compare; the recipe's --model if unset."),
    ] = ()
    seeds: Annotated[int, tyro.conf.arg(metavar="COUNT", help="Number of runs per cell, with seeds 0 to COUNT-1.")] = 3
    workers: Annotated[
        int | None,
        tyro.conf.arg(metavar="COUNT", help="Number of runs at a time; one per GPU, or one on a CPU if unset."),
    ] = None
    output_dir: Annotated[
        Path | None, tyro.conf.arg(metavar="FOLDER", help="Output folder; runs/matrix/TASK-DATA if unset.")
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
