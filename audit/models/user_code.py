"""A user's own code, named in a configuration as `your.module:name`.

It is imported only where it was trusted, with its folder at the end of the path, so that it shadows no installed
package; and it can be located, for its digest, without running any of it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from audit.errors import ModelError, nearest

__all__ = ["import_function", "source_file"]


def import_function(key: str, name: str, base: Path, *, trust_code: bool, where: str) -> Callable[..., Any]:
    """The function that a configuration names.

    Parameters
    ----------
    key : str
        Key of the configuration, for errors.
    name : str
        ``your.module:name``.
    base : Path
        Folder that the module may lie in, beside the installed packages.
    trust_code : bool
        Whether it may be imported.
    where : str
        Name of the model, for errors.

    Raises
    ------
    ModelError
        The code is not trusted, the module cannot be imported, or it has no such function.
    """
    if not trust_code:
        raise ModelError(
            f"{key} '{name}' runs code of its own", where=where, fix="read that code, then allow it with --trust-code"
        )
    module_name, _, function_name = name.partition(":")
    if str(base) not in sys.path:
        sys.path.append(str(base))  # at the end: it must not shadow installed packages
    try:
        imported = importlib.import_module(module_name)
    except Exception as error:
        raise ModelError(
            f"'{module_name}' cannot be imported: {type(error).__name__}: {error}",
            where=where,
            fix=f"it is looked for in {base} and among the installed packages",
        ) from error
    function = getattr(imported, function_name, None)
    if not callable(function):
        file = getattr(imported, "__file__", None) or "a built-in module"
        raise ModelError(
            f"'{module_name}' ({file}) has no function '{function_name}'.{nearest(function_name, dir(imported))}",
            where=where,
            fix="where another package of that name was found first, rename yours",
        )
    return function  # type: ignore[no-any-return]


def source_file(name: str, base: Path, *, where: str) -> Path | None:
    """The file that `import_function` would import, found without running any code.

    Parameters
    ----------
    name : str
        ``your.module:name``.
    base : Path
        Folder that the module may lie in, beside the installed packages.
    where : str
        Name of the model, for errors.

    Returns
    -------
    Path or None
        None for a built-in module. What the module imports in its turn is not followed.

    Raises
    ------
    ModelError
        There is no such module.
    """
    module_name = name.partition(":")[0]
    first, *inner = module_name.split(".")
    found = _locate(first, base)
    for part in inner:
        places = None if found is None else found.submodule_search_locations
        found = None if places is None else PathFinder.find_spec(part, places)
    if found is None:
        raise ModelError(
            f"there is no module '{module_name}'",
            where=where,
            fix=f"it is looked for in {base} and among the installed packages",
        )
    return Path(found.origin) if found.has_location and found.origin is not None else None


def _locate(name: str, base: Path) -> ModuleSpec | None:
    """What the import system finds under a top-level name; the folder `base` comes last."""
    for finder in sys.meta_path:
        found = finder.find_spec(name, None)
        if found is not None:
            return found
    return PathFinder.find_spec(name, [str(base)])
