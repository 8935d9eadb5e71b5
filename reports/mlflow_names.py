"""Names under which numbers of a run stand in MLflow: its characters only, one name a number, the same in every run."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence

from audit.errors import RunError

__all__ = ["LONGEST", "mlflow_names"]

LONGEST = 250
"""Characters that MLflow allows in a name."""

_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9_.\- ]")
_READABLE = (("<", "below"), (">=", "from"), ("(", ""), (")", ""))  # as in "< 25", ">= 60", "(missing)"
_LONGEST_PART = 40


def mlflow_names(paths: Sequence[tuple[str, ...]]) -> list[str]:
    """Name for each path of words, such as ``groups/plain/tone/tone-1/accuracy``.

    Parameters
    ----------
    paths : sequence of tuple of str
        Tables, models, attributes, groups and metrics, with any characters; no path twice, at most five words.

    Returns
    -------
    list of str
        Words of letters, digits, underscores, points, dashes and spaces, joined by slashes, in the order of the paths.
        A word that had to be changed or cut ends in the first 8 digits of its SHA-256, so that it is named alike in
        every run. Names that differ in nothing but case get digits of the whole path.

    Raises
    ------
    RunError
        Two paths still have one name, or a name is too long.
    """
    names = ["/".join(_word(part) for part in path) for path in paths]
    seen = Counter(name.casefold() for name in names)
    told = [
        name if seen[name.casefold()] == 1 else f"{name}-{_digits(json.dumps(path))}"
        for name, path in zip(names, paths, strict=True)
    ]
    first: dict[str, tuple[str, ...]] = {}
    for name, path in zip(told, paths, strict=True):
        other = first.setdefault(name.casefold(), path)
        if other is not path:
            raise RunError(f"{list(path)} and {list(other)} have one name in MLflow, '{name}'", fix="rename a group")
        if len(name) > LONGEST:
            raise RunError(f"the name '{name}' has {len(name)} characters, MLflow allows {LONGEST}", fix="shorten it")
    return told


def _word(text: str) -> str:
    """A word as MLflow can hold it; one that is changed ends in digits of what it was."""
    readable = text
    for sign, word in _READABLE:
        readable = readable.replace(sign, word)
    cleaned = _NOT_ALLOWED.sub("_", readable)[:_LONGEST_PART].strip(" .") or "_"
    return text if cleaned == text else f"{cleaned}-{_digits(text)}"


def _digits(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
