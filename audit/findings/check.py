"""Judging a finished run by a policy file: integrity first, then verdicts, waivers, and what the command exits with.

Nothing is written here but by `save_check`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd

from audit.errors import IncompleteRun, RunError
from audit.findings.applicable import check_policy
from audit.findings.judge import judge, summary
from audit.findings.policy import Policy, load_policy
from audit.findings.waivers import AppliedWaiver, Waiver, apply_waivers, load_waivers
from audit.run import Run
from audit.run.files import lock, sha256_file, write_json
from audit.run.integrity import IntegrityError, check_integrity, unchecked
from audit.run.tables import json_value
from audit.version import __version__

__all__ = ["FAILED", "SETTLED", "UNSETTLED", "Check", "check_run", "save_check", "saved_checks"]

SETTLED, FAILED, UNSETTLED = 0, 1, 3
"""Exit codes: no required rule stands against it; a required rule failed; one is open, or the run is incomplete."""

OPEN = ("inconclusive", "error")


@dataclass(frozen=True)
class Check:
    """Verdicts of one policy on one run, on one day.

    Parameters
    ----------
    run : Run
    policy : Policy
    policy_sha256 : str
        Digest of the policy file.
    day : date
        Day of evaluation, by which waivers expire.
    preregistered : bool
        Whether the run's plan named this very policy before the first shard.
    findings : DataFrame
        Table `findings`, waivers applied.
    waivers : tuple of AppliedWaiver
    notes : tuple of str
        What could not be checked.
    """

    run: Run
    policy: Policy
    policy_sha256: str
    day: date
    preregistered: bool
    findings: pd.DataFrame
    waivers: tuple[AppliedWaiver, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def required(self) -> pd.DataFrame:
        """Findings of required rules."""
        return self.findings[self.findings["tier"] == "required"]

    @property
    def certified(self) -> bool:
        """Whether the run is complete, there are required rules, and each one passed, warns or is waived."""
        return self.exit_code == SETTLED and len(self.required) > 0

    @property
    def exit_code(self) -> int:
        """0 pass or warn; 1 a required rule failed; 3 a required rule is open or the run is incomplete."""
        verdicts = set(self.required["verdict"])
        if "fail" in verdicts:
            return FAILED
        return UNSETTLED if not self.run.complete or verdicts & set(OPEN) else SETTLED

    def to_json(self) -> dict[str, Any]:
        """Everything a reader needs to repeat the check, as JSON values; the same for the same inputs."""
        return {
            "schema_version": 1,
            "faircam": __version__,
            "run": {
                "name": self.run.name,
                "run_id": self.run.record.get("run_id"),
                "fingerprint": self.run.record.get("fingerprint"),
                "complete": self.run.complete,
            },
            "policy": {
                "name": self.policy.name,
                "approver": self.policy.approver,
                "sha256": self.policy_sha256,
                "rules": [rule.model_dump(mode="json", by_alias=True) for rule in self.policy.rules],
            },
            "evaluated": self.day.isoformat(),
            "preregistered": self.preregistered,
            "certified": self.certified,
            "exit_code": self.exit_code,
            "summary": summary(self.findings),
            "findings": [{str(key): json_value(cell) for key, cell in row.items()} for row in self._rows()],
            "waivers": [
                {**item.waiver.model_dump(mode="json"), "state": item.state, "without": item.findings}
                for item in self.waivers
            ],
            "notes": list(self.notes),
        }

    def _rows(self) -> list[dict[Any, Any]]:
        return self.findings.to_dict("records")


def check_run(run: Run, policy: Path, *, waivers: Path | None = None, day: date, draws: int = 9999) -> Check:
    """Recompute the verdicts of a policy from a run's tables.

    Parameters
    ----------
    run : Run
    policy : Path
        Policy file.
    waivers : Path, optional
        Waiver file.
    day : date
        Day of evaluation.
    draws : int
        Of the permutation tests; their seed is the run's.

    Returns
    -------
    Check
        Findings, the waivers that apply, and the exit code that they come to.

    Raises
    ------
    ConfigError
        The policy or a waiver is malformed, or names what the run does not have.
    IntegrityError
        The run is not as it was written.
    IncompleteRun
        The run ended before it had tables.
    """
    rules = load_policy(policy)
    signed: tuple[Waiver, ...] = load_waivers(waivers) if waivers is not None else ()
    problems = check_integrity(run)
    if problems:
        raise IntegrityError("; ".join(problems), where=str(run.path), fix="make the run again from its inputs")
    if not (run.has("images") and run.has("predictions")):
        raise IncompleteRun(
            "the run ended before its tables were written",
            where=str(run.path),
            fix="`faircam run --resume` goes on with it",
        )
    digest = sha256_file(policy)
    findings = _judged(run, rules, digest, draws)
    findings, applied = apply_waivers(findings, signed, day, [rule.id for rule in rules.rules], run.models)
    preregistered = _named(run) == digest
    return Check(run, rules, digest, day, preregistered, findings, applied, tuple(unchecked(run)))


def _named(run: Run) -> str | None:
    """Digest of the policy that the plan named; `check_integrity` has held the record against the plan."""
    named = (run.record.get("policy") or {}).get("sha256")
    return None if named is None else str(named)


def _judged(run: Run, rules: Policy, digest: str, draws: int) -> pd.DataFrame:
    data = run.record.get("data") or {}
    classes, positive = [str(name) for name in data.get("classes") or ()], data.get("positive")
    if not classes:
        raise RunError("run.json names no classes", where=str(run.path))
    images, predictions = run.table("images"), run.table("predictions")
    groups = {
        str(name).removeprefix("attr_"): set(images[name].astype(object).where(images[name].notna(), None))
        for name in images
        if str(name).startswith("attr_")
    }
    check_policy(rules, groups, classes, positive, data.get("regions") or [], set(images["label"].dropna()))
    return judge(
        rules,
        images,
        predictions,
        run.table("region_mass"),
        classes,
        positive,
        preregistered=_named(run) == digest,
        policy_sha256=digest,
        models=run.models,
        draws=draws,
        seed=int((run.record.get("config") or {}).get("seed") or 0),
        interventions=run.table("interventions"),
        stamps=run.table("stamps"),
    )


def save_check(check: Check) -> Path:
    """Add the verdicts to the run, as ``verdicts/POLICY-SHA256.json``; nothing is ever replaced.

    Returns
    -------
    Path
        The file. Verdicts that are there already are not written twice; others of the same policy (another
        day, other waivers) get a number of their own.

    Raises
    ------
    RunError
        The folder cannot be written.
    """
    content = json.loads(json.dumps(check.to_json()))
    try:
        with lock(check.run.path):
            return _add(check.run.path / "verdicts", check.policy_sha256, content)
    except OSError as error:
        raise RunError(f"verdicts cannot be saved: {error}", where=str(check.run.path)) from error


def _add(folder: Path, name: str, content: dict[str, Any]) -> Path:
    for number in count(1):
        path = folder / (f"{name}.json" if number == 1 else f"{name}-{number}.json")
        if not path.exists():
            write_json(path, content)
            return path
        if json.loads(path.read_text(encoding="utf-8")) == content:
            return path
    raise AssertionError("counting does not end")


def saved_checks(run: Run) -> list[dict[str, Any]]:
    """Verdicts saved in a run, by day of evaluation and file name."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((run.path / "verdicts").glob("*.json"))]
    return sorted(found, key=lambda content: str(content.get("evaluated")))
