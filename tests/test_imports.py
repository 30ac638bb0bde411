"""Imports go one way, in the order of the flow; what only declares something brings no heavy library."""

from __future__ import annotations

import ast
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

from tests.runs import ROOT

# From what knows nothing to what knows all. A module may import what stands before it; inside a package listed as a
# whole (with a dot behind it) any, as long as no two import each other. A new module finds its place here.
FLOW = (
    "tlnlp.errors",
    "tlnlp.lazy",
    "tlnlp.percent",
    "tlnlp.drawing",
    "tlnlp.calm",
    "tlnlp.settings",
    "tlnlp.heads",  # names and what they promise; the code of each head comes below
    "tlnlp.recipe",
    "tlnlp.evaluation",
    "tlnlp.evaluation.metrics.",
    "tlnlp",
    "tlnlp.versions",
    "tlnlp.data.",
    "tlnlp.heads.",
    "tlnlp.training",
    "tlnlp.training.plan",
    "tlnlp.transfer.",
    "tlnlp.dropout",
    "tlnlp.packing",
    "tlnlp.shortcut",
    "tlnlp.reader",
    "tlnlp.compact",
    "tlnlp.model",
    "tlnlp.training.folder",
    "tlnlp.frozen",
    "tlnlp.adapted",
    "tlnlp.training.",
    "tlnlp.evaluation.measure",
    "tlnlp.evaluation.predict",
    "tlnlp.evaluation.statistics",
    "tlnlp.evaluation.calibration",
    "tlnlp.evaluation.varying",
    "tlnlp.evaluation.curves",
    "tlnlp.evaluation.screen",
    "tlnlp.evaluation.facts",
    "tlnlp.evaluation.predictions",
    "tlnlp.evaluation.mistakes",
    "tlnlp.source",
    "tlnlp.prepare",
    "tlnlp.evaluation.languages",
    "tlnlp.learn",
    "tlnlp.fit",
    "tlnlp.saved",
    "tlnlp.evaluation.card",
    "tlnlp.evaluation.report",
    "tlnlp.reporting.",
    "tlnlp.sharing",
    "tlnlp.run",
    "tlnlp.bundle",
    "tlnlp.answering",
    "tlnlp.words.",
    "tlnlp.comparing.",
    "tlnlp.matrix.",
    "tlnlp.checking.",
    "tlnlp.demo.",
    "tlnlp.cli",
)
# Blind to: design, "the flow, and where each step lives". Not even in annotations.
BLIND = {
    "tlnlp.data": ("tlnlp.heads", "tlnlp.model", "tlnlp.training", "tlnlp.transfer", "tlnlp.evaluation"),
    "tlnlp.heads": ("tlnlp.model", "tlnlp.training", "tlnlp.transfer", "tlnlp.evaluation", "tlnlp.prepare"),
    "tlnlp.training.plan": ("tlnlp.recipe", "tlnlp.heads", "tlnlp.model", "tlnlp.transfer", "tlnlp.settings"),
    "tlnlp.training.loop": ("tlnlp.heads.sentence", "tlnlp.heads.word", "tlnlp.model", "tlnlp.evaluation"),
    "tlnlp.transfer": ("tlnlp.heads", "tlnlp.recipe", "tlnlp.model", "tlnlp.training", "tlnlp.evaluation"),
    "tlnlp.evaluation.predict": ("tlnlp.transfer", "tlnlp.heads.sentence", "tlnlp.heads.word"),
}
OWN = {"tlnlp", "recipes", "tests"} | {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
HEAVY = ("torch", "transformers", "datasets", "accelerate", "evaluate", "peft", "numpy", "pyarrow")


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {_name(path): path for path in sorted((ROOT / "tlnlp").rglob("*.py"))}


@cache
def _imports(module: str, *, annotations: bool) -> frozenset[str]:
    """The modules of the library that `module` imports; with `annotations` also those for annotations only."""
    tree = ast.parse(MODULES[module].read_text())
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


def _place(module: str) -> int | None:
    """Where the module stands in FLOW: under its own name, else with its package."""
    if module in FLOW:
        return FLOW.index(module)
    packages = [each for each in FLOW if each.endswith(".") and f"{module}.".startswith(each)]
    return FLOW.index(max(packages, key=len)) if packages else None


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_comes_before_it(module: str) -> None:
    own = _place(module)
    assert own is not None, f"{module}: give it its place in FLOW"
    for imported in _imports(module, annotations=False):
        place = _place(imported)
        assert place is not None, imported
        assert place <= own, f"{module} imports {imported}, which comes later in the flow"


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


@pytest.mark.parametrize(
    "module", ["tlnlp", "tlnlp.recipe", "tlnlp.settings", "tlnlp.heads", "tlnlp.evaluation.metrics"]
)
def test_what_only_declares_imports_no_heavy_library(module: str) -> None:
    code = f"import sys, {module}; print([name for name in {HEAVY} if name in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"


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
    brought_by, declared = packages_distributions(), _declared(*groups)
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    for path in files:
        if folder == "tlnlp" and "demo" in path.parts:
            continue  # its own case
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            for root in {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - OWN:
                made_by = {canonicalize_name(each) for each in brought_by.get(root, [root])}
                assert made_by & declared, f"{path.relative_to(ROOT)} imports {root}: ask for it in pyproject.toml"
