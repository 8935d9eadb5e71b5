"""How many group labels would have to be wrong for a verdict to change."""

from __future__ import annotations

import streamlit as st

from audit.run import Run
from audit.run.claims import claims_of
from dashboard import data, parts
from dashboard.text import escape
from reports.format import clean, plain, status_words
from reports.palette import verdict_style

__all__ = ["wrong_labels"]

_MOST = 12


def wrong_labels(run: Run, model: str) -> None:
    """A sentence a finding, the easiest to overturn first, and the table of all."""
    st.header("If group labels are wrong")
    table = data.table(run, "sensitivity", filters=(("model", "=", model),))
    if table.empty:
        st.info("Not computed in this run: no finding of the model rests on group labels, or the run is older.")
        return
    ranked = table.assign(share=table["share"].astype("float64")).sort_values(
        "share", kind="stable", na_position="last"
    )
    told = ranked[ranked["status"].eq("ok") & ranked["text"].notna()]
    if told.empty:
        st.info(escape(f"For no finding could it be told: {status_words(table['status'].iloc[0])}."))
    for row in data.records(told.head(_MOST)):
        with st.container(border=True, gap="xsmall"):
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                parts.badge(row["verdict"])
                st.caption(escape(f"rule {row['rule']}, by {plain(str(row['attribute']))}"), width="content")
            st.text(clean(row["text"]))
    st.caption(
        "Fewest labels that would have to be switched, chosen to do the most harm; a random share of wrong labels does "
        "far less. A verdict that few wrong labels overturn rests on the labels being right."
    )
    shown = ranked.assign(
        verdict=[f"{verdict_style(name).symbol} {verdict_style(name).word}" for name in ranked["verdict"]],
        status=ranked["status"].map(status_words),
        flips=ranked["flips"].astype("Int64"),
        claim=claims_of("sensitivity", ranked),
    ).drop(columns=["model", "finding_id"])
    parts.data_table(run, shown.rename(columns={"random_share": "random share"}), "wrong-labels", model=model)
