"""Whether confidence is kept within groups, and rates over the decision threshold."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from audit.run import Run
from dashboard import data, parts
from dashboard.fairness.choice import WHOLE, Choice, file_name
from dashboard.forests import EVERYBODY, in_order
from dashboard.line_plots import lines
from dashboard.text import escape
from reports.figures import LinesFigure
from reports.format import metric_words, plain, status_words
from reports.sections.calibration import curve_points, reliability_figure, threshold_figure

__all__ = ["curves"]

About = tuple[str, int, str, str]
"""Run, time of change, model and attribute: what a kept figure hangs on."""

_MOST = 12
_COLUMNS = 3
_CRITERIA = ("true_positive_rate", "false_positive_rate", "precision", "selection_rate")


def curves(choice: Choice) -> None:
    """Reliability of everybody and of each group, then a chart for each rate over the threshold."""
    table = _rows(choice.run, choice.model, choice.attribute)
    if table.empty:
        st.info("No curves were computed for this run.")
        return
    _reliability(choice, table[table["kind"] == "reliability"])
    _thresholds(choice, table[table["kind"] == "threshold"])


def _rows(run: Run, model: str, attribute: str) -> pd.DataFrame:
    wanted = tuple(dict.fromkeys((attribute, WHOLE)))
    return data.table(run, "curves", filters=(("model", "=", model), ("attribute", "in", wanted)))


def _reliability(choice: Choice, table: pd.DataFrame) -> None:
    st.header(escape(f"Confidence kept within groups of {plain(choice.attribute)}"))
    if table["value"].notna().sum() == 0:
        st.info("No probabilities were stored, so confidence cannot be checked.")
        return
    st.caption(
        "Across, the mean confidence in one of fifteen equal parts of its scale; up, the share that was right, with "
        "95 % intervals. On the dotted diagonal the model keeps what it promises; below it, it promises more. Points "
        "that rest on few images scatter."
    )
    whole = table[table["attribute"] == WHOLE]
    own = table[table["attribute"] == choice.attribute] if choice.attribute != WHOLE else table.iloc[:0]
    groups = _groups(own)
    named = [(EVERYBODY, whole, -1)]
    named += [(group, own[own["group"] == group], style) for style, group in enumerate(groups[:_MOST])]
    for start in range(0, len(named), _COLUMNS):
        row = named[start : start + _COLUMNS]
        for place, (group, part, style) in zip(st.columns(_COLUMNS), row, strict=False):
            with place:
                _small(_about(choice), group, part, style)
    if len(groups) > _MOST:
        st.caption(f"The first {_MOST} of {len(groups)} groups are drawn; the table holds all.")
    _table(choice, table, "reliability")


def _groups(own: pd.DataFrame) -> list[str]:
    return [str(name) for name in in_order(own.drop_duplicates("group"))["group"]]


def _about(choice: Choice) -> About:
    return str(choice.run.path), data.changed(choice.run, "curves"), choice.model, choice.attribute


def _small(about: About, group: str, part: pd.DataFrame, style: int) -> None:
    st.markdown(f"**{escape(group)}**")
    figure = _reliable(about, group, style, part)
    if figure is None:
        reason = status_words(part["status"].iloc[0]) if len(part) else "not measured"
        st.caption(escape(f"Nothing to draw: {reason}."))
        return
    parts.chart(lines(figure, parts.mode()), key=f"reliability_{group}", description=figure.description)


@st.cache_resource(max_entries=1024, show_spinner=False)
def _reliable(about: About, group: str, style: int, _part: pd.DataFrame) -> LinesFigure | None:  # noqa: ARG001
    """Figure of one group; None where there is nothing to draw."""
    return reliability_figure(_part, group, style) if curve_points(_part) else None


@st.cache_resource(max_entries=256, show_spinner=False)
def _rates(about: About, metric: str, _own: pd.DataFrame, _groups: list[str]) -> LinesFigure:  # noqa: ARG001
    return threshold_figure(_own, metric, metric_words(metric), _groups)


def _thresholds(choice: Choice, table: pd.DataFrame) -> None:
    st.header(escape(f"Rates over the decision threshold by {plain(choice.attribute)}"))
    own = table[table["attribute"] == choice.attribute]
    if own["value"].notna().sum() == 0:
        st.info("Threshold curves need a declared positive class and stored probabilities.")
        return
    groups = _groups(own)
    st.caption(
        "What each group would have met at another threshold on the score of the positive class, each for itself. "
        "A threshold chosen on these images must be checked on others."
    )
    places = st.columns(2) + st.columns(2)
    for place, metric in zip(places, _CRITERIA, strict=True):
        with place:
            words = metric_words(metric)
            st.markdown(f"**{escape(words[:1].upper() + words[1:])}**")
            figure = _rates(_about(choice), metric, own, groups[:_MOST])
            parts.chart(lines(figure, parts.mode()), key=f"threshold_{metric}", description=figure.description)
    if len(groups) > _MOST:
        st.caption(f"The first {_MOST} of {len(groups)} groups are drawn; the table holds all.")
    _table(choice, table, "thresholds")


def _table(choice: Choice, table: pd.DataFrame, what: str) -> None:
    with st.expander("Every point as a table"):
        shown = table[table["value"].notna()].drop(columns=["model", "kind", "position"])
        shown = shown.assign(status=shown["status"].map(status_words), metric=shown["metric"].map(metric_words))
        parts.data_table(choice.run, shown, file_name(what, choice.attribute), model=choice.model)
