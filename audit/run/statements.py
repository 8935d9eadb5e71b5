"""What only a person can say of a run: which statements there are, adding and reading them, what is missing.

How the log is written and how it shows changes is in `statement_log`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any, get_args

import yaml

from audit.errors import InputError, RunError, nearest
from audit.run.claims import CLAIM_KEYS, claims_of, find_claim
from audit.run.files import lock
from audit.run.record import Run
from audit.run.statement_log import LOG, Kind, Statement, append_entry, chain_problems, read_log

__all__ = [
    "FURTHER_STATEMENTS",
    "LOG",
    "REQUIRED_STATEMENTS",
    "Kind",
    "Statement",
    "add_statement",
    "chain_problems",
    "current_statements",
    "missing_statements",
    "read_statements",
    "statements_yaml",
]

REQUIRED_STATEMENTS: dict[str, str] = {
    "intended_purpose": "What is the model for, where is it used, by whom, and on whom?",
    "oversight": "Who watches over its decisions, and how can they overrule or stop it?",
    "why_these_groups": "Why were these groups examined, how were they labelled, and which were left out?",
    "residual_risk": "Which risks remain after all measures, and why are they accepted?",
    "acceptable_use": "Which uses are foreseen, and which are ruled out?",
    "data_origin": "Where do the images and labels come from, and on what legal basis are they held?",
}
"""Id of every statement that a complete bundle holds, and the question that it answers."""

FURTHER_STATEMENTS: dict[str, str] = {
    "data_governance": "How were the data collected, prepared and checked, and what is known to be wrong with them?",
    "independent_auditor": "Who made the audit, and what ties them to those who make, sell or use the model?",
    "monitoring": "How is the model watched in use, and what leads to a change or a withdrawal?",
    "notice": "What are those told on whom the model is used, when, and how can they object?",
    "publication": "Where and when is a summary of the results published?",
    "record_keeping": "Which events does the system log, where, and for how long?",
    "risk_management": "How are risks found, judged, treated and looked at again, and who answers for it?",
    "roles": "Who answers for the model, its data and its use, and what were they trained in?",
    "security": "Which attacks and faults was the system tested against, and what protects it?",
    "special_categories": "Why are sensitive attributes needed here, and which safeguards hold for them?",
    "validity": "What shows that the model measures what its use requires, and which alternatives were weighed?",
}
"""Further statements that a legal pack may ask for."""


def add_statement(
    run: Run,
    *,
    kind: str,
    about: str,
    author: str,
    role: str,
    text: str,
    expires: date | None = None,
    time: datetime | None = None,
    further: Iterable[str] = (),
) -> Statement:
    """Append an entry to a run's log, under the run's lock, and wait until it is on the disk.

    Parameters
    ----------
    run : Run
        Not a bundle: that one is sealed.
    kind : str
        ``statement``, ``note`` or ``waiver``.
    about : str
        A key of `REQUIRED_STATEMENTS`, `FURTHER_STATEMENTS` or `further`, or a claim that exists in the run. A waiver
        is about a claim of table ``findings``.
    author, role, text : str
        Author and text may not be empty.
    expires : date, optional
        Last day of a waiver; needed there, and only there.
    time : datetime, optional
        With a time zone; now by default.
    further : iterable of str, optional
        Ids of statements that a legal pack of the user asks for.

    Returns
    -------
    Statement
        As it was written.

    Raises
    ------
    InputError
        A value is not allowed, or there is no such statement or claim.
    IntegrityError
        The log was changed since it was written.
    RunError
        Another process holds the run, or its folder cannot be written.

    Notes
    -----
    Nothing is ever replaced: the latest entry about something counts, the earlier ones stay. What a crash left of a
    line that was never finished is dropped by the next entry.
    """
    if run.record.get("disclosure") is not None:
        raise InputError(
            "is a bundle, which is sealed", where=str(run.path), fix="add it to the run, then make the bundle again"
        )
    made = datetime.now(UTC) if time is None else time
    if made.tzinfo is None:
        raise InputError(f"time {made.isoformat()} has no time zone", fix="give one, such as UTC")
    said = {
        "kind": _kind(kind),
        "about": _about(run, kind, about, further),
        "author": _said("author", author),
        "role": _text("role", role),
        "time": made.astimezone(UTC).isoformat(timespec="seconds"),
        "text": _said("text", text),
        "expires": _expiry(kind, expires, made.astimezone(UTC).date()),
    }
    try:
        with lock(run.path):
            return append_entry(run.path / LOG, said)
    except OSError as error:
        raise RunError(
            f"the statement cannot be kept: {error}", where=str(run.path), fix="make the run's folder writable"
        ) from error


def read_statements(run: Run) -> tuple[Statement, ...]:
    """Every entry of a run's log, in order; none where there is no log.

    Raises
    ------
    IntegrityError
        The log was changed since it was written; an unfinished last line is no change, and is left out.
    """
    return read_log(run.path / LOG)


def current_statements(statements: Iterable[Statement]) -> dict[str, Statement]:
    """The latest entry of kind ``statement`` about each thing; earlier ones were overtaken by it."""
    return {entry.about: entry for entry in statements if entry.kind == "statement"}


def missing_statements(statements: Iterable[Statement], required: Iterable[str] = REQUIRED_STATEMENTS) -> list[str]:
    """Ids of the required statements that nobody has made, in order; a note stands for none."""
    given = current_statements(statements)
    return [name for name in required if name not in given]


def statements_yaml(statements: Iterable[Statement], required: Mapping[str, str] = REQUIRED_STATEMENTS) -> str:
    """The log as YAML for a human reader: what was said by topic, then notes and waivers, then what is missing.

    Parameters
    ----------
    statements : iterable of Statement
        In the order of the log.
    required : mapping of str to str
        Statements that are listed as missing where nobody has made them, with their questions.
    """
    entries = list(statements)
    current = current_statements(entries)
    questions = {**FURTHER_STATEMENTS, **REQUIRED_STATEMENTS, **required}
    topics = [*(name for name in questions if name in current), *(name for name in current if name not in questions)]
    content = {
        "statements": [_topic(name, questions.get(name), entries) for name in topics],
        "notes": [_shown(entry) for entry in entries if entry.kind == "note"],
        "waivers": [_shown(entry) for entry in entries if entry.kind == "waiver"],
        "missing": [{"about": name, "question": required[name]} for name in missing_statements(entries, required)],
    }
    head = "# What only a person can say of this run. The latest statement about a topic counts; earlier ones stay.\n"
    return head + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)


def _topic(name: str, question: str | None, entries: list[Statement]) -> dict[str, Any]:
    said = [_shown(entry) for entry in entries if entry.kind == "statement" and entry.about == name]
    for item in said:
        item.pop("about")
    asked = {} if question is None else {"question": question}
    return {"about": name, **asked, "said": said[-1], **({"earlier": said[:-1]} if len(said) > 1 else {})}


def _shown(entry: Statement) -> dict[str, Any]:
    names = ("id", "about", "author", "role", "time", "expires", "text", "sha256")
    return {name: value for name in names if (value := getattr(entry, name)) is not None}


def _kind(kind: str) -> str:
    kinds = get_args(Kind)
    if kind not in kinds:
        raise InputError(f"kind '{kind}' is unknown, allowed: {', '.join(kinds)}.{nearest(kind, kinds)}")
    return kind


def _said(name: str, value: str) -> str:
    if not value.strip():
        raise InputError(f"{name} is empty", fix=f"say who speaks and what is said with --{name}")
    return _text(name, value)


def _text(name: str, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{name} holds a character that is no text: {error.reason}") from None
    return value.strip()


def _expiry(kind: str, expires: date | None, day: date) -> str | None:
    if (kind == "waiver") != (expires is not None):
        raise InputError(f"expires is {expires} for a {kind}; it is needed for a waiver, and only there")
    if expires is not None and expires < day:
        raise InputError(f"the waiver expires on {expires}, before the day on which it is made, {day}")
    return None if expires is None else expires.isoformat()


def _about(run: Run, kind: str, about: str, further: Iterable[str]) -> str:
    table = about.partition(":")[0]
    topics = [*REQUIRED_STATEMENTS, *FURTHER_STATEMENTS, *further]
    if kind == "waiver" and table != "findings":
        raise InputError(
            f"a waiver is about '{about}', allowed: a claim of table findings, such as findings:MODEL:RULE"
        )
    if about in topics:
        return about
    if ":" not in about or table not in CLAIM_KEYS:
        raise InputError(
            f"'{about}' is neither a statement nor a claim, allowed: {', '.join(topics)}, or a claim that begins with "
            f"a table, such as groups:MODEL:...{nearest(about, topics)}"
        )
    frame = run.table(table)
    found = find_claim(frame, about)
    if found.empty:
        raise InputError(
            f"claim '{about}' does not exist in this run.{nearest(about, _alike(about, claims_of(table, frame)))}",
            where=str(run.path),
            fix="copy the claim from results.json or from the report",
        )
    return claims_of(table, found)[0]


def _alike(claim: str, claims: list[str], most: int = 200) -> list[str]:
    """Claims that share the most parts with one, so that few are left to compare letter by letter."""
    parts = claim.split(":")
    return sorted(claims, key=lambda other: -sum(a == b for a, b in zip(parts, other.split(":"), strict=False)))[:most]
