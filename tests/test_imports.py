"""Imports go one way, in the order of the flow; what only declares something brings no heavy library."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.recipe_runs import ROOT

# From what knows nothing to what knows all: the rooms of the house (folders and single modules of tlnlp/). A module may
# import from its own room and from those before it. The package itself, the front door, comes last.
ROOMS = (
    "errors", "lazy", "display", "settings", "task", "recipe", "data", "transfer", "heads", "training",
    "acceleration", "models", "evaluation", "runs", "inference", "experiments", "reporting", "demo", "run", "commands",
    "cli", "__main__", "",
)  # fmt: skip
# What a room says that it is blind to, in the order of the rooms it could otherwise see. Not even in annotations.
BLIND = {
    "tlnlp.display": ("tlnlp.settings", "tlnlp.task", "tlnlp.transfer", "tlnlp.training"),
    "tlnlp.data": ("tlnlp.recipe", "tlnlp.heads", "tlnlp.models"),
    "tlnlp.heads": ("tlnlp.recipe", "tlnlp.models", "tlnlp.transfer", "tlnlp.training"),
    "tlnlp.transfer": ("tlnlp.settings", "tlnlp.task", "tlnlp.recipe", "tlnlp.data", "tlnlp.heads", "tlnlp.models"),
    "tlnlp.training": ("tlnlp.recipe", "tlnlp.data", "tlnlp.heads.sentence", "tlnlp.heads.masked_lm",
                       "tlnlp.transfer.strategies", "tlnlp.acceleration", "tlnlp.models", "tlnlp.evaluation"),
    "tlnlp.training.plan": ("tlnlp.task", "tlnlp.heads", "tlnlp.transfer", "tlnlp.settings"),
    "tlnlp.acceleration": ("tlnlp.task", "tlnlp.recipe", "tlnlp.data", "tlnlp.transfer.strategies", "tlnlp.models"),
    "tlnlp.evaluation": ("tlnlp.transfer", "tlnlp.acceleration", "tlnlp.models", "tlnlp.runs"),
    "tlnlp.runs": ("tlnlp.experiments", "tlnlp.inference"),
    "tlnlp.inference": ("tlnlp.experiments", "tlnlp.reporting"),
}  # fmt: skip
SCRIPTS = (*(ROOT / "benchmarks").glob("*.py"), *(ROOT / "research" / "mini").glob("*.py"))
OWN = {"tlnlp", "recipes", "research", "docs", "tests", "benchmarks"} | {path.stem for path in SCRIPTS}
HEAVY = ("torch", "transformers", "datasets", "accelerate", "evaluate", "peft", "numpy", "pyarrow")


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {_name(path): path for path in sorted((ROOT / "tlnlp").rglob("*.py"))}


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def _imports(module: str, *, annotations: bool) -> frozenset[str]:
    """The modules of the library that `module` imports; with `annotations` also those for annotations only."""
    tree = _tree(MODULES[module])
    left_out = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not annotations:
            left_out |= {id(inner) for statement in node.body for inner in ast.walk(statement)}
    return frozenset(name for node in ast.walk(tree) if id(node) not in left_out for name in _imported(node))


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "tlnlp")
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are written in full"
        if (node.module or "").split(".")[0] == "tlnlp":
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else str(node.module)


def _room(module: str) -> str:
    """The folder or single module of tlnlp/ that the module is in; "" of the package itself."""
    return module.partition(".")[2].partition(".")[0]


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_from_its_own_room_and_those_before_it(module: str) -> None:
    assert _room(module) in ROOMS, f"{module}: give its room a place in ROOMS"
    for imported in _imports(module, annotations=False):
        assert ROOMS.index(_room(imported)) <= ROOMS.index(_room(module)), f"{module} imports {imported}"


def test_the_house_has_few_rooms_and_each_says_what_it_is_for() -> None:
    top = ROOT / "tlnlp"
    modules = list(top.glob("*.py"))
    folders = [path for path in top.iterdir() if path.is_dir() and not path.name.startswith("_")]
    assert len(modules) <= 9 and len(folders) <= 15
    for folder in folders:
        if folder.name != "bundled":  # no code in there
            assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text())), folder


def test_the_tree_in_contributing_is_the_one_on_disk_and_in_the_order_of_imports() -> None:
    tree = (ROOT / "CONTRIBUTING.md").read_text().split("```")[1]
    inside = tree[tree.index("tlnlp/\n") :].split("\n\n")[0]
    listed = re.findall(r"^  (\w+)(?:/|\.py) +\S", inside, flags=re.MULTILINE)
    top = ROOT / "tlnlp"
    there = {path.stem for path in top.glob("*.py")} | {path.name for path in top.iterdir() if path.is_dir()}
    assert set(listed) == there - {"__init__", "__pycache__"}
    assert [each for each in listed if each != "bundled"] == [room for room in ROOMS if room]


def test_no_two_modules_import_each_other_even_by_way_of_others() -> None:
    done: set[str] = set()
    while len(done) < len(MODULES):
        free = {each for each in MODULES if each not in done and _imports(each, annotations=False) <= done | {each}}
        assert free, f"in a circle: {sorted(set(MODULES) - done)}"
        done |= free
    assert len(done) > 30


@pytest.mark.parametrize("module", MODULES)
def test_a_module_knows_nothing_of_what_it_is_blind_to(module: str) -> None:
    for blind, unseen in BLIND.items():
        if f"{module}.".startswith(f"{blind}."):
            for imported in _imports(module, annotations=True):
                seen = [each for each in unseen if f"{imported}.".startswith(f"{each}.")]
                assert not seen, f"{module} imports {imported}"


@pytest.mark.parametrize("blind", BLIND)
def test_what_is_said_to_be_blind_is_there(blind: str) -> None:
    assert blind in MODULES
    assert all(unseen in MODULES for unseen in BLIND[blind])


def test_what_only_declares_imports_no_heavy_library() -> None:
    """One process imports them all, and says after each what has come with it."""
    modules = ("tlnlp", "tlnlp.recipe", "tlnlp.settings", "tlnlp.heads", "tlnlp.evaluation.metrics")
    code = "import sys\n" + "".join(
        f"import {module}; print({module!r}, [name for name in {HEAVY} if name in sys.modules])\n" for module in modules
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines() == [f"{module} []" for module in modules]


packages_by_module = cache(packages_distributions)


def _declared(*groups: str) -> set[str]:
    """Names of distributions that pyproject.toml asks for: always, and in the groups."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = project["dependencies"] + [each for group in groups for each in project["optional-dependencies"][group]]
    return {canonicalize_name(Requirement(each).name) for each in asked}


@pytest.mark.parametrize(
    ("folder", "groups"),
    [("tlnlp", ()), ("tlnlp/demo", ("demo",)), ("recipes", ()), ("tests", ("dev", "demo", "all-tests"))],
)
def test_every_library_that_is_imported_is_one_that_is_asked_for(folder: str, groups: tuple[str, ...]) -> None:
    """What another library happens to bring is not there for everybody."""
    brought_by, declared = packages_by_module(), _declared(*groups)
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    for path in files:
        if folder == "tlnlp" and "demo" in path.parts:
            continue  # its own case
        for node in ast.walk(_tree(path)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            for root in {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - OWN:
                made_by = {canonicalize_name(each) for each in brought_by.get(root, [root])}
                assert made_by & declared, f"{path.relative_to(ROOT)} imports {root}: ask for it in pyproject.toml"
