"""Waivers: who lets a finding stand, why, and until when. They change no number, only what a finding counts as.

They live in a file of their own beside the policy: written into it they would change its digest, and a policy
that was named before the run would no longer be the one that is judged by.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal, Self

import pandas as pd
from pydantic import Field, ValidationError, field_validator, model_validator

from audit.errors import ConfigError, nearest
from audit.findings.yaml_input import Section, explain, keys_of, read_yaml

__all__ = ["WAIVABLE", "AppliedWaiver", "Waiver", "apply_waivers", "load_waivers", "parse_waivers"]

WAIVABLE = ("fail", "inconclusive", "error")
"""Verdicts that a waiver can stand in for; the others need none."""

State = Literal["in force", "expired", "not yet in force", "not needed"]


class Waiver(Section):
    """Somebody's signed decision to let the findings of one rule stand for a time."""

    rule: str | None = Field(default=None, description="Id of the rule; or give `finding`.")
    finding: str | None = Field(default=None, description="Id of one finding, as in table `findings`.")
    model: str | None = Field(default=None, description="Only for this model; every model by default.")
    signed_by: str = Field(description="Name and role of whoever answers for it.")
    reason: str = Field(description="Why the finding may stand.")
    expires: date = Field(description="Last day on which it holds, YYYY-MM-DD.")
    created: date | None = Field(default=None, description="Day on which it was signed, YYYY-MM-DD.")

    @field_validator("signed_by", "reason")
    @classmethod
    def _said(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("is empty; a waiver needs a name, a reason and an expiry")
        return value.strip()

    @field_validator("expires", "created", mode="before")
    @classmethod
    def _day(cls, value: object) -> object:
        if value is None or (isinstance(value, date) and not isinstance(value, datetime)):
            return value
        if isinstance(value, str):
            with contextlib.suppress(ValueError):
                return date.fromisoformat(value)
        raise ValueError(f"is {value!r}, a day is needed, such as 2027-03-31")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.rule is None) == (self.finding is None):
            raise ValueError("give 'rule' or 'finding', one of the two")
        if self.created is not None and self.created > self.expires:
            raise ValueError(f"expires on {self.expires}, before it was created on {self.created}")
        return self


@dataclass(frozen=True)
class AppliedWaiver:
    """What became of a waiver on the day of evaluation.

    Parameters
    ----------
    waiver : Waiver
    state : str
        ``in force``: it stands in for at least one finding. ``expired``: its last day has passed, the rule
        counts again. ``not yet in force``: it was signed later. ``not needed``: nothing to stand in for.
    findings : dict of str to str
        The findings that it is about, with the verdict that each has without it.
    """

    waiver: Waiver
    state: State
    findings: dict[str, str]


def load_waivers(path: Path) -> tuple[Waiver, ...]:
    """Read waivers from a YAML file that holds a list of them.

    Raises
    ------
    ConfigError
        The file is missing or no such list; or a waiver lacks name, reason or expiry, or is otherwise malformed.
    """
    return parse_waivers(read_yaml(path), where=str(path))


def parse_waivers(content: object, *, where: str = "waivers") -> tuple[Waiver, ...]:
    """Check a list of mappings against `Waiver`; one error that lists every problem.

    Raises
    ------
    ConfigError
        See `load_waivers`.
    """
    if not isinstance(content, list):
        raise ConfigError(
            f"must hold a list of waivers, and holds {type(content).__name__}",
            where=where,
            fix="start each waiver with '- rule: ...'; write [] for none",
        )
    found, problems = [], []
    for number, item in enumerate(content):
        try:
            found.append(Waiver.model_validate(item))
        except ValidationError as error:
            problems += [_explain(dict(problem), number) for problem in error.errors()]
    if problems:
        raise ConfigError("; ".join(problems), where=where, fix="each waiver needs a rule, signed_by, reason, expires")
    return tuple(found)


def _explain(problem: dict[str, Any], number: int) -> str:
    return f"waiver {number + 1}: {explain(problem, keys_of(Waiver))}"


def apply_waivers(
    findings: pd.DataFrame, waivers: Sequence[Waiver], day: date, rules: Collection[str], models: Collection[str]
) -> tuple[pd.DataFrame, tuple[AppliedWaiver, ...]]:
    """Set the verdict of waived findings to ``waived`` and say so in their text.

    Parameters
    ----------
    findings : DataFrame
        As `judge` gives them.
    waivers : sequence of Waiver
        The first that is in force on a finding counts.
    day : date
        Day of evaluation. A waiver is in force from `created` to `expires`, both included.
    rules, models : collection of str
        Of the policy and the run: what a waiver may name.

    Returns
    -------
    DataFrame, tuple of AppliedWaiver
        Findings with the same rows; a lapsed waiver is named in the text of the finding too.

    Raises
    ------
    ConfigError
        A waiver names a rule, finding or model that there is not.
    """
    table = findings.copy()
    applied = []
    for waiver in waivers:
        _check_names(waiver, findings, rules, models)
        chosen = _about(waiver, findings)
        before = dict(zip(findings.loc[chosen, "finding_id"], findings.loc[chosen, "verdict"], strict=True))
        due = chosen & table["verdict"].isin(WAIVABLE)
        state = _state(waiver, day, needed=bool(due.any()))
        if state == "in force":
            table.loc[due, "text"] = [
                f"{text} Waived by {waiver.signed_by} until {waiver.expires}: {waiver.reason.rstrip('.')}. "
                f"Without the waiver it is {verdict}."
                for text, verdict in zip(table.loc[due, "text"], table.loc[due, "verdict"], strict=True)
            ]
            table.loc[due, "verdict"] = "waived"
        elif state == "expired":
            note = f" A waiver by {waiver.signed_by} expired on {waiver.expires}; the rule counts again."
            table.loc[due, "text"] = table.loc[due, "text"] + note
        applied.append(AppliedWaiver(waiver, state, before))
    return table, tuple(applied)


def _about(waiver: Waiver, findings: pd.DataFrame) -> pd.Series[bool]:
    key, name = ("rule", waiver.rule) if waiver.rule is not None else ("finding_id", waiver.finding)
    chosen = findings[key] == name
    return chosen if waiver.model is None else chosen & (findings["model"] == waiver.model)


def _state(waiver: Waiver, day: date, *, needed: bool) -> State:
    if day > waiver.expires:
        return "expired"
    if waiver.created is not None and day < waiver.created:
        return "not yet in force"
    return "in force" if needed else "not needed"


def _check_names(waiver: Waiver, findings: pd.DataFrame, rules: Collection[str], models: Collection[str]) -> None:
    asked = (
        ("rule", waiver.rule, list(rules)),
        ("finding", waiver.finding, findings["finding_id"].tolist()),
        ("model", waiver.model, list(models)),
    )
    for key, name, known in asked:
        if name is not None and name not in known:
            raise ConfigError(
                f"a waiver signed by {waiver.signed_by} names {key} '{name}', which there is not, allowed: "
                f"{', '.join(known)}.{nearest(name, known)}",
                where="waivers",
            )
