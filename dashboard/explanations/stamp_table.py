"""Every method on every model with its stamp, and the checks that a stamp rests on."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from audit.findings.stamps import CHECKS, OVERALL
from audit.run import Run
from dashboard import data, parts, state
from dashboard.explanations.among import METHOD, names
from dashboard.explanations.stamps import LIMITS, check_words, find_stamp
from dashboard.explanations.words import RESULTS, definition, method_order, not_measured, stamp_mark, title
from dashboard.text import escape
from reports.format import clean
from reports.palette import STAMPS

__all__ = ["check_rows", "stamp_matrix", "stamps"]


def stamps(run: Run) -> None:
    """Method by model, then the checks of one of them, then what a stamp does not say."""
    st.header("Are the maps evidence?")
    table = data.table(run, "stamps")
    if table.empty:
        st.info(escape(not_measured(run, "quality", "Whether maps are evidence")))
        return
    matrix = stamp_matrix(run, table)
    config = {"method": st.column_config.TextColumn("Method", width=190, pinned=True)}
    config |= {name: st.column_config.TextColumn(name) for name in matrix.columns if name != "method"}
    parts.data_table(run, matrix, "stamps", config=config)
    words = "; ".join(f"{style.symbol} {style.word}: {style.meaning}" for style in STAMPS.values())
    st.caption(escape(f"{words}."))
    st.info(escape(LIMITS))
    _checks(run, table)


def stamp_matrix(run: Run, table: pd.DataFrame) -> pd.DataFrame:
    """A row a method, a column a model, symbol and word of the stamp in each cell."""
    overall = table[table["check"] == OVERALL].drop_duplicates(["method", "model"])
    wide = overall.pivot_table(index="method", columns="model", values="result", aggfunc="first")
    order = method_order(run, overall["method"])
    models = [name for name in run.models if name in wide.columns]
    shown = wide.reindex(index=order, columns=models)
    cells = shown.map(lambda result: stamp_mark(str(result)).text)
    return cells.assign(method=[title(run, name) for name in order])[["method", *models]]


def check_rows(table: pd.DataFrame) -> pd.DataFrame:
    """The checks of one method on one model, in words, with value, interval and threshold."""
    rows = table[table["check"] != OVERALL]
    marks = [RESULTS.get(str(name), RESULTS["not_measured"]).text for name in rows["result"]]
    known = [CHECKS.get(str(name)) for name in rows["check"]]
    signs = ["" if check is None else "at most" if check.small_is_good else "above" for check in known]
    return pd.DataFrame(
        {
            "result": marks,
            "what is checked": [check_words(name) for name in rows["check"]],
            "value": rows["value"].to_numpy(),
            "low": rows["low"].to_numpy(),
            "high": rows["high"].to_numpy(),
            "wanted": signs,
            "threshold": rows["threshold"].to_numpy(),
            "n": rows["n"].to_numpy(),
            "decides": ["yes" if check is None or check.deciding else "no, shown only" for check in known],
        }
    ).astype(dict.fromkeys(("value", "low", "high", "threshold"), "float64"))


def _checks(run: Run, table: pd.DataFrame) -> None:
    st.header("The checks behind a stamp")
    first, second, _ = st.columns(3)
    with first:
        order = method_order(run, names(table["method"]))
        method = state.choose("Method", METHOD, order, show=lambda name: title(run, name))
    with second:
        model = state.choose("Model", "model", [name for name in run.models if name in set(table["model"])])
    stamp = find_stamp(run, model, method)
    st.markdown(f"{stamp.mark.badge} **{escape(f'{title(run, method)} on {model}')}**")
    st.text(clean(stamp.text))
    st.caption(escape(f"{title(run, method)}: {definition(run, method)}"))
    config = {"what is checked": st.column_config.TextColumn("What is checked", width=420)}
    parts.data_table(run, check_rows(stamp.checks), f"checks-{method}", model=model, config=config)
    st.caption(
        "A check passes where the whole 95 % interval of the mean over images lies on the good side of the threshold, "
        "fails where it lies on the other, and else is not settled. The thresholds were set on planted sets, where "
        "the truth is known. Evidence asks that the maps depend on the model and beat a random map, and that every "
        "other deciding check that applies is passed."
    )
