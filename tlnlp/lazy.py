"""Modules that are imported when they are first used, so that a recipe's --help need not wait for torch."""

import importlib
from types import ModuleType
from typing import Any


class _Lazy(ModuleType):
    """Stands for a module until one of its attributes is asked for. Not in sys.modules, unlike the standard library's
    LazyLoader: whoever walks over sys.modules (torch does) would load it half way through another import."""

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self.__name__), attribute)


def lazy_module(name: str) -> ModuleType:
    """Something that behaves as the module `name` does, and imports it at the first access."""
    return _Lazy(name)
