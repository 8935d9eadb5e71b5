"""Reading a YAML file against a model, with one error that lists every problem and the nearest allowed name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

from audit.errors import ConfigError, nearest

__all__ = ["Section", "explain", "keys_of", "read_yaml"]


_SHOWN = 60


class Section(BaseModel):
    """A frozen part of a file in which an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


def read_yaml(path: Path) -> object:
    """Content of a YAML file.

    Raises
    ------
    ConfigError
        The file is missing, or not YAML.
    """
    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", where=str(path), fix="check the path") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"is not valid YAML: {' '.join(str(error).split())}", where=str(path)) from error


def explain(problem: dict[str, Any], allowed: Sequence[str]) -> str:
    """One problem of a pydantic validation in a sentence.

    Parameters
    ----------
    problem : dict
        An item of `ValidationError.errors()`.
    allowed : sequence of str
        Keys allowed where an unknown one stands.
    """
    path = problem["loc"]
    key = ".".join(str(part) for part in path)
    if problem["type"] == "extra_forbidden":
        return f"unknown key '{key}'; allowed: {', '.join(allowed)}.{nearest(str(path[-1]), allowed)}"
    if problem["type"] == "missing":
        return f"key '{key}' is missing"
    if problem["type"] == "literal_error":
        words = [word.strip("'") for word in problem["ctx"]["expected"].replace(" or ", ", ").split(", ")]
        near = nearest(str(problem["input"]), words)
        return f"'{key}' is {problem['input']!r}, allowed: {', '.join(words)}.{near}"
    message = str(problem["msg"]).removeprefix("Value error, ")
    if not key:
        return message
    if problem["type"] == "value_error":
        return f"'{key}': {message}"
    given = repr(problem["input"])
    return f"'{key}' is {given if len(given) <= _SHOWN else given[:_SHOWN] + '...'}: {message}"


def keys_of(kind: type[BaseModel]) -> list[str]:
    """Keys of a section as they stand in a file."""
    return [field.alias or name for name, field in kind.model_fields.items()]
