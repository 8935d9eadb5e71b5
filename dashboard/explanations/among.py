"""Along what the parts about groups go: attribute, method and measure, each limited to what was measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from audit.run import Run
from dashboard import data, parts, plots, state
from dashboard.explanations.words import method_order, title
from dashboard.forests import EVERYBODY, in_order, mean_forest
from dashboard.text import escape
from reports.figures import ForestFigure
from reports.format import plain, status_words

__all__ = [
    "METHOD",
    "WHOLE",
    "Among",
    "by_model",
    "choose_among",
    "choose_attribute",
    "group_rows",
    "model_charts",
    "names",
]

ATTRIBUTE, METHOD = "regions-by", "method"
"""Query parameters that every part about groups shares, so that a choice lasts from part to part."""

WHOLE = "overall"
MOST = 40


def names(column: pd.Series) -> list[str]:
    """Values of a column, each once, in its order."""
    return [str(name) for name in column.dropna().drop_duplicates()]


@dataclass(frozen=True)
class Among:
    """What a part about groups is about.

    Attributes
    ----------
    method : str
        Method of explanation, or what stands in its place.
    attribute : str
        Attribute or intersection; `WHOLE` for everybody alone.
    """

    method: str
    attribute: str


def choose_among(run: Run, *tables: str) -> Among | None:
    """Method and attribute, of those that any of some tables holds; None where all of them are empty."""
    found = [data.distinct(run, name, ("method", "attribute")) for name in tables]
    known = pd.concat([part.astype("str") for part in found])
    if known.empty:
        return None
    first, second, _ = st.columns(3)
    with first:
        order = method_order(run, names(known["method"]))
        method = state.choose("Method", METHOD, order, show=lambda name: title(run, name))
    with second:
        attribute = choose_attribute(known["attribute"])
    return Among(method, attribute)


def choose_attribute(column: pd.Series) -> str:
    """Attribute or intersection; by default the first that is one."""
    found = names(column)
    default = next((name for name in found if name != WHOLE), found[0])
    return state.choose("Groups of", ATTRIBUTE, found, default=default, show=_attribute_words)


def _attribute_words(name: str) -> str:
    return "everybody, no groups" if name == WHOLE else plain(name)


def group_rows(rows: pd.DataFrame, attribute: str) -> pd.DataFrame:
    """The rows of one attribute in the order of its groups, and that over everybody last, so called."""
    own = rows[rows["attribute"] == attribute] if attribute != WHOLE else rows.iloc[:0]
    whole = rows[rows["attribute"] == WHOLE].assign(group=EVERYBODY)
    return pd.concat([in_order(own), whole])


def by_model(run: Run, rows: pd.DataFrame) -> pd.DataFrame:
    """The same rows, model after model in the order of the run."""
    order = {name: place for place, name in enumerate(run.models)}
    return rows.sort_values("model", key=lambda column: column.map(order), kind="stable")


def model_charts(run: Run, rows: pd.DataFrame, axis: str, key: str, *, mark: str = "", zero: bool = False) -> None:
    """A forest plot a model, two beside each other.

    Parameters
    ----------
    run : Run
    rows : DataFrame
        ``model`` and what `mean_forest` takes.
    axis, key : str
        Name of the horizontal axis; start of the charts' keys.
    mark, zero
        As in `mean_forest`.
    """

    def draw(part: pd.DataFrame, model: str) -> ForestFigure:
        return mean_forest(part.head(MOST), model, axis, mark=mark, zero=zero)

    side_by_side(run, rows, key, draw)


def side_by_side(run: Run, rows: pd.DataFrame, key: str, draw: Callable[[pd.DataFrame, str], ForestFigure]) -> None:
    """Charts of the models that have rows, two beside each other where there are several."""
    models = [name for name in run.models if name in set(rows["model"])]
    for start in range(0, len(models), 2):
        for place, model in zip(st.columns(min(2, len(models))), models[start : start + 2], strict=False):
            part = rows[rows["model"] == model]
            with place:
                st.markdown(f"**{escape(model)}**")
                if part["value"].notna().any():
                    figure = draw(part, model)
                    parts.chart(
                        plots.forest(figure, parts.mode()), key=f"{key}_{model}", description=figure.description
                    )
                    if len(part) > MOST:
                        st.caption(f"The first {MOST} of {len(part)} groups are drawn; the table holds all.")
                else:
                    st.info(escape(f"Nothing to draw: {status_words(part['status'].iloc[0])}."))
