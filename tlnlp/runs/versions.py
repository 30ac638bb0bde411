"""The one place of our own version, and which versions a result was made with."""

from __future__ import annotations

from importlib.metadata import version

__version__ = "0.1.0"


def versions_of(*libraries: str) -> dict[str, str]:
    """{library: its version}. Our own need not be installed: a plain checkout runs too."""
    return {name: __version__ if name == "tlnlp" else version(name) for name in libraries}
