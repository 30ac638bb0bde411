"""The settings: type, unit, default and source of the default for every flag. The command line is generated from this
class."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from tlnlp.errors import InputError, did_you_mean

# Floating-point format of the network's computations.
Precision = Literal["fp32", "tf32", "bf16", "fp16"]


def _flag(unit: str, text: str) -> Any:
    return tyro.conf.arg(metavar=unit, help=text)


@dataclass(frozen=True)
class Settings:
    """The settings of a run. All recipes have the same flags; a recipe can set other defaults."""

    model: Annotated[str, _flag("NAME|FOLDER|HUB_ID", "Checkpoint: bundled name, local folder, or Hub id.")] = "mini"
    data: Annotated[
        str,
        _flag("sample|hub|PATH", "Rows: bundled sample, published set, or a file or folder (jsonl csv tsv parquet)."),
    ] = "sample"
    columns: Annotated[
        tuple[str, ...], _flag("ROLE=COLUMN", "Which column plays which role, e.g. text=review label=stars.")
    ] = ()
    label_names: Annotated[
        tuple[str, ...],
        _flag("NAME ...", "Names of labels or tags that are numbers in the rows, in order from 0, e.g. O B-PER I-PER."),
    ] = ()
    train_file: Annotated[
        str | None, _flag("FILE", "Rows to learn from, whatever the file's name, in place of --data.")
    ] = None
    dev_file: Annotated[str | None, _flag("FILE", "Dev rows, with --train-file or --data PATH; cut off if unset.")] = (
        None
    )
    test_file: Annotated[
        str | None, _flag("FILE", "Rows that are only reported on, with --train-file or --data PATH.")
    ] = None
    dev_fraction: Annotated[
        float | None,
        _flag("FRACTION", "Share of train cut off as dev rows, if there are none; at most 2,000 rows of 0.1 if unset."),
    ] = None
    separator: Annotated[
        str | None, _flag("CHARACTER", "What separates the fields of a table (; or tab or ...); found if unset.")
    ] = None
    encoding: Annotated[
        str | None, _flag("NAME", "Encoding of text files: cp1252 (Excel on Windows), ...; UTF-8 if unset.")
    ] = None
    no_header: Annotated[
        bool, _flag("", "The first line of a table is a row: columns are named 1, 2, 3: --columns text=2 label=1.")
    ] = False
    train_language: Annotated[
        tuple[str, ...],
        _flag("LANGUAGE ...", "Cross-lingual tasks: learn from these; the first one's dev rows are the task's own."),
    ] = ()
    languages: Annotated[
        tuple[str, ...],
        _flag("LANGUAGE ...", "Cross-lingual tasks: answer in these as well; all that there are if unset."),
    ] = ()
    transfer_data: Annotated[
        str | None,
        _flag("FOLDER", "Their rows, where they are not in --data: FOLDER/de/ or FOLDER/de.jsonl and so on."),
    ] = None
    few_shot: Annotated[
        int | None, _flag("ROWS", "Learn from so many rows of each of --languages, too (few-shot; none if unset).")
    ] = None
    show_oracle: Annotated[
        bool,
        _flag("", "Score --languages after each epoch, to say what choosing by them would have changed. Never used."),
    ] = False
    full: Annotated[bool, _flag("", "The published run: its model, its data from the Hub, its hyperparameters.")] = (
        False
    )
    strategy: Annotated[
        str,
        _flag("NAME[:OPTION=VALUE,...]", "What learns, when and how fast, e.g. top_layers:k=2; the README has them."),
    ] = "full"
    epochs: Annotated[int, _flag("EPOCHS", "Passes over the train rows. Source: Devlin et al. 2019, A.3 (2 to 4).")] = 3
    batch_size: Annotated[
        int, _flag("ROWS", "Rows of one update over all processes. Source: Devlin et al. 2019, A.3 (16 or 32).")
    ] = 32
    learning_rate: Annotated[
        float, _flag("LR", "Peak rate of AdamW. Source: Devlin et al. 2019, A.3 (2e-5 to 5e-5).")
    ] = 5e-5
    warmup_fraction: Annotated[
        float, _flag("FRACTION", "Share of updates with a rising rate. Source: Mosbach et al. 2021, section 6 (0.1).")
    ] = 0.1
    schedule: Annotated[
        Literal["linear", "cosine", "slanted", "constant"],
        _flag("linear|cosine|slanted|constant", "Fall of the rate after the warm-up. Source: Devlin et al. 2019, A.2."),
    ] = "linear"
    least_updates: Annotated[
        int | None,
        _flag(
            "UPDATES",
            "More epochs where these would be fewer updates: few rows want many passes (Mosbach et al. 2021).",
        ),
    ] = None
    small_data: Annotated[
        bool, _flag("", "For few rows: 20 epochs, 10 % of warm-up, linear. Source: Mosbach et al. 2021, section 6.")
    ] = False
    weight_decay: Annotated[
        float,
        _flag(
            "RATE",
            "Decay of matrices; none of biases, norms and lookup tables. Source: Devlin et al. 2019, A.2 (0.01).",
        ),
    ] = 0.01
    max_grad_norm: Annotated[
        float, _flag("NORM", "Gradients are clipped to this length. Source: the code of Devlin et al. 2019 (1.0).")
    ] = 1.0
    max_length: Annotated[
        int, _flag("TOKENS", "Longer rows are cut, and that is said. Source: Devlin et al. 2019's GLUE runs (128).")
    ] = 128
    truncate: Annotated[
        tuple[str, ...],
        _flag("ROLE=SIDE", "What gives way in longer rows: end, start or never, e.g. text=start text_pair=never."),
    ] = ()
    windows: Annotated[
        Literal["none", "mean"],
        _flag("none|mean", "Longer rows (one answer per row): cut, or in windows whose logits are averaged."),
    ] = "none"
    max_tokens: Annotated[
        int, _flag("TOKENS", "Budget of a micro-batch: for memory, never for the result. Source: 128 x 32 = 4096.")
    ] = 4096
    micro_batches: Annotated[
        int | None,
        _flag("COUNT", "Each update is cut in at least so many, to be shared by processes; as many as those if unset."),
    ] = None
    compile: Annotated[
        bool, _flag("", "Compile the layers (torch.compile): a minute or so at the start, faster updates on a GPU.")
    ] = False
    compute_padding: Annotated[
        bool, _flag("", "Run all layers on padded batches: slower; what is learnt is the same.")
    ] = False
    precision: Annotated[
        Precision | None,
        _flag("fp32|tf32|bf16|fp16", "Arithmetic of the network; if unset bf16 on a GPU that has it. Weights: fp32."),
    ] = None
    load_in: Annotated[
        Literal["fp32", "bf16", "8bit", "4bit"],
        _flag("fp32|bf16|8bit|4bit", "Frozen weights under an adapter, which learns in fp32 (QLoRA: Dettmers 2023)."),
    ] = "fp32"
    gradient_checkpointing: Annotated[
        bool, _flag("", "Compute activations again in the backward pass: less memory, more time, the same gradients.")
    ] = False
    seed: Annotated[int, _flag("SEED", "Everything random follows from it: head, order, dropout, splits.")] = 0
    seeds: Annotated[int, _flag("COUNT", "Run seeds 0 to COUNT-1 and report mean, spread and degenerate runs.")] = 1
    train_rows: Annotated[
        int | None, _flag("ROWS", "Train on so many rows, drawn by --seed and balanced as the data are; all if unset.")
    ] = None
    loss: Annotated[
        Literal["cross_entropy", "focal"],
        _flag("cross_entropy|focal", "focal: what is right already counts less. Source: Lin et al. 2017."),
    ] = "cross_entropy"
    focal_gamma: Annotated[
        float, _flag("GAMMA", "--loss focal only: how much less. Source: Lin et al. 2017, section 4.1 (2.0).")
    ] = 2.0
    class_weights: Annotated[
        Literal["none", "balanced"],
        _flag("none|balanced", "Rare labels and tags count more, by their frequency. Source: King and Zeng 2001."),
    ] = "none"
    several_labels: Annotated[
        Literal["find", "yes", "no"],
        _flag("find|yes|no", "Labels of a row that the recipe does not declare: one or several; found if unset."),
    ] = "find"
    label_separator: Annotated[
        str | None, _flag("TEXT", 'What stands between several labels in a cell, e.g. ";"; found if unset.')
    ] = None
    thresholds: Annotated[
        Literal["tune", "0.5"],
        _flag("tune|0.5", "Several labels: a row has a label above this probability; tuned on dev for each label."),
    ] = "tune"
    metrics: Annotated[
        tuple[str, ...],
        _flag("NAME ...", "Ours, scikit-learn's or MODULE:FUNCTION; the first one decides. The recipe's if unset."),
    ] = ()
    positive: Annotated[
        str | None, _flag("LABEL", "The label that F1, precision and recall are of; the rarer of two if unset.")
    ] = None
    merge: Annotated[bool, _flag("", "lora and ia3 only: the saved model has the adapter merged into its weights.")] = (
        False
    )
    new_head: Annotated[
        bool, _flag("", "Drop the checkpoint's own head, whatever its labels, and begin a new one.")
    ] = False
    resize_embeddings: Annotated[
        bool, _flag("", "New rows in the embedding table for tokens that were added to the checkpoint's tokenizer.")
    ] = False
    fix_answers: Annotated[
        bool,
        _flag("", "Question answering only: a start that does not point at its answer moves to the nearest match."),
    ] = False
    keep: Annotated[
        Literal["last", "best"],
        _flag("last|best", "Weights that are kept; best is chosen on dev and reported on rows that did not choose."),
    ] = "last"
    patience: Annotated[
        int | None,
        _flag("EPOCHS", "A phase ends after so many epochs without a better dev score; keeps the best weights."),
    ] = None
    mask_fraction: Annotated[
        float,
        _flag("FRACTION", "Masked-word training only: share of tokens to guess. Source: Devlin et al. 2019, 3.1."),
    ] = 0.15
    lm_weight: Annotated[
        float,
        _flag(
            "WEIGHT", "gpt head only: weight of the language-model loss beside the task's. Source: Radford 2018, 4.1."
        ),
    ] = 0.5
    window_overlap: Annotated[
        int,
        _flag(
            "TOKENS",
            "Rows in windows: tokens that neighbours share. Source: run_squad (128).",
        ),
    ] = 128
    max_answer: Annotated[
        int, _flag("TOKENS", "Question answering only: longest answer. Source: the code of Devlin et al. 2019 (30).")
    ] = 30
    recompute_frozen: Annotated[
        bool, _flag("", "Run frozen layers anew in each epoch, instead of once with what they answer kept on disk.")
    ] = False
    frozen_dir: Annotated[
        Path | None,
        _flag("FOLDER", "Where that is kept for other runs too. If unset: in the output folder, removed at the end."),
    ] = None
    no_cache: Annotated[
        bool,
        _flag("", "Read and encode large data anew, not once for all runs; tlnlp cache shows what is kept."),
    ] = False
    output_dir: Annotated[Path | None, _flag("FOLDER", "Where the run goes; runs/TASK/NAME if unset.")] = None
    resume: Annotated[bool, _flag("", "Go on from the newest whole checkpoint of this run.")] = False
    overwrite: Annotated[bool, _flag("", "Delete what is in the output folder and start anew.")] = False
    save_every: Annotated[
        int | None, _flag("UPDATES", "A checkpoint after so many updates; every two minutes if unset.")
    ] = None
    tracker: Annotated[
        str | None, _flag("NAME", "Also log to an Accelerate tracker (tensorboard, wandb, ...); none if unset.")
    ] = None
    push_to: Annotated[
        str | None, _flag("ORG/NAME", "Also write the model to the Hub, which must know us: hf auth login.")
    ] = None
    no_report: Annotated[bool, _flag("", "Leave report.html out; tlnlp report FOLDER makes it at any time.")] = False
    quiet: Annotated[bool, _flag("", "Only the score, as one line.")] = False
    config: Annotated[
        Path | None,
        _flag("FILE", "Settings from a YAML or JSON file; a run's result.json is one. Flags win over it."),
    ] = None

    def __post_init__(self) -> None:
        _check_ranges(self)
        _check_conflicts(self)

    @property
    def chooses_on_dev(self) -> bool:
        """Whether weights are selected by their dev score: the result must then be reported on other rows."""
        return self.keep == "best" or self.patience is not None

    @property
    def data_name(self) -> str:
        """The name of the data, without folders and suffixes."""
        return Path(self.train_file or self.data).name.split(".")[0]

    def columns_by_role(self) -> dict[str, str]:
        """Returns {role: column} from `--columns role=column ...`."""
        return dict(each.split("=", 1) for each in self.columns)

    def truncation_by_role(self) -> dict[str, str]:
        """Returns {role: "end", "start" or "never"} from `--truncate role=side ...`."""
        return dict(each.split("=", 1) for each in self.truncate)


@dataclass(frozen=True)
class UncheckedSettings(Settings):
    """Settings without validation, for parsing the command line: errors raised inside tyro would be reported in its own
    format."""

    def __post_init__(self) -> None:
        """Does nothing: values are validated when they are converted to `Settings`."""


# Fine-tuning on few rows fails mainly because of too few updates (Mosbach et al. 2021, sections 5 and 6). Their third
# remedy, bias correction in Adam, is always on.
SMALL_DATA: dict[str, Any] = {"epochs": 20, "warmup_fraction": 0.1, "schedule": "linear"}
# The end from which a text is truncated.
SIDES = ("end", "start", "never")
# Flags that say where the rows are and how they are read: not part of a folder's name, which may hold no separators.
HOW_DATA_ARE_READ = ("train_file", "dev_file", "test_file", "separator", "encoding", "no_header")
# Flags that decide where and how a run is saved, not its result: they may change when it is resumed.
NOT_OF_THE_RUN = (
    *("output_dir", "frozen_dir", "no_cache", "resume", "overwrite", "save_every"),
    *("tracker", "push_to", "no_report", "quiet", "seeds", "config"),
)

_AT_LEAST = {
    **dict.fromkeys(
        (
            "epochs",
            "batch_size",
            "max_tokens",
            "micro_batches",
            "seeds",
            "train_rows",
            "save_every",
            "max_answer",
            "patience",
            "least_updates",
            "few_shot",
        ),
        1,
    ),
    **dict.fromkeys(("seed", "weight_decay", "warmup_fraction", "lm_weight", "window_overlap", "focal_gamma"), 0),
    "max_length": 4,
}
_ABOVE_ZERO = ("learning_rate", "max_grad_norm", "mask_fraction", "dev_fraction")
# Ten: no published fine-tuning of a pre-trained network uses a peak learning rate above 1; a value above ten is a
# typing error.
_AT_MOST = {
    "learning_rate": 10,
    "warmup_fraction": 1,
    "mask_fraction": 0.9,
    "weight_decay": 1,
    "seed": 2**31 - 1,
    "dev_fraction": 0.9,
}


def _check_ranges(settings: Settings) -> None:
    for name, least in _AT_LEAST.items():
        value = getattr(settings, name)
        if value is not None and not value >= least:
            raise _out_of_range(name, f"at least {least}", value)
    for name in _ABOVE_ZERO:
        if getattr(settings, name) is not None and not getattr(settings, name) > 0:
            raise _out_of_range(name, "a number above 0", getattr(settings, name))
    for name, most in _AT_MOST.items():
        if getattr(settings, name) is not None and not getattr(settings, name) <= most:
            raise _out_of_range(name, f"at most {most}", getattr(settings, name))


def _out_of_range(name: str, expected: str, value: object) -> InputError:
    flag = "--" + name.replace("_", "-")
    return InputError(expected=f"{flag}: {expected}", found=f"{value}", change=f"the value of {flag}")


def _check_conflicts(settings: Settings) -> None:
    if settings.max_tokens < settings.max_length:
        raise InputError(
            expected="a token budget in which the longest row fits",
            found=f"--max-tokens {settings.max_tokens} below --max-length {settings.max_length}",
            change="raise --max-tokens or lower --max-length",
        )
    if settings.resume and settings.overwrite:
        raise InputError(
            expected="one of --resume and --overwrite",
            found="both",
            change="--resume to go on, or --overwrite to start anew",
        )
    if settings.seeds > 1 and settings.seed != 0:
        raise InputError(
            expected="--seed S for one run, or --seeds N for the runs 0 to N-1",
            found=f"--seed {settings.seed} and --seeds {settings.seeds}",
            change="leave one of them out",
        )
    for each in settings.columns:
        role, _, column = each.partition("=")
        if not role or not column:
            raise InputError(
                expected="--columns ROLE=COLUMN ..., e.g. text=review label=stars",
                found=each,
                change="write ROLE=COLUMN",
            )
    roles = [each.partition("=")[0] for each in settings.columns]
    if twice := [role for role in dict.fromkeys(roles) if roles.count(role) > 1]:
        raise InputError(
            expected="one column for each role",
            found=f"--columns {' '.join(settings.columns)}",
            change=f"leave one {twice[0]}=COLUMN",
        )
    _check_truncation(settings)
    if settings.full and settings.data not in ("hub", "sample"):
        raise InputError(
            expected="--full (the published data) or --data PATH (your own)",
            found=f"--full and --data {settings.data}",
            change=f"leave out --full and name the model: --model HUB_ID --data {settings.data}",
        )


def _check_truncation(settings: Settings) -> None:
    for each in settings.truncate:
        if each.partition("=")[2] not in SIDES:
            raise InputError(
                expected=f"--truncate ROLE=SIDE ..., where a side is one of {', '.join(SIDES)}",
                found=f"{each}{did_you_mean(each.partition('=')[2], SIDES)}",
                change="write e.g. --truncate text=start",
            )
    if settings.truncate and settings.windows != "none":
        raise InputError(
            expected="one of --truncate and --windows: in windows nothing of a row is left out",
            found=f"--truncate {' '.join(settings.truncate)} and --windows {settings.windows}",
            change="leave one of them out",
        )


def changed_settings(settings: Settings, defaults: Settings) -> dict[str, Any]:
    """Returns the settings that differ from `defaults`, without those that do not affect the result."""
    return {
        each.name: getattr(settings, each.name)
        for each in fields(Settings)
        if each.name not in NOT_OF_THE_RUN and getattr(settings, each.name) != getattr(defaults, each.name)
    }
