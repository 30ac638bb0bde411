"""Fixtures come from `tests/fixtures.py`, in the processes that run tests."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """What only hands tests out to others (pytest-xdist) does not wait for torch."""
    if hasattr(config, "workerinput") or config.getoption("dist", "no") == "no":
        config.pluginmanager.import_plugin("tests.fixtures")
