"""A check as a person reads it in a terminal: what was judged by what, a table, and the sentences that matter."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from audit.findings.check import FAILED, SETTLED, Check
from audit.findings.judge import VERDICTS
from audit.terminal import output, plain, table

__all__ = ["print_check"]

_MARKS = {
    "fail": ("✗", "red"),
    "error": ("✗", "red"),
    "inconclusive": ("?", "yellow"),
    "warn": ("!", "yellow"),
    "pass": ("✓", "green"),
    "waived": ("-", "cyan"),
}
_TOLD = ("fail", "error", "inconclusive", "waived")
_SHOWN = 100
_SENTENCES = 12


def print_check(check: Check, console: Console | None = None) -> None:
    """Print a check.

    Parameters
    ----------
    check : Check
    console : Console, optional
        Standard output by default, 120 columns wide where that is no terminal.
    """
    out = console or output()
    order = {verdict: place for place, verdict in enumerate(VERDICTS)}
    rows = check.findings.sort_values("verdict", key=lambda column: column.map(order), kind="stable")
    out.print()
    for line in _head(check):
        out.print(plain(line))
    out.print(_table(rows.head(_SHOWN)))
    if len(rows) > _SHOWN:
        out.print(plain(f"... {len(rows)} findings in all"))
    told = rows[rows["verdict"].isin(_TOLD)].head(_SENTENCES)
    for row in told.to_dict("records"):
        out.print(plain(f"  {_MARKS[row['verdict']][0]} {row['text']}"))
    for line in (*_waivers(check), *(f"Note: {note}." for note in check.notes), _outcome(check)):
        out.print(plain(line))


def _head(check: Check) -> list[str]:
    named = "named by the run before it had results" if check.preregistered else "not the policy that the run named"
    approver = check.policy.approver or "nobody"
    kind = "preregistered" if check.preregistered else "post_hoc"
    return [
        f"{check.run.name}, judged by policy '{check.policy.name}' (approver: {approver}) on {check.day.isoformat()}",
        f"Verdicts are {kind}: {named} (SHA-256 {check.policy_sha256[:12]}).",
    ]


def _table(rows: pd.DataFrame) -> Table:
    columns = ("verdict", "tier", "model", "rule", "value [interval]", "tolerance", "p adjusted", "would settle")
    shown = table(*columns)
    for row in rows.to_dict("records"):
        mark, colour = _MARKS[row["verdict"]]
        cells = (str(row["tier"]), str(row["model"]), str(row["rule"]), _measured(row), f"{row['threshold']:.2f}")
        p = "" if pd.isna(row["p_adjusted"]) else f"{row['p_adjusted']:.4f}"
        settle = "" if pd.isna(row["n_to_settle"]) else f"n = {row['n_to_settle']:.0f}"
        shown.add_row(plain(f"{mark} {row['verdict']}", colour), *map(plain, (*cells, p, settle)))
    return shown


def _measured(row: Mapping[Hashable, Any]) -> str:
    if pd.isna(row["value"]):
        return "undefined"
    interval = "" if pd.isna(row["low"]) else f" [{row['low']:.3f}, {row['high']:.3f}]"
    return f"{row['value']:.3f}{interval}"


def _waivers(check: Check) -> list[str]:
    return [
        f"Waiver for {item.waiver.rule or item.waiver.finding} by {item.waiver.signed_by}, {item.state}"
        f" (until {item.waiver.expires}): {item.waiver.reason}"
        for item in check.waivers
    ]


def _outcome(check: Check) -> str:
    incomplete = "" if check.run.complete else " The run is INCOMPLETE."
    if check.exit_code == FAILED:
        return f"A required rule FAILED.{incomplete}"
    if check.exit_code != SETTLED:
        return f"NOT CERTIFIED: a required rule is not settled, or images are unaccounted for.{incomplete}"
    if not check.certified:
        return "No rule of this policy is required: nothing hangs on these verdicts."
    return "Every required rule passed, with its warnings and waivers as listed. It does not show that there is no gap."
