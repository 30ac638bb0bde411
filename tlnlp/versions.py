"""Which versions a result was made with."""

from __future__ import annotations

from importlib.metadata import version

import tlnlp


def versions_of(*libraries: str) -> dict[str, str]:
    """{library: its version}. Our own need not be installed: a plain checkout runs too."""
    return {name: tlnlp.__version__ if name == "tlnlp" else version(name) for name in libraries}
