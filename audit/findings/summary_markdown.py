"""A check as Markdown, for the page that continuous integration shows: outcome first, then verdicts and their basis.

Names of groups and models come from data, so every sign that Markdown or HTML would act on is written as itself.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from audit.errors import InputError
from audit.findings.check import Check
from audit.findings.judge import VERDICTS
from audit.findings.shown import _head, _measured, _outcome, _waivers
from audit.run.files import write_text

__all__ = ["check_markdown", "write_markdown"]

_MARKS = {"fail": "❌", "error": "❌", "inconclusive": "❔", "warn": "⚠️", "pass": "✅", "waived": "➖"}
_TOLD = ("fail", "error", "inconclusive", "waived")
_SHOWN = 100  # rows: a page of GitHub holds 1 MiB
_SENTENCES = 12
_LONGEST = 120  # of a name in the table
_ACTIVE = re.compile(r"([\\`*_{}\[\]#+!|~@$]|(?<=[A-Za-z]):(?=//)|(?<=www)\.)")
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_COLUMNS = ("verdict", "tier", "model", "rule", "value [interval]", "tolerance", "p adjusted", "would settle")


def check_markdown(check: Check) -> str:
    """Write a check as Markdown (GitHub's); the same check gives the same text.

    Parameters
    ----------
    check : Check

    Returns
    -------
    str
        Outcome, a table of the verdicts, failing first, the sentences of those that failed or are open, waivers and
        notes, and the digests of policy and run.
    """
    order = {verdict: place for place, verdict in enumerate(VERDICTS)}
    rows = check.findings.sort_values("verdict", key=lambda column: column.map(order), kind="stable")
    lines = [f"## {_escaped(_outcome(check))}", ""]
    lines += [line for text in _head(check) for line in (_escaped(text.strip()), "")]
    lines += [_line(_COLUMNS), _line(["---"] * len(_COLUMNS))]
    lines += [_row(row) for row in rows.head(_SHOWN).to_dict("records")]
    if len(rows) > _SHOWN:
        lines += ["", f"{_SHOWN} of {len(rows)} findings are shown."]
    told = rows[rows["verdict"].isin(_TOLD)]
    lines += ["", *(f"- {_MARKS[row['verdict']]} {_escaped(row['text'])}" for row in _records(told.head(_SENTENCES)))]
    if len(told) > _SENTENCES:
        lines.append(f"- {len(told) - _SENTENCES} more are in the table.")
    lines += [*(f"- {_escaped(line)}" for line in _waivers(check)), *(f"- Note: {_escaped(n)}." for n in check.notes)]
    return "\n".join([*lines, "", *_foot(check), ""])


def write_markdown(check: Check, path: Path) -> None:
    """Write a check to a file, as Markdown.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    try:
        write_text(path, check_markdown(check))
    except OSError as error:
        raise InputError(f"cannot be written: {error}", where=str(path), fix="name another file") from error


def _records(frame: pd.DataFrame) -> list[dict[Hashable, Any]]:
    return frame.to_dict("records")


def _row(row: Mapping[Hashable, Any]) -> str:
    p = "" if pd.isna(row["p_adjusted"]) else f"{row['p_adjusted']:.4f}"
    settle = "" if pd.isna(row["n_to_settle"]) else f"n = {row['n_to_settle']:.0f}"
    names = (_escaped(str(row[key])[:_LONGEST]) for key in ("tier", "model", "rule"))
    return _line(
        (f"{_MARKS[row['verdict']]} {row['verdict']}", *names, _measured(row), f"{row['threshold']:.2f}", p, settle)
    )


def _foot(check: Check) -> list[str]:
    """What the verdicts rest on."""
    told = {
        "policy SHA-256": check.policy_sha256,
        "run fingerprint": str(check.run.record.get("fingerprint")),
        "run": str(check.run.record.get("run_id")),
        "evaluated": check.day.isoformat(),
        "exit code": str(check.exit_code),
    }
    return [_line(("", "")), _line(("---", "---")), *(_line((key, _escaped(value))) for key, value in told.items())]


def _line(cells: tuple[str, ...] | list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: object) -> str:
    """A text that Markdown shows as it is, in one line."""
    seen = _UNSEEN.sub(lambda found: " " if found.group() in "\t\n\r" else "\ufffd", str(text))
    safe = seen.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _ACTIVE.sub(r"\\\1", safe)
