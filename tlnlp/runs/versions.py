"""The version of tlnlp, and the versions that a result was made with."""

from __future__ import annotations

from importlib.metadata import version

__version__ = "0.1.0"


def versions_of(*libraries: str) -> dict[str, str]:
    """Returns {library: version}. tlnlp need not be installed, since it also runs from a checkout."""
    return {name: __version__ if name == "tlnlp" else version(name) for name in libraries}
