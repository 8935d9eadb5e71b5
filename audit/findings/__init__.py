"""Policies and verdicts: from a run's tables to findings. No model is run here, no table is written."""

from __future__ import annotations

from audit.findings.judge import FINDING_COLUMNS, VERDICTS, finding_id, judge, summary
from audit.findings.measured import check_policy
from audit.findings.policy import (
    REGION_SHARE,
    DefaultPolicy,
    Policy,
    Rule,
    default_policy,
    load_policy,
    parse_policy,
)

__all__ = [
    "FINDING_COLUMNS",
    "REGION_SHARE",
    "VERDICTS",
    "DefaultPolicy",
    "Policy",
    "Rule",
    "check_policy",
    "default_policy",
    "finding_id",
    "judge",
    "load_policy",
    "parse_policy",
    "summary",
]
