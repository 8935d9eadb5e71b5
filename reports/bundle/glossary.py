"""Words for everything that a claim can name: metrics, intervals, explanation methods, checks; from their own texts."""

from __future__ import annotations

from typing import Any

from audit.fairness.metrics import METRICS
from audit.run import Run
from reports.methods import method_of
from reports.sections.closing import interval_words

__all__ = ["glossary"]


def glossary(run: Run) -> dict[str, dict[str, Any]]:
    """Definitions of what a run's tables use.

    Parameters
    ----------
    run : Run

    Returns
    -------
    dict
        ``metrics`` by name (definition, denominator, direction, bounds, when undefined, what it does not show),
        ``intervals`` by the name in column ``method``, ``explanations`` by method (title, definition, settings).
        Names alone where nothing defines them.
    """
    groups = run.table("groups", columns=["metric"])
    explained = run.table("explanations", columns=["method"]) if run.has("explanations") else None
    methods = sorted(run.record.get("methods") or (explained["method"].unique() if explained is not None else []))
    return {
        "metrics": {name: _metric(name) for name in METRICS if (groups["metric"] == name).any()},
        "intervals": dict(interval_words(run)),
        "explanations": {name: _explanation(run, name) for name in methods},
    }


def _metric(name: str) -> dict[str, Any]:
    metric = METRICS[name]
    return {
        "definition": metric.say("C"),
        "denominator": metric.counted.replace("{class}", "C"),
        "direction": metric.direction,
        "bounds": list(metric.bounds),
        "undefined": metric.undefined.replace("{class}", "C"),
        "does_not_show": metric.does_not_show.replace("{class}", "C"),
    }


def _explanation(run: Run, name: str) -> dict[str, Any]:
    method = method_of(run.record, name)
    return {
        "title": method.title,
        "definition": method.definition,
        "settings": dict(method.settings),
        "signed": method.signed,
        "provider": method.provider,
    }
