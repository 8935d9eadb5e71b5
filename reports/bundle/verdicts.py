"""The verdicts of a bundle: its findings, with the waivers that are in force on the day of evaluation."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pandas as pd

from audit.derived import Facts
from audit.findings import Check, check_run, parse_policy
from audit.findings.waivers import Waiver, apply_waivers, load_waivers
from audit.findings.yaml_input import read_yaml
from audit.run import Run
from audit.run.claims import claim_parts
from audit.run.files import sha256_file
from audit.run.integrity import unchecked
from audit.run.statements import Statement, read_statements

__all__ = ["WAIVERS", "JudgedRun", "check_of", "judged"]

WAIVERS = "waivers.yaml"

POLICY = "policy.yaml"
"""The policy that a bundle's findings were judged by, where it is not the built-in one."""


class JudgedRun(Run):
    """A run whose findings are those of another policy than the one that it was judged by when it was computed."""

    def __init__(self, run: Run, findings: pd.DataFrame) -> None:
        super().__init__(run.path, run.record)
        self._findings = findings

    def table(self, name: str, **options: object) -> pd.DataFrame:
        """One table; `findings` are those of the policy."""
        if name != "findings":
            return super().table(name, **options)
        wanted = options.get("columns")
        return self._findings.copy() if wanted is None else self._findings[list(wanted)].copy()  # type: ignore[call-overload]


def judged(run: Run, policy: Path | None, day: date) -> Run:
    """The run with the findings of a policy file; as it is where none is given.

    Raises
    ------
    ConfigError, IntegrityError, IncompleteRun
        As `audit.findings.check_run`.
    """
    return run if policy is None else JudgedRun(run, check_run(run, policy, day=day).findings)


def facts_of(run: Run) -> Facts:
    """What the derived tables rest on; the policy is that of the bundle, or the one that the run named."""
    facts = Facts.of(run.record)
    path = run.path / POLICY
    if not path.exists():
        return facts
    digest = sha256_file(path)
    policy = parse_policy(read_yaml(path), where=str(path))
    return replace(facts, policy=policy, policy_sha256=digest, preregistered=digest == facts.policy_sha256)


def _logged(entry: Statement) -> Waiver:
    """A waiver from the log of statements; it is about the claim of a finding."""
    _, about = claim_parts(entry.about)
    return Waiver(
        rule=about["rule"],
        model=about["model"],
        signed_by=f"{entry.author}, {entry.role}",
        reason=entry.text,
        expires=date.fromisoformat(str(entry.expires)),
        created=date.fromisoformat(entry.time[:10]),
    )


def check_of(run: Run, day: date) -> Check:
    """Verdicts of a bundle's folder, made from its tables, its policy and its waivers alone."""
    facts = facts_of(run)
    path = run.path / WAIVERS
    waivers: tuple[Waiver, ...] = load_waivers(path) if path.exists() else ()
    waivers += tuple(_logged(entry) for entry in read_statements(run) if entry.kind == "waiver")
    rules = [rule.id for rule in facts.policy.rules]
    findings, applied = apply_waivers(run.table("findings"), waivers, day, rules, run.models)
    return Check(
        run,
        facts.policy,
        facts.policy_sha256 or "",
        day,
        facts.preregistered,
        findings,
        applied,
        tuple(unchecked(run)),
    )
