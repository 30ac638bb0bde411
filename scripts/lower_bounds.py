"""Prints the oldest versions that pyproject.toml admits, as constraints for pip.

python scripts/lower_bounds.py [--keep torch ...]     # packages to leave as constraints.txt has them
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def lower_bounds(kept: set[str]) -> list[str]:
    """Returns one line for each dependency: its lower bound, whatever patch release there is of it."""
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    lines = []
    for each in wanted:
        found = re.fullmatch(r"([\w-]+)>=([\d.]+).*", each)
        if found is None:
            raise ValueError(f"{each} in pyproject.toml has no lower bound")
        name, version = found[1], found[2]
        if name not in kept:
            lines.append(f"{name}=={version if '.' in version else f'{version}.0'}.*")
    return lines


if __name__ == "__main__":
    KEPT = set(sys.argv[2:])
    SAME = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.partition("==")[0] in KEPT]
    print("\n".join([*lower_bounds(KEPT), *SAME]))
