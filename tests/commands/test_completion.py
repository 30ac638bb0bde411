"""`tlnlp completion`: what bash, zsh and fish make of the script, each asked itself."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import pytest

from tests.recipe_runs import ROOT
from tlnlp import cli
from tlnlp.commands.completion import ARGUMENTS, script_for
from tlnlp.recipe import recipe_files
from tlnlp.settings import Settings

PATIENCE_SECONDS = 60.0


def needs(shell: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(shell) is None, reason=f"there is no {shell} here")


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the three scripts, and a python3 first on the path that has the standard library alone."""
    folder = tmp_path_factory.mktemp("completion")
    for shell, name in (("bash", "bash"), ("zsh", "_tlnlp"), ("fish", "fish")):
        (folder / name).write_text(script_for(shell))
    plain = folder / "bin" / "python3"
    plain.parent.mkdir()
    plain.write_text(f'#!/bin/sh\nexec {sys.executable} -S -E "$@"\n')
    plain.chmod(0o755)
    return folder


def environment(scripts: Path) -> dict[str, str]:
    return {**os.environ, "PATH": f"{scripts / 'bin'}{os.pathsep}{os.environ['PATH']}"}


def completed_by_bash(scripts: Path, *lines: Sequence[str]) -> list[list[str]]:
    """What bash's COMPREPLY holds at the end of each line, of which the last word is being typed."""
    code = [f"source {scripts / 'bash'}"]
    for line in lines:
        words = " ".join(f"'{word}'" for word in ("tlnlp", *line))
        code += [f"COMP_WORDS=({words}); COMP_CWORD={len(line)}; _tlnlp tlnlp", 'echo "${COMPREPLY[*]}"']
    ended = subprocess.run(
        ["bash", "--norc", "-c", "\n".join(code)], env=environment(scripts), cwd=ROOT, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert ended.stderr == ""
    return [answer.split() for answer in ended.stdout.splitlines()]


def flags_of(kind: type) -> set[str]:
    return {f"--{each.name.replace('_', '-')}" for each in fields(kind)}


def test_every_subcommand_has_a_completion() -> None:
    assert {"run", *ARGUMENTS} == set(cli.COMMANDS)


def test_bash_completes_subcommands_recipes_flags_and_their_values(scripts: Path) -> None:
    asked = {
        ("",): {"-h", "--help", *cli.COMMANDS},
        ("fi",): {"fill-mask"},
        ("run", ""): {"-h", "--help", *recipe_files()},
        ("run", "sst2", "--lea"): {"--learning-rate", "--least-updates"},
        ("run", "conll2003", "--"): {"--help", *flags_of(Settings)},
        ("run", "sst2", "--schedule", "c"): {"cosine", "constant"},
        ("run", "sst2", "--epochs", "3", "--prec"): {"--precision"},
        ("predict", "a_model", "--precision", "b"): {"bf16"},
        ("check", "--json", "--qu"): {"--quick"},
        ("run", "sst2", "--data", "READ"): {"README.md"},
        ("nothing-like-it",): set(),
    }
    for line, found in zip(asked, completed_by_bash(scripts, *asked), strict=True):
        assert set(found) == asked[line], line


def test_bash_completes_the_flags_of_every_subcommand(scripts: Path) -> None:
    offered = completed_by_bash(scripts, *([name, "--"] for name in ARGUMENTS))
    for (name, kind), found in zip(ARGUMENTS.items(), offered, strict=True):
        flags = set(found) - {"--help"}
        assert flags <= flags_of(kind), name
        assert len(flags_of(kind) - flags) <= 2, f"{name}: what is no flag is positional"


def test_what_is_no_flag_is_left_to_bash_which_knows_files(scripts: Path) -> None:
    assert completed_by_bash(scripts, ["check", "READ"]) == [[]]
    code = f"source {scripts / 'bash'}; complete -p tlnlp"
    said = subprocess.run(["bash", "--norc", "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["complete", "-o", "default", "-F", "_tlnlp", "tlnlp"]


@needs("fish")
def test_fish_completes_the_same(scripts: Path) -> None:
    asked = {"tlnlp run ss": ["sst2"], "tlnlp fill-mask --pi": ["--pieces"], "tlnlp check READ": ["README.md"]}
    code = "".join(f"\ncomplete -C '{line}'; echo ==" for line in asked)
    ended = subprocess.run(
        ["fish", "--no-config", "-c", f"source {scripts / 'fish'}{code}"], env=environment(scripts), cwd=ROOT,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = [[line.split("\t")[0] for line in each.split("\n") if line] for each in ended.stdout.split("==\n")[:-1]]
    assert found == list(asked.values())


@needs("zsh")
def test_zsh_completes_the_same(scripts: Path) -> None:
    """At a terminal, since nothing else makes zsh complete."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(ROOT)
        os.execvpe("zsh", ["zsh", "-f", "-i"], {**environment(scripts), "TERM": "dumb"})

    def type_and_wait(typed: str, expected: str) -> None:
        os.write(terminal, typed.encode())
        said, until = "", time.monotonic() + PATIENCE_SECONDS
        while expected not in said:
            assert time.monotonic() < until, f"{typed!r}: {said!r}"
            if select.select([terminal], [], [], 0.1)[0]:
                said += os.read(terminal, 65536).decode(errors="replace")

    try:
        type_and_wait(f"fpath=({scripts} $fpath); autoload -Uz compinit; compinit -u -D; print re''ady\n", "ready")
        kill_line = "\x15"
        for typed, expected in (
            ("tlnlp fil\t", "fill-mask "),
            ("tlnlp run ss\t", "sst2 "),
            ("tlnlp run sst2 --quie\t", "--quiet "),
            ("tlnlp check READ\t", "README.md "),
        ):
            type_and_wait(typed, expected)
            os.write(terminal, kill_line.encode())
    finally:
        os.close(terminal)
        os.waitpid(child, 0)


def test_the_script_is_made_without_heavy_libraries() -> None:
    code = (
        "import sys; from tlnlp.commands.completion import script_for; script_for('bash');"
        "print([name for name in ('torch', 'transformers', 'datasets', 'numpy') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
