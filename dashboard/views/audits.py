"""Audits: every run of the folder with what it found, whether it is complete, and whether it is as it was written."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from dashboard import parts, state
from dashboard.audits import verification
from dashboard.audits.listing import SORTS, Listed, listed, matches, unshown
from dashboard.text import escape
from dashboard.theme import BADGE_COLOURS
from reports.format import clean, count, short
from reports.palette import verdict_style

__all__ = ["page"]

_PER_PAGE = 12
_MOST_SIGNS = 34
_STATES: dict[str, tuple[str, Any]] = {
    "incomplete": ("! Incomplete", "orange"),
    "written now": ("… Being written", "blue"),
}


def page() -> None:
    """Show the page."""
    st.title("Audits")
    first, second = st.columns([3, 1])
    with first:
        search = state.text("Search", "search", placeholder="name, folder, model, policy or date")
    with second:
        sort = state.choose("Order", "runs", list(SORTS), show=SORTS.__getitem__)
    every = listed(sort)
    found = [run for run in every if matches(run, search)]
    st.text(_lead(every, len(found), search))
    here = state.page_number("runs-page", max(1, -(-len(found) // _PER_PAGE)))
    for run in found[(here - 1) * _PER_PAGE : here * _PER_PAGE]:
        _run(run)
    if found:
        _download(found)
    _others()


def _lead(every: list[Listed], found: int, search: str) -> str:
    """How many runs there are, and how they stand."""
    if not every:
        return "No run in this folder can be opened."
    failing = sum(run.failing > 0 for run in every)
    open_ones = sum(run.state != "complete" for run in every)
    noun = "audit" if len(every) == 1 else "audits"
    unfinished = f", {open_ones} not complete" if open_ones else ""
    text = f"{count(len(every))} {noun}: {failing} with a failing finding{unfinished}."
    return f"{text} {found} match “{clean(search)}”." if search.strip() else text


def _run(run: Listed) -> None:
    with st.container(border=True, gap="xsmall", key=f"run_{run.path.name}"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            query = {"run": run.path.name}
            st.page_link(
                "views/overview.py",
                label=f"**{escape(short(run.name, _MOST_SIGNS))}**",
                icon=":material/arrow_forward:",
                query_params=query,
            )
            if run.state in _STATES:
                words, colour = _STATES[run.state]
                st.badge(words, color=colour)
            if run.level:
                st.badge(escape(f"{run.level} bundle"), color="gray")
        st.caption(escape(_about(run)))
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            _verdicts(run)
            _verification(run)
        for remark in run.remarks:
            st.caption(escape(remark))


def _about(run: Listed) -> str:
    models = ", ".join(run.models[:4]) + (f" and {len(run.models) - 4} more" if len(run.models) > 4 else "")
    images = f"{count(run.usable)} of {count(run.planned)} images" if run.usable is not None else "no image counted yet"
    folder = f" · folder {run.path.name}" if run.path.name != run.name else ""
    whole = f"{run.name} · " if short(run.name, _MOST_SIGNS) != run.name else ""
    return f"{whole}{run.made} · {models or 'no model yet'} · {images}{folder}"


def _verdicts(run: Listed) -> None:
    """Counts by verdict, each with its sign and word, and whether the rules were fixed before."""
    if not run.verdicts:
        st.caption("no verdicts", width="content")
        return
    for verdict, number in run.verdicts.items():
        style = verdict_style(verdict)
        colour: Any = BADGE_COLOURS.get(verdict, "violet")
        st.badge(escape(f"{style.symbol} {number} {style.word}"), color=colour, help=style.meaning)
    when = "preregistered" if run.preregistered else "post hoc"
    by = f" · policy {run.policy}" if run.policy else " · built-in rules"
    st.caption(escape(when + by), width="content")


def _verification(run: Listed) -> None:
    place = st.empty()
    pressed = st.button("Verify now", key=f"verify_{run.path.name}", type="tertiary", icon=":material/verified_user:")
    found = verification.verify(run.path) if pressed else verification.known_state(run.path)
    with place:
        verification.show(found)
    for problem in found.problems:
        st.error(escape(problem))


def _download(found: list[Listed]) -> None:
    newest = (
        max(run.made for run in found if run.made != "undated")
        if any(r.made != "undated" for r in found)
        else "undated"
    )
    name = f"faircam_all-runs_all-models_audits_{newest}.csv"
    st.download_button(
        "Download CSV",
        lambda: parts.csv_bytes(pd.DataFrame([_row(run) for run in found])),
        name,
        "text/csv",
        key="download_audits",
        on_click="ignore",
        icon=":material/download:",
        type="tertiary",
    )


def _row(run: Listed) -> dict[str, object]:
    """A run as a row of the download."""
    verdicts = {verdict_style(name).word.lower(): number for name, number in run.verdicts.items()}
    return {
        "name": run.name,
        "folder": run.path.name,
        "made": run.made,
        "models": ", ".join(run.models),
        "usable": run.usable,
        "planned": run.planned,
        "state": run.state,
        "level": run.level,
        **{word: verdicts.get(word, 0) for word in ("fail", "error", "inconclusive", "warn", "waived", "pass")},
        "preregistered": run.preregistered,
        "policy": run.policy,
        "verified": verification.known_state(run.path).state,
        "remarks": " ".join(run.remarks),
    }


def _others() -> None:
    """Folders that are no run or cannot be opened, each with the reason; open where a run is among them."""
    others = unshown()
    if not others:
        return
    broken = any((other.path / "run.json").exists() for other in others)
    with st.expander(f"Other folders, which are no run or cannot be opened: {len(others)}", expanded=broken):
        for other in others:
            st.text(clean(f"{other.path.name}: {other.reason}"))


if __name__ == "__main__":
    page()
