"""Robustness and data: who is in the data, what is wrong with it, other conditions, wrong labels, and training."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from audit.run import Run
from audit.run.claims import claims_of
from dashboard import data, nodes, parts, state
from dashboard.fairness.choice import WHOLE, Choice
from dashboard.robustness import conditions
from dashboard.robustness.coverage import coverage
from dashboard.robustness.labels import wrong_labels
from dashboard.robustness.problems import duplicates, known_images, unusable
from reports.format import plain
from reports.sections.checks import training
from reports.sections.facts import Facts

__all__ = ["page"]


def page(run: Run) -> None:
    """Show the page."""
    st.title("Robustness and data")
    part = state.tabs("Part of the page", "data", list(_VIEWS), show=lambda name: _VIEWS[name][0])
    _VIEWS[part][1](run)


def _problems(run: Run) -> None:
    unusable(run)
    duplicates(run)
    known_images(run)


def _corrupted(run: Run) -> None:
    choice = _choice(run)
    if choice is not None:
        conditions.robustness(choice)


def _labels(run: Run) -> None:
    model = _model(run)
    if model is not None:
        wrong_labels(run, model)


def _training(run: Run) -> None:
    st.header("Training and over-fitting")
    nodes.show(training(Facts(run)).blocks, nodes.Place(run, "all-models", "training-curves"))
    table = data.table(run, "training")
    if len(table):
        parts.data_table(run, table.assign(claim=claims_of("training", table)), "training")
    choice = _choice(run)
    if choice is not None:
        conditions.membership(choice)


def _model(run: Run) -> str | None:
    return state.choose("Model", "model", run.models) if parts.model_notice(run) else None


def _choice(run: Run) -> Choice | None:
    """Model and attribute that the parts by group are about."""
    if not parts.model_notice(run):
        return None
    first, second = st.columns(2)
    with first:
        model = state.choose("Model", "model", run.models)
    with second:
        attribute = state.choose("Attribute", "attribute", [*data.attributes(run), WHOLE], show=_attribute_words)
    return Choice(run, model, attribute, "accuracy", None)


def _attribute_words(name: str) -> str:
    return "everybody, no groups" if name == WHOLE else plain(name)


_VIEWS: dict[str, tuple[str, Callable[[Run], None]]] = {
    "coverage": ("Who is in the data", coverage),
    "problems": ("Problems and copies", _problems),
    "conditions": ("Corrupted images", _corrupted),
    "labels": ("Wrong labels", _labels),
    "training": ("Training", _training),
}

if __name__ == "__main__":
    page(data.current())
