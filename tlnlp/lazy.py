"""Modules and objects found by their import path: the package's own when they are first used, so that a recipe's --help
need not wait for torch; a person's own strategy, metric or head when a setting or a saved model names it."""

import contextlib
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


# What was given in this process, by its path: an object of a notebook can be found nowhere else.
_GIVEN: dict[str, Any] = {}


def path_of(thing: Any) -> str:
    """The import path of a function, a class or a module, "package.module.name"; of any other object that of its
    class. `find_object` gives it back, in this process even where it cannot be imported."""
    if isinstance(thing, ModuleType):
        path = thing.__name__
    else:
        named = thing if hasattr(thing, "__qualname__") else type(thing)
        path = f"{named.__module__}.{named.__qualname__}"
    _GIVEN[path] = thing
    return path


def find_object(path: str) -> Any:
    """What `path_of` named: given in this process, or imported.

    Raises:
        ImportError: there is no such module, or nothing of that name in it.
    """
    if path in _GIVEN:
        return _GIVEN[path]
    with contextlib.suppress(ModuleNotFoundError):
        return importlib.import_module(path)
    module, _, name = path.rpartition(".")
    if not module:
        raise ImportError(f"no module {path}")
    try:
        return getattr(importlib.import_module(module), name)
    except AttributeError as error:
        raise ImportError(str(error)) from error
