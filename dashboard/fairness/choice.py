"""What the Fairness page is about at this moment: model, attribute, metric and class, chosen in its first rows."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import streamlit as st

from audit.run import Run
from dashboard import state
from reports.format import known, metric_words, plain

__all__ = ["WHOLE", "Choice", "choose_cell", "file_name"]

WHOLE = "overall"
_NO_CLASS = "(none)"


@dataclass(frozen=True)
class Choice:
    """One metric of one model along one attribute.

    Attributes
    ----------
    run : Run
    model : str
    attribute : str
        Attribute or intersection.
    metric : str
    class_name : str or None
        The class, for a metric about one class.
    """

    run: Run
    model: str
    attribute: str
    metric: str
    class_name: str | None

    @property
    def words(self) -> str:
        """The metric in words, beginning with a capital."""
        words = metric_words(self.metric, self.class_name)
        return f"{words[:1].upper()}{words[1:]}"


def choose_cell(run: Run, model: str, groups: pd.DataFrame) -> Choice:
    """Attribute, metric and class to show, each limited to what was measured."""
    attributes = [str(name) for name in groups["attribute"].unique() if name != WHOLE] or [WHOLE]
    first, second, third = st.columns(3)
    with first:
        attribute = state.choose("Attribute or intersection", "attribute", attributes, show=plain)
    measured = groups[groups["attribute"] == attribute]
    with second:
        metric = state.choose(
            "Metric", "metric", [str(name) for name in measured["metric"].unique()], show=metric_words
        )
    about = measured.loc[measured["metric"] == metric, "class"]
    classes = [str(name) if known(name) else _NO_CLASS for name in about.drop_duplicates()]
    with third:
        name = state.choose("Class", "class", classes, show=_class_words)
    return Choice(run, model, attribute, metric, None if name == _NO_CLASS else name)


def _class_words(name: str) -> str:
    return "not about one class" if name == _NO_CLASS else name


def file_name(*words: str | None) -> str:
    """What a download is called after, from what is shown."""
    return "-".join(word for word in words if word)
