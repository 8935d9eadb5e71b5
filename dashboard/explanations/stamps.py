"""The stamp of a method on a model, by symbol and word, with its checks behind one press."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from audit.findings.stamps import CHECKS, OVERALL, REFERENCES
from audit.run import Run
from dashboard import data
from dashboard.explanations.words import RESULTS, Mark, definition, stamp_mark, title
from dashboard.text import escape
from reports.format import clean, known, plain

__all__ = ["LIMITS", "Stamp", "check_words", "find_stamp", "show_stamp", "show_stamps"]

LIMITS = (
    "A stamp says that the maps of this method follow what this model computes on these images. It does not say that "
    "a person reads them rightly, that they name the whole reason of a decision, or anything about other images."
)
_NOT_STAMPED = "This run holds no stamps; add `quality:` to the config to have methods checked."


@dataclass(frozen=True)
class Stamp:
    """What the checks of one method on one model come to.

    Attributes
    ----------
    model, method : str
    mark : Mark
    text : str
        Why, in a sentence.
    checks : DataFrame
        Rows of table `stamps` but the overall one; shared between sessions, so not to be changed.
    lines : tuple of str
        The checks in words, as Markdown.
    """

    model: str
    method: str
    mark: Mark
    text: str
    checks: pd.DataFrame
    lines: tuple[str, ...] = ()


def find_stamp(run: Run, model: str, method: str) -> Stamp:
    """The stamp that the run holds, or one that says that there is none."""
    return _find(str(run.path), data.changed(run, "stamps"), model, method)


@st.cache_resource(max_entries=512, show_spinner=False)
def _find(path: str, stamp: int, model: str, method: str) -> Stamp:
    rows = data.table(data.open_cached(Path(path)), "stamps")  # small: read once for all of them
    rows = rows[(rows["model"] == model) & (rows["method"] == method)]
    overall = rows[rows["check"] == OVERALL]
    checks = rows[rows["check"] != OVERALL]
    if not stamp or overall.empty:
        return Stamp(model, method, stamp_mark("not_measured"), _NOT_STAMPED, checks)
    first = overall.iloc[0]
    mark = stamp_mark(str(first["result"]))
    lines = tuple(_line(row) for row in data.records(checks))
    return Stamp(model, method, mark, str(first["text"]), checks, lines)


def show_stamp(run: Run, stamp: Stamp, key: str) -> None:
    """The stamp as a button; what is behind it says why, and what the method is."""
    words = f"{title(run, stamp.method)} on {stamp.model}"
    with st.popover(
        stamp.mark.badge, type="tertiary", help=escape(f"Checks of {words}"), key=f"stamp_{key}", width="content"
    ):
        st.markdown(f"**{escape(words)}** {stamp.mark.badge}")
        st.text(clean(stamp.text).replace("`", ""))
        if stamp.lines:
            st.markdown("\n".join(stamp.lines))
        st.caption(LIMITS)
        st.caption(escape(f"{title(run, stamp.method)}: {definition(run, stamp.method)}"))


def show_stamps(run: Run, method: str) -> None:
    """The stamps of a method on every model, in a row; none for what is no method of the run."""
    if method in REFERENCES:
        st.caption("A map that knows nothing of the model, to compare methods with. It bears no stamp.")
        return
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key="stamps"):
        for model in run.models:
            st.caption(escape(f"{title(run, method)} on {model}:"), width="content")
            show_stamp(run, find_stamp(run, model, method), f"{model}_{method}")


def check_words(name: Any) -> str:
    """What a check asks."""
    return CHECKS[str(name)].words if str(name) in CHECKS else plain(str(name))


def _line(row: dict[str, Any]) -> str:
    mark = RESULTS.get(str(row["result"]), RESULTS["not_measured"])
    images = f" ({int(row['n'])} images)" if known(row["n"]) and int(row["n"]) else ""
    aside = "" if CHECKS.get(str(row["check"]), CHECKS["depends_on_model"]).deciding else "; decides nothing"
    return f"- {escape(mark.symbol)} {escape(str(row['text']) + images + aside)}"
