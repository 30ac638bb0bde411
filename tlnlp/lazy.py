"""Lazy imports, and objects by import path. The package imports its own heavy modules when they are first used, so that
a recipe's --help does not wait for torch; custom strategies, metrics and heads are imported when a setting or a saved
model names them."""

import contextlib
import importlib
from types import ModuleType
from typing import Any


class _Lazy(ModuleType):
    """A proxy that imports its module at the first attribute access. Unlike the standard library's LazyLoader, it is
    not in sys.modules: code that iterates over sys.modules (torch does) would load it in the middle of another
    import."""

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self.__name__), attribute)


def lazy_module(name: str) -> ModuleType:
    """Returns a proxy for the module `name`, which is imported at the first attribute access."""
    return _Lazy(name)


# Objects passed in this process, by path: an object defined in a notebook cannot be imported.
_PASSED: dict[str, Any] = {}


def path_of(thing: Any) -> str:
    """Returns the import path of a function, a class or a module, "package.module.name"; for any other object, that of
    its class. `find_object` returns the object for this path, in this process even if it cannot be imported."""
    if isinstance(thing, ModuleType):
        path = thing.__name__
    else:
        named = thing if hasattr(thing, "__qualname__") else type(thing)
        path = f"{named.__module__}.{named.__qualname__}"
    _PASSED[path] = thing
    return path


def find_object(path: str) -> Any:
    """Returns the object with a path from `path_of`: one passed in this process, or an imported one.

    Raises:
        ImportError: there is no such module, or it has no such attribute.
    """
    if path in _PASSED:
        return _PASSED[path]
    with contextlib.suppress(ModuleNotFoundError):
        return importlib.import_module(path)
    module, _, name = path.rpartition(".")
    if not module:
        raise ImportError(f"no module {path}")
    try:
        return getattr(importlib.import_module(module), name)
    except AttributeError as error:
        raise ImportError(str(error)) from error
