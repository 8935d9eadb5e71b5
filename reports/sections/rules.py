"""Which rules findings were judged by, and whether these were fixed before there were results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import yaml

from audit.findings.check import saved_checks
from audit.run import Run
from audit.run.files import sha256_file
from reports.format import clean, known, short
from reports.language import say
from reports.sections.facts import Facts

__all__ = ["Basis", "basis_of", "basis_words"]

_POLICY = "policy.yaml"
_DIGITS = 12


@dataclass(frozen=True)
class Basis:
    """What findings were judged by.

    Attributes
    ----------
    digest : str or None
        SHA-256 of the policy file; None for the built-in rules.
    name : str
        Of the policy; empty where it is not known.
    preregistered : bool
        Whether the run named it before it had results.
    """

    digest: str | None
    name: str
    preregistered: bool


def basis_of(facts: Facts) -> Basis:
    """The policy of the findings, which need not be the one that the run named."""
    findings = facts.run.table("findings")
    recorded = facts.run.record.get("policy") or {}
    given = recorded if isinstance(recorded, Mapping) else {"name": recorded}
    digests = [str(value) for value in findings["policy_sha256"].unique() if known(value)]
    digest = digests[0] if digests else given.get("sha256")
    before = bool(findings["preregistered"].fillna(False).astype(bool).all()) and len(findings) > 0
    named = given.get("name") if digest == given.get("sha256") else _held(facts.run, digest)
    return Basis(digest, clean(named) if known(named) else "", before)


def _held(run: Run, digest: str | None) -> str | None:
    """Name of the policy that lies in the folder, as it does in a bundle."""
    path = run.path / _POLICY
    if digest is None or not path.exists() or sha256_file(path) != digest:
        return None
    content = yaml.safe_load(path.read_text("utf-8"))
    return str(content["name"]) if isinstance(content, dict) and content.get("name") else None


def basis_words(facts: Facts) -> Iterator[str]:
    """Sentences for a reader who wants to know whether the limits were chosen to fit the results."""
    basis = basis_of(facts)
    if basis.digest is None:
        yield say("Built-in defaults: nobody chose these limits for this model and its use.")
    elif basis.preregistered:
        yield say("{policy}, preregistered: named in the configuration before the first result.", policy=_title(basis))
    else:
        yield say("{policy}, post hoc: applied after results existed.", policy=_title(basis))
    later = [check for check in saved_checks(facts.run) if not check.get("preregistered")]
    if later:
        names = say(", ").join(dict.fromkeys(short((check.get("policy") or {}).get("name", "")) for check in later))
        yield say("Verdicts of other rules were saved after the run, post hoc: {policies}.", policies=names)


def _title(basis: Basis) -> str:
    name = f"‘{short(basis.name, 40)}’" if basis.name else ""
    return " ".join(filter(None, (say("Policy"), name, f"(SHA-256 {str(basis.digest)[:_DIGITS]})")))
