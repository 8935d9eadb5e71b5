"""Legal packs: dated lists of clauses, each with the evidence and the human statements that it asks for.

Packs are data, since laws change: the ones that ship are in `reports/packs`, and a user may name a file of their own.
A pack says who held it against its source and when, or that nobody has. It judges nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Self, get_args

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from audit.errors import ConfigError, InputError, nearest
from audit.findings.yaml_input import Section, explain, keys_of, read_yaml
from audit.run.claims import CLAIM_KEYS
from audit.run.statements import FURTHER_STATEMENTS, REQUIRED_STATEMENTS

__all__ = ["Clause", "Confirmed", "LaterDate", "Pack", "Source", "known_packs", "load_pack"]

_FOLDER = Path(__file__).parent.parent / "packs"


class Source(Section):
    """Where the text of a law or standard stands."""

    title: str = Field(description="Title of the text, with its number.")
    url: str = Field(description="Address of its official publication.", pattern="^https?://")


class Confirmed(Section):
    """Who held a pack against its source, and when."""

    by: str = Field(description="Name and role.", min_length=1)
    date: date


class LaterDate(Section):
    """A later day on which a clause comes into force for some."""

    date: date
    scope: str = Field(description="For whom or what.")


class Clause(Section):
    """One clause and what it asks for.

    Attributes
    ----------
    needs : tuple of str
        Patterns of claims, part by part, such as ``groups:*`` or ``groups:*:*:*:selection_rate:*``; or of files of
        the bundle, such as ``run.json`` or ``tables/*.csv``. Each needs a match.
    statements : tuple of str
        Ids of statements that only a person can make. Each is needed.
    applies : tuple of str
        Patterns as in `needs`: where none of them has a match, the run holds nothing that the clause is about.
    """

    id: str = Field(description="Number of the clause, such as Art. 13(3)(b).", min_length=1)
    title: str = Field(description="What it is about, in a few words of one's own.", min_length=1)
    in_force: date | None = Field(default=None, description="First day on which it holds; null where none is given.")
    scope: str = Field(default="", description="For whom or what it holds from that day.")
    later: tuple[LaterDate, ...] = ()
    needs: tuple[str, ...] = ()
    statements: tuple[str, ...] = ()
    applies: tuple[str, ...] = ()
    note: str = Field(default="", description="What the evidence named here does not cover.")

    @field_validator("needs", "applies")
    @classmethod
    def _patterns(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            table, colon, rest = pattern.partition(":")
            if not colon:
                continue
            if table not in CLAIM_KEYS:
                tables = ", ".join(CLAIM_KEYS)
                raise ValueError(
                    f"no claim begins with table '{table}', allowed: {tables}.{nearest(table, CLAIM_KEYS)}"
                )
            parts = rest.split(":")
            if len(parts) > len(CLAIM_KEYS[table]) or (len(parts) < len(CLAIM_KEYS[table]) and parts[-1] != "*"):
                raise ValueError(
                    f"claim pattern '{pattern}' has {len(parts)} parts after its table, which are: "
                    f"{', '.join(CLAIM_KEYS[table])}; end it with * for all that follow"
                )
        return patterns

    @model_validator(mode="after")
    def _asks(self) -> Self:
        if not self.needs and not self.statements:
            raise ValueError(f"clause '{self.id}' asks for nothing; name needs or statements")
        return self


class Pack(Section):
    """A law or standard, as far as an audit can show evidence for it.

    Attributes
    ----------
    confirmed : Confirmed or None
        None: nobody has held the pack against its source.
    questions : dict of str to str
        Statements that only this pack asks for, and the question that each answers.
    """

    id: str = Field(pattern="^[a-z0-9][a-z0-9-]*$")
    title: str = Field(min_length=1)
    jurisdiction: str = Field(min_length=1)
    version: date = Field(description="Day of the text that the pack follows, as far as its author knew.")
    source: tuple[Source, ...] = Field(min_length=1)
    confirmed: Confirmed | None
    notes: tuple[str, ...] = ()
    questions: dict[str, str] = Field(default_factory=dict)
    clauses: tuple[Clause, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        repeated = [name for name, count in Counter(clause.id for clause in self.clauses).items() if count > 1]
        if repeated:
            raise ValueError(f"clause '{repeated[0]}' occurs more than once")
        known = self.all_questions
        for clause in self.clauses:
            for name in clause.statements:
                if name not in known:
                    raise ValueError(
                        f"clause '{clause.id}' asks for statement '{name}', which has no question, allowed: "
                        f"{', '.join(known)}.{nearest(name, known)} Add it to 'questions' if it is new"
                    )
        return self

    @property
    def all_questions(self) -> dict[str, str]:
        """Question of every statement that a clause may ask for."""
        return {**REQUIRED_STATEMENTS, **FURTHER_STATEMENTS, **self.questions}


def known_packs() -> list[str]:
    """Names of the packs that ship, sorted."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def load_pack(name_or_path: str | Path) -> Pack:
    """A pack that ships, by its name, or one of the user's, by the path of its YAML file.

    Raises
    ------
    InputError
        No pack has that name.
    ConfigError
        The file is missing or not YAML, a key is unknown or missing, or a value is not allowed.
    """
    text = str(name_or_path)
    if text in known_packs():
        return _shipped(text)
    if Path(text).suffix in (".yaml", ".yml"):
        return _load(Path(text))
    names = known_packs()
    raise InputError(
        f"legal pack '{text}' is unknown, allowed: {', '.join(names)}, or the path of a .yaml file."
        f"{nearest(text, names)}"
    )


@cache
def _shipped(name: str) -> Pack:
    pack = _load(_FOLDER / f"{name}.yaml")
    if pack.id != name:
        raise ConfigError(f"id is '{pack.id}', allowed: {name}", where=f"{name}.yaml")
    return pack


def _load(path: Path) -> Pack:
    content = read_yaml(path)
    if not isinstance(content, Mapping):
        raise ConfigError("must hold keys and values", where=str(path), fix="start from a copy of a pack that ships")
    try:
        return Pack.model_validate(content)
    except ValidationError as error:
        problems = [explain(dict(problem), keys_of(_kind_at(problem["loc"]))) for problem in error.errors()]
        raise ConfigError("; ".join(problems), where=str(path)) from None


def _kind_at(path: tuple[Any, ...]) -> type[BaseModel]:
    """The part of a pack in which a key stands."""
    kind: type[BaseModel] = Pack
    for key in path[:-1]:
        field = kind.model_fields.get(str(key))
        if field is None:
            continue
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                kind = part
    return kind
