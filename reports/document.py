"""Builds the document tree of a run: which sections there are and in which order. Renderers come after."""

from __future__ import annotations

from audit.run import Run
from reports.fitting import fitted
from reports.format import clean, count
from reports.language import language, say
from reports.nodes import Document
from reports.sections.agreement import agreement
from reports.sections.calibration import calibration
from reports.sections.checks import crosschecks, training
from reports.sections.closing import limits, methods, provenance
from reports.sections.concepts import concepts
from reports.sections.conditions import conditions
from reports.sections.explanations import explanations, maps
from reports.sections.facts import Facts
from reports.sections.interventions import interventions
from reports.sections.people import people
from reports.sections.performance import performance
from reports.sections.side_by_side import side_by_side
from reports.sections.summary import summary
from reports.sections.unnamed import unnamed
from reports.sections.verdicts import verdicts

__all__ = ["build_document"]

_SECTIONS = (
    summary,
    verdicts,
    people,
    performance,
    calibration,
    unnamed,
    conditions,
    side_by_side,
    explanations,
    interventions,
    maps,
    agreement,
    concepts,
    crosschecks,
    training,
    limits,
    methods,
    provenance,
)
"""A builder that returns None has nothing to show; what was not measured stands in one line among the limits."""


def build_document(run: Run) -> Document:
    """Turn a run into a document tree.

    Parameters
    ----------
    run : Run
        Complete or not; tables that are absent are said to be so.

    Returns
    -------
    Document
        In the language spoken. Sections in the order in which a reviewer reads them: a summary on one page,
        verdicts, data, performance, confidence, what lies beyond the named groups, other conditions, models side by
        side, explanations with their stamps, interventions, maps, agreement between models, concepts, cross-checks,
        training, limits, methods, provenance.
    """
    facts = Facts(run)
    document = Document(
        title=clean(run.name),
        subtitle=_subtitle(run),
        complete=run.complete,
        warning="" if run.complete else _warning(facts),
        sections=tuple(section for section in (build(facts) for build in _SECTIONS) if section is not None),
        language=language(),
    )
    return fitted(document)


def _subtitle(run: Run) -> str:
    models = say(", ").join(clean(name) for name in run.models) or say("no model")
    day = clean(run.record.get("created", ""))[:10] or say("no date")
    name = clean(run.record.get("run_id", say("not recorded")))
    return say("Audit of {models} · {day} · run {name}", models=models, day=day, name=name)


def _warning(facts: Facts) -> str:
    planned = facts.data.get("planned")
    images = facts.run.table("images")
    said = [say("This run ended before every planned image was accounted for.")]
    if planned:
        seen = say(
            "{seen} of {planned} planned images are accounted for.", seen=count(len(images)), planned=count(planned)
        )
        said.append(seen)
    return say(" ").join([*said, say("Its numbers are not those of the audit.")])
