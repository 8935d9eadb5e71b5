"""Overview: verdicts and findings first, then who is in the data, then what did not make it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd
import streamlit as st

from audit.run import Run
from audit.run.schema import columns
from dashboard import data, parts, plots, review, state
from dashboard.places import Place, finding_place
from dashboard.text import escape
from reports.format import clean, count, known, plain
from reports.palette import VERDICT_ORDER, verdict_style

__all__ = ["page"]

_MOST = 40
_FOLDED = ("waived", "pass")


def page(run: Run) -> None:
    """Show the page."""
    st.title(escape(run.name))
    st.text(_about(run))
    findings = data.table(run, "findings", tuple(columns("findings")))
    st.header("Findings")
    _verdicts(run, findings)
    _findings(run, findings)
    st.header("Data")
    _data(run)
    st.header("Problems")
    _problems(run)


def _about(run: Run) -> str:
    about = run.record.get("data", {})
    models = run.record.get("models", [])
    names = ", ".join(f"{model.get('name')} ({model.get('framework', 'framework not recorded')})" for model in models)
    usable = about.get("counts", {}).get("ok")
    data_words = f"{count(usable)} of {count(about.get('planned'))} images usable. "
    if not known(usable):
        data_words = f"No image is counted yet; {count(about.get('planned'))} are planned. "
    return clean(
        data_words + f"Models: {names or 'none recorded'}. "
        f"Classes: {', '.join(map(str, about.get('classes', []))) or 'none recorded'}."
        + (f" Positive class: {about['positive']}." if known(about.get("positive")) else "")
    )


def _verdicts(run: Run, findings: pd.DataFrame) -> None:
    if findings.empty:
        st.info("The run holds no findings: no rule was judged. `faircam check RUN --policy policy.yaml` judges one.")
        return
    found = findings["verdict"].value_counts()
    with st.container(horizontal=True, key="verdict_counts"):
        for verdict in [*VERDICT_ORDER, *sorted(set(found.index) - set(VERDICT_ORDER))]:
            if verdict in found.index or verdict in ("fail", "pass"):
                style = verdict_style(verdict)
                number = int(found.get(verdict, 0))
                st.metric(f"{style.symbol} {escape(style.word)}", number, border=True, width=168, help=style.meaning)
    policy = run.record.get("policy") or {}
    named = f"policy {policy['name']}" if known(policy.get("name")) else "the built-in rules; no policy was named"
    before = bool(findings["preregistered"].fillna(False).all())
    when = "preregistered: the rules were fixed before results existed."
    if not before:
        when = "post hoc: this run did not fix the rules before results existed."
    st.caption(escape(f"Judged by {named}. Verdicts are {when}"))


def _findings(run: Run, findings: pd.DataFrame) -> None:
    if findings.empty:
        return
    order = {verdict: place for place, verdict in enumerate(VERDICT_ORDER)}
    ranked = findings.assign(rank=findings["verdict"].map(order).fillna(1)).sort_values("rank", kind="stable")
    folded = ranked["verdict"].isin(_FOLDED)
    open_rows = ranked[~folded]
    for row in data.records(open_rows.head(_MOST)):
        _finding(run, row)
    if len(open_rows) > _MOST:
        st.caption(f"The first {_MOST} of {len(open_rows)} are shown; the table holds all.")
    if folded.any():
        with st.expander(f"Passed or waived: {int(folded.sum())}"):
            for row in data.records(ranked[folded].head(_MOST)):
                _finding(run, row)
    with st.expander("All findings as a table"):
        joined = [", ".join(map(str, item)) if isinstance(item, Iterable) else None for item in ranked["claims"]]
        claims = pd.Series(joined, index=ranked.index, dtype="str")
        parts.data_table(run, ranked.assign(claims=claims).drop(columns="rank"), "findings")


def _finding(run: Run, row: dict[str, Any]) -> None:
    with st.container(border=True, gap="xsmall", key=f"finding_{row['finding_id']}"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            parts.badge(row["verdict"])
            rule = (
                ", ".join(str(row[key]) for key in ("finding_id", "tier") if known(row[key])) + f", rule {row['rule']}"
            )
            st.caption(escape(rule), width="content")
            _link(run, row)
        st.text(clean(row["text"]))


def _link(run: Run, row: dict[str, Any]) -> None:
    """To the cell or the region that a finding is about, where it is about one, and to the form; it goes along."""
    claim = review.claim_of_finding(row)
    place = finding_place(run, row)
    if place is not None:
        review.link(run, place, ":material/arrow_forward:", claim=claim)
    form = Place("compliance", {"compliance": "statements", "about": claim, "kind": "statement"}, "statement or waiver")
    review.link(run, form, ":material/edit_note:", claim=claim)


def _data(run: Run) -> None:
    names = data.attributes(run)
    if not names or not run.has("images"):
        st.info("The run names no group attribute, or holds no table of images yet.")
        return
    chosen = state.choose("Count by", "by", names, show=plain)
    frame = data.counts(run, chosen)
    if frame.empty:
        st.info("No image was usable, so there is nothing to count.")
        return
    left, right = st.columns([3, 2])
    with left:
        total = frame.groupby("group")["images"].sum()
        words = "; ".join(f"{group}: {number}" for group, number in total.items())
        description = f"Images by {chosen} and label. {words}."
        parts.chart(plots.label_bars(frame, parts.mode()), key="label_bars", description=description)
    with right:
        wide = frame.pivot_table(index="group", columns="label", values="images", fill_value=0, aggfunc="sum")
        wide["total"] = wide.sum(axis=1)
        parts.data_table(run, wide.reset_index().rename_axis(columns=None), f"images-by-{chosen}")
    st.caption(escape(_provenance(run, chosen)))


def _problems(run: Run) -> None:
    """How much did not make it, and where it is listed."""
    found = len(data.table(run, "problems", ("stage",)))
    if found:
        st.text(f"{count(found)} images, groups or checks did not make it. None is part of a number on these pages.")
    else:
        st.text("No image, group or check failed." if run.has("problems") else "No table of problems was written yet.")
    place = Place("robustness", {"data": "problems"}, "Problems, copies of images, and images known from training")
    review.link(run, place, ":material/arrow_forward:")


def _provenance(run: Run, attribute: str) -> str:
    for item in run.record.get("data", {}).get("attributes", []):
        if isinstance(item, dict) and item.get("name") == attribute:
            return f"How the labels of {attribute} were obtained: {item.get('provenance') or 'not stated'}."
    return f"How the labels of {attribute} were obtained: not stated."


if __name__ == "__main__":
    page(data.current())
