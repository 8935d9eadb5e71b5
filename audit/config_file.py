"""Reading a YAML file into a frozen model, with one error that lists every problem and suggests the right key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from audit.errors import ConfigError, nearest

__all__ = ["Section", "load_config", "parse_config"]


class Section(BaseModel):
    """Base of every section: immutable, and a misspelt key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Config = TypeVar("Config", bound=Section)


def load_config(kind: type[Config], path: Path) -> Config:
    """Read a YAML file into a configuration.

    Parameters
    ----------
    kind : type
        `AuditConfig` or `TrainConfig`.
    path : Path
        The file.

    Returns
    -------
    Section
        The frozen configuration.

    Raises
    ------
    ConfigError
        The file is missing or not YAML, a key is unknown or a value is not allowed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", where=str(path), fix="check the path") from error
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"is not valid YAML: {' '.join(str(error).split())}", where=str(path)) from error
    return parse_config(kind, content, where=str(path))


def parse_config(kind: type[Config], content: object, *, where: str) -> Config:
    """Check a mapping against a configuration; one error that lists every problem."""
    if not isinstance(content, Mapping):
        raise ConfigError("must hold keys and values", where=where, fix="start from `faircam init DIR`")
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(_explain(kind, problem) for problem in _news(error.errors()))
        raise ConfigError(problems, where=where) from None


def _news(problems: Iterable[Any]) -> list[Any]:
    """Problems without those of a tuple that is too short only because an entry in it was refused."""
    found = list(problems)

    def follows(problem: Any) -> bool:
        place = problem["loc"]
        inside = (other["loc"] for other in found if other is not problem)
        return problem["type"] == "too_short" and any(loc[: len(place)] == place for loc in inside)

    return [problem for problem in found if not follows(problem)]


def _explain(kind: type[Section], problem: Any) -> str:
    path = [part for part in problem["loc"] if part not in ("after", "before")]
    key = ".".join(str(part) for part in path)
    if problem["type"] == "extra_forbidden":
        allowed = _keys_beside(kind, path)
        return f"unknown key '{key}'; allowed: {', '.join(allowed)}.{nearest(str(path[-1]), allowed)}"
    if problem["type"] == "missing":
        return f"key '{key}' is missing"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "literal_error":
        allowed = [word.strip("'") for word in problem["ctx"]["expected"].replace(" or ", ", ").split(", ")]
        given = problem["input"]
        return f"'{key}' is {given!r}, allowed: {', '.join(allowed)}.{nearest(str(given), allowed)}"
    if isinstance(problem["input"], Mapping):  # a whole section: its check names the value itself
        return f"'{key}': {message}" if key and not message.startswith("give") else message
    return f"'{key}': {message} (got {problem['input']!r})" if key else message


def _keys_beside(kind: type[Section], path: list[Any]) -> list[str]:
    """Field names of the section that holds the last part of `path`."""
    section: Any = kind
    for part in path[:-1]:
        if isinstance(part, int) or part not in section.model_fields:
            continue
        section = _section_in(section.model_fields[part].annotation) or section
    return list(section.model_fields)


def _section_in(annotation: Any) -> Any:
    """First Section class inside an annotation such as ``tuple[ModelConfig, ...] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _section_in(inner)
        if found is not None:
            return found
    return None
