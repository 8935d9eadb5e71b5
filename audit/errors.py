"""The one exception tree. Every error says what happened, where, and how to fix it.

Exit codes of the command line hang on these classes: input and usage errors end with 2,
an incomplete run with 3, anything that is not a `FaircamError` with 70.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "ConfigError",
    "DataError",
    "FaircamError",
    "IncompleteRun",
    "InputError",
    "ModelError",
    "RunError",
    "nearest",
]


class FaircamError(Exception):
    """Base of every error that a user can cause or mend.

    Parameters
    ----------
    what : str
        What is wrong, naming the offending value and what is allowed.
    where : str, optional
        File, row, key or layer in which it was found.
    fix : str, optional
        What to do about it.
    """

    exit_code = 2

    def __init__(self, what: str, *, where: str | None = None, fix: str | None = None) -> None:
        self.what = what
        self.where = where
        self.fix = fix
        super().__init__(str(self))

    def __str__(self) -> str:
        """One line: where, what, fix."""
        place = f"{self.where}: " if self.where else ""
        stop = "" if self.what.endswith((".", "?", "!")) else "."
        mend = f"{stop} Fix: {self.fix}" if self.fix else ""
        return f"{place}{self.what}{mend}"

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the keyword arguments when an error crosses a process."""
        return (_rebuild, (type(self), self.what, self.where, self.fix))


def _rebuild(kind: type[FaircamError], what: str, where: str | None, fix: str | None) -> FaircamError:
    return kind(what, where=where, fix=fix)


class InputError(FaircamError):
    """A value given on the command line or to a function is not usable."""


class ConfigError(InputError):
    """A configuration file has an unknown key or a value that is not allowed."""


class DataError(InputError):
    """A manifest, an image or a label cannot be used."""


class ModelError(InputError):
    """A model cannot be loaded, or does not do what was asked of it."""


class RunError(InputError):
    """A run folder is not what the command needs."""


class IncompleteRun(FaircamError):
    """A run ended before every planned image was accounted for."""

    exit_code = 3


def nearest(value: str, allowed: Iterable[str]) -> str:
    """Name the closest allowed value, as a sentence to append to an error.

    Parameters
    ----------
    value : str
        What was given.
    allowed : iterable of str
        What may be given.

    Returns
    -------
    str
        ``" Did you mean 'x'?"``, or an empty string where nothing is close.
    """
    matches = difflib.get_close_matches(value, list(allowed), n=1, cutoff=0.5)
    return f" Did you mean '{matches[0]}'?" if matches else ""
