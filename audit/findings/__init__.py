"""Policies and verdicts: from a run's tables to findings. No model is run here, no table is written."""

from __future__ import annotations

from audit.findings.applicable import check_policy
from audit.findings.check import Check, check_run, save_check
from audit.findings.defaults import DefaultPolicy, default_policy
from audit.findings.judge import FINDING_COLUMNS, VERDICTS, finding_id, judge, summary
from audit.findings.junit import junit_xml, write_junit
from audit.findings.policy import Policy, Rule, load_policy, parse_policy
from audit.findings.sensitivity import SENSITIVITY_COLUMNS, sensitivity_table
from audit.findings.subjects import INTERVENTION_EFFECT, JUDGED_METRICS, REGION_SHARE
from audit.findings.waivers import Waiver, apply_waivers, load_waivers

__all__ = [
    "FINDING_COLUMNS",
    "INTERVENTION_EFFECT",
    "JUDGED_METRICS",
    "REGION_SHARE",
    "SENSITIVITY_COLUMNS",
    "VERDICTS",
    "Check",
    "DefaultPolicy",
    "Policy",
    "Rule",
    "Waiver",
    "apply_waivers",
    "check_policy",
    "check_run",
    "default_policy",
    "finding_id",
    "judge",
    "junit_xml",
    "load_policy",
    "load_waivers",
    "parse_policy",
    "save_check",
    "sensitivity_table",
    "summary",
    "write_junit",
]
