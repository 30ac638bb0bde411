"""Every command in README.md and docs/: its flags are real, and it runs (marked long) on files made for it."""

from __future__ import annotations

import csv
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import tyro
from safetensors.torch import load_file

from tests.exports import write_exports
from tests.recipe_runs import ROOT, load_recipe
from tlnlp import cli
from tlnlp.commands import matrix
from tlnlp.experiments import arguments as comparing
from tlnlp.experiments.arguments import part
from tlnlp.recipe import recipe_files

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
# What cannot run here, and why.
NEEDS_THE_HUB = ("--full", "bert-base-uncased", "gpt2", "my-org/")
NEEDS_REAL_DATA = (
    "$DATA",
    "--num_processes 8",
    "--nnodes 2",
    "make benchmark",
    "make test",
    "make quickstart",
    "make check",
)
NEEDS_MORE = ("git clone", "pip install", "tlnlp demo")
# So that a command takes seconds: behind the flags of recipes that do not say otherwise.
QUICK = {"--epochs": "1", "--train-rows": "60"}
FIRST_WORDS = ("tlnlp", "python recipes/", "python spam.py", "accelerate launch", "torchrun", "make ", "pip ")


def commands() -> Iterator[tuple[str, str]]:
    """(page, command) for each command in an indented block; comments left out, lines joined that go on."""
    for page in PAGES:
        text = re.sub(r"\\\n\s+", "", page.read_text(encoding="utf-8"))
        for line in text.splitlines():
            command = re.sub(r"\s{2,}#.*", "", line).strip()
            if line.startswith("    ") and command.startswith(FIRST_WORDS) and not re.match(r"tlnlp\w*:", command):
                yield page.name, command


COMMANDS = sorted({command for _, command in commands()})


def is_run(command: str) -> bool:
    return not any(word in command for word in (*NEEDS_THE_HUB, *NEEDS_REAL_DATA, *NEEDS_MORE))


def test_the_pages_have_commands_and_most_of_them_run() -> None:
    assert len(COMMANDS) >= 40
    assert sum(map(is_run, COMMANDS)) >= 25
    inline = [each for page in PAGES for each in re.findall(r"`((?:tlnlp|python) [^`]+)`", page.read_text())]
    assert all(each.split()[1] in cli.COMMANDS or each.split()[0] == "python" for each in inline)


def test_the_flags_of_commands_within_a_line_are_real() -> None:
    inline = {each for page in PAGES for each in re.findall(r"`tlnlp run ([^`]+)`", page.read_text(encoding="utf-8"))}
    flagged = [words for each in inline if len(words := shlex.split(each)) > 1 and words[0] in recipe_files()]
    assert len(flagged) >= 10
    for words in flagged:
        load_recipe(words[0]).parse(words[1:])


def test_every_command_stands_in_a_block_of_code() -> None:
    for page in PAGES:
        text = re.sub(r"(?s)```.*?```", "", page.read_text(encoding="utf-8"))
        loose = [
            line for line in text.splitlines() if line.startswith(("tlnlp ", "python ", "accelerate ", "torchrun "))
        ]
        assert loose == [], page.name


def spam_recipe(folder: Path) -> Path:
    """The recipe that the page on writing one shows, as a file."""
    page = (ROOT / "docs" / "write-a-recipe.md").read_text(encoding="utf-8")
    found = re.search(r"(?s)```python\n(.*?)```", page)
    assert found is not None
    (folder / "spam.py").write_text(found[1])
    return folder / "spam.py"


def test_the_recipe_on_the_page_is_one(tmp_path: Path) -> None:
    recipe = comparing.load_recipe(spam_recipe(tmp_path))
    assert recipe.parse(["--data", "messages.csv"], "").epochs == 3
    assert (recipe.task.name, recipe.task.labels) == ("spam", ("ham", "spam"))


@pytest.mark.parametrize("command", COMMANDS)
def test_the_flags_of_every_command_are_real(command: str) -> None:
    words = shlex.split(command.partition(" < ")[0])
    if words[0] in ("make", "pip"):
        targets = re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text())
        assert words[0] == "pip" or words[1] in targets
        return
    if words[0] == "tlnlp":
        parse_command(words[1], words[2:])
        return
    script = next(word for word in words if word.endswith(".py"))
    flags = words[words.index(script) + 1 :]
    recipe = load_recipe(Path(script).stem) if script != "spam.py" else load_recipe("own_classification")
    if "--help" not in flags:
        recipe.parse(flags, "")


def parse_command(name: str, arguments: list[str]) -> None:
    if name == "run":
        load_recipe(arguments[0]).parse(arguments[1:])
        return
    if name in ("compare", "matrix"):
        kind: type = comparing.CompareArguments if name == "compare" else matrix.MatrixArguments
        own, passed = part(arguments, kind, f"tlnlp {name}")
        tyro.cli(kind, args=own, config=(tyro.conf.FlagCreatePairsOff,))
        load_recipe(Path(own[0]).stem).parse(passed)
        return
    module = cli.COMMANDS[name][1]
    kind = getattr(module, f"{name.title().replace('-', '')}Arguments")
    tyro.cli(kind, args=arguments, config=(tyro.conf.FlagCreatePairsOff,))


def python_blocks(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like the repository's, with the files that the pages speak of."""
    folder = tmp_path_factory.mktemp("docs")
    (folder / "recipes").symlink_to(ROOT / "recipes")
    samples = ROOT / "tlnlp" / "bundled" / "samples"
    reviews = [json.loads(line) for line in (samples / "reviews" / "train.jsonl").read_text().splitlines()]
    with (folder / "reviews.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["review", "stars"], *([row["text"], row["label"]] for row in reviews)])
    (folder / "reviews.txt").write_text("\n".join(row["text"] for row in reviews) + "\n")
    shutil.copytree(samples / "reviews", folder / "my_reviews")
    tagged = [json.loads(line) for line in (samples / "entities" / "train.jsonl").read_text().splitlines()]
    pairs = [zip(row["words"], row["tags"], strict=True) for row in tagged]
    (folder / "corpus.conll").write_text("\n".join("".join(f"{w} {t}\n" for w, t in each) for each in pairs))
    asked = [json.loads(line) for line in (samples / "passages" / "train.jsonl").read_text().splitlines()]
    with (folder / "faq.csv").open("w", newline="") as file:
        rows = [[row["question"], row["context"], "".join(row["answers"]["text"][:1])] for row in asked]
        csv.writer(file).writerows([["ask", "page", "reply"], *rows])
    (folder / "lines.jsonl").write_text('{"text": "The dog [MASK]."}\n')
    write_exports(folder)
    mini = ROOT / "tlnlp" / "bundled" / "mini"
    for name in ("my_bert", "my_old_bert"):
        shutil.copytree(mini, folder / name)
    (folder / "my_old_bert" / "model.safetensors").unlink()
    torch.save(load_file(mini / "model.safetensors"), folder / "my_old_bert" / "pytorch_model.bin")
    spam_recipe(folder)
    (folder / "mine.py").write_text(python_blocks(ROOT / "docs" / "own-parts.md")[0])
    with (folder / "messages.csv").open("w", newline="") as file:
        rows = [[row["text"], ("ham", "spam")[row["label"]]] for row in reviews]
        csv.writer(file).writerows([["message", "kind"], *rows])
    (folder / "others").mkdir()
    for language in ("de", "fa"):
        shutil.copy(folder / "reviews.csv", folder / "others" / f"{language}.csv")
    return folder


@pytest.mark.long
@pytest.mark.parametrize("command", [each for each in COMMANDS if is_run(each)])
def test_every_command_runs(command: str, place: Path) -> None:
    if "FOLDER" in command or "tlnlp report" in command:
        pytest.skip("stands for folders of one's own")
    command, _, given = command.partition(" < ")
    words = shlex.split(command)
    if any(word.endswith(".py") for word in words) and not {"check", "--help"} & set(words):
        # `tlnlp compare` and `tlnlp matrix` draw their train rows themselves.
        quick = {flag: value for flag, value in QUICK.items() if words[0] != "tlnlp" or flag != "--train-rows"}
        words += [word for flag, value in quick.items() if flag not in words for word in (flag, value)]
    launch = {"tlnlp": ["-m", "tlnlp.cli"], "accelerate": ["-m", "accelerate.commands.accelerate_cli"],
              "torchrun": ["-m", "torch.distributed.run"], "python": []}  # fmt: skip
    ended = subprocess.run(
        [sys.executable, *launch[words[0]], *words[1:]], cwd=place, capture_output=True, text=True, check=False,
        stdin=(place / given).open() if given else subprocess.DEVNULL,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
