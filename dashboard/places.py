"""Where in the dashboard a claim can be looked at: page, query and words of the link. Draws nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from audit.errors import InputError
from audit.findings.subjects import INTERVENTION_EFFECT, REGION_METRICS
from audit.run import Run
from audit.run.claims import claim_parts, find_claim
from dashboard import data
from dashboard.errors.filters import images_query
from dashboard.pages import PAGES
from reports.format import known, metric_words, plain
from reports.methods import method_of

__all__ = ["Place", "claim_place", "finding_place", "images_place"]

_NO_CLASS = "(none)"
_ERRORS = {
    "true_positive_rate": "false-negative",
    "false_negative_rate": "false-negative",
    "false_positive_rate": "false-positive",
    "true_negative_rate": "false-positive",
}
"""Which errors a rate of the positive class is about."""


@dataclass(frozen=True)
class Place:
    """A view of the dashboard.

    Attributes
    ----------
    page : str
        Key of `dashboard.pages.PAGES`.
    query : dict of str to str
        Query parameters, without the run's.
    label : str
        What is seen there, in words; not escaped.
    """

    page: str
    query: dict[str, str] = field(default_factory=dict)
    label: str = ""


def claim_place(run: Run, claim: str) -> Place | None:
    """View that shows the row a claim names; None where it is no claim, or of a finding about nothing shown."""
    try:
        table, parts = claim_parts(claim)
    except InputError:
        return None
    if table == "findings":
        rows = data.records(find_claim(data.table(run, "findings"), claim))
        return finding_place(run, rows[0]) if rows else None
    page, query = _PLACES[table](parts)
    return Place(page, {key: value for key, value in query.items() if value}, f"{PAGES[page]}: {_words(parts)}")


def finding_place(run: Run, row: Mapping[str, Any]) -> Place | None:
    """View of the cell or the region that a finding is about; None where it is about neither."""
    if not known(row["attribute"]) or not known(row["metric"]):
        return None
    model = str(row["model"])
    if row["metric"] in REGION_METRICS:
        query, label = _region(run, row)
        return Place("explanations", {"model": model, **query}, label)
    query = {"model": model, "attribute": str(row["attribute"]), "metric": str(row["metric"])}
    query |= {"class": str(row["class"])} if known(row["class"]) else {}
    return Place("fairness", query, f"{metric_words(row['metric'], row['class'])} by {row['attribute']}, {model}")


def images_place(run: Run, row: Mapping[str, Any]) -> Place:
    """Images on which the model erred, of the group that a finding is about and in the way that its rate counts."""
    attribute, group, model = row.get("attribute"), row.get("group"), str(row["model"])
    filters = {}
    label = f"wrong images of {model}"
    if attribute in data.attributes(run) and known(group):
        filters = {"by": str(attribute), "group": str(group)}
        label += f" in {group}"
    positive = run.record.get("data", {}).get("positive")
    if known(row.get("class")) and row["class"] == positive and row["metric"] in _ERRORS:
        filters["outcome_of"] = _ERRORS[str(row["metric"])]
    return Place("errors", images_query(run, model, **filters), label)


def _region(run: Run, row: Mapping[str, Any]) -> tuple[dict[str, str], str]:
    """Query and label for what a finding about a region rests on, as its claims name it."""
    grouped = row["attribute"] != "region"
    attribute = str(row["attribute"]) if grouped else "overall"
    by = f" by {plain(attribute)}" if grouped else ""
    if row["metric"] == INTERVENTION_EFFECT:
        region = _claimed(row, "intervention_groups").get("region") or str(row["group"])
        query = {"part": "interventions", "region": region, "action": "effect", "change": "changed"}
        return query | {"regions-by": attribute}, f"effect of hiding {region}{by}, {row['model']}"
    claimed = _claimed(row, "region_groups")
    method, region = claimed.get("method", ""), claimed.get("region") or str(row["group"])
    query = {"part": "regions", "region": region, "method": method, "regions-by": attribute}
    return query, f"share of {method_of(run.record, method).title} in {region}{by}, {row['model']}"


def _claimed(row: Mapping[str, Any], table: str) -> dict[str, str]:
    """What a finding's first claim on a table names, by column; nothing where it makes none."""
    claims = [str(claim) for claim in row["claims"]] if isinstance(row["claims"], Iterable) else []
    for claim in claims:
        try:
            name, parts = claim_parts(claim)
        except InputError:  # an older run wrote a name as it was, with its colons
            continue
        if name == table and parts["model"] == row["model"]:
            return parts
    return {}


def _words(parts: Mapping[str, str]) -> str:
    return ", ".join(plain(value) for value in parts.values() if value)


Parts = Mapping[str, str]


def _cell(view: str) -> Callable[[Parts], tuple[str, dict[str, str]]]:
    def place(parts: Parts) -> tuple[str, dict[str, str]]:
        query = {key: parts.get(key, "") for key in ("model", "attribute", "metric")}
        if "class" in parts and view == "groups":
            query["class"] = parts["class"] or _NO_CLASS
        return "fairness", {**query, "view": view}

    return place


def _maps(part: str, **named: str) -> Callable[[Parts], tuple[str, dict[str, str]]]:
    def place(parts: Parts) -> tuple[str, dict[str, str]]:
        return "explanations", {"part": part, **{key: parts.get(column, "") for key, column in named.items()}}

    return place


def _page(page: str, **named: str) -> Callable[[Parts], tuple[str, dict[str, str]]]:
    def place(parts: Parts) -> tuple[str, dict[str, str]]:
        return page, {key: parts.get(column, "") for key, column in named.items()}

    return place


def _data(part: str, **named: str) -> Callable[[Parts], tuple[str, dict[str, str]]]:
    def place(parts: Parts) -> tuple[str, dict[str, str]]:
        return "robustness", {"data": part, **{key: parts.get(column, "") for key, column in named.items()}}

    return place


_REGIONS = {"model": "model", "method": "method", "regions-by": "attribute"}
_PLACES: dict[str, Callable[[Parts], tuple[str, dict[str, str]]]] = {
    "coverage": _data("coverage", by="attribute"),
    "groups": _cell("groups"),
    "gaps": _cell("groups"),
    "curves": _cell("confidence"),
    "lattice": _cell("unnamed"),
    "slices": _cell("unnamed"),
    "leakage": _cell("unnamed"),
    "shift": _cell("conditions"),
    "membership": _data("training", model="model", attribute="attribute"),
    "robustness": _data("conditions", model="model", attribute="attribute", corruption="corruption"),
    "robustness_gaps": _data("conditions", model="model", attribute="attribute", corruption="corruption"),
    "sensitivity": _data("labels", model="model"),
    "paired": _page("compare", attribute="attribute"),
    "stamps": _maps("stamps"),
    "region_groups": _maps("regions", region="region", **_REGIONS),
    "quality_groups": _maps("regions", **_REGIONS),
    "quality_gaps": _maps("regions", **_REGIONS),
    "intervention_groups": _maps("interventions", model="model", region="region", **{"regions-by": "attribute"}),
    "agreement_groups": _maps("agreement", method="method"),
    "concepts": _maps("concepts"),
    "training": _data("training"),
    "work": _page("provenance"),
}
"""How each table's claims become a page and a query; every key of `CLAIM_KEYS`."""
