"""Entry point of the dashboard: run picker, navigation, and the page that was asked for."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from audit.errors import FaircamError
from audit.run import Run
from dashboard import data, login, review, state
from dashboard.pages import FIRST, PAGES, TRY_IT, file_of
from dashboard.text import escape, run_date
from dashboard.trying.switch import try_it
from dashboard.warm import warm

__all__ = ["main"]


def main() -> None:
    """Show the page that the address names."""
    st.set_page_config(page_title="faircam", layout="wide", initial_sidebar_state="auto", menu_items=None)
    if not login.admitted():
        return
    state.start()
    page = st.navigation(_pages())
    try:
        if page.title != PAGES[FIRST]:
            run = _pick_run()
            st.set_page_config(page_title=f"{page.title} – {run.name} – faircam")
            review.under_review(run, page.url_path)
        page.run()
    except FaircamError as error:
        st.error(escape(str(error)))
    state.publish()
    warm()


def _pages() -> list[StreamlitPage]:
    """Every page; the first has no name in its address, and who types one all the same is led to it."""
    named = PAGES if try_it() is None else PAGES | TRY_IT
    first = st.Page(file_of(FIRST), title=PAGES[FIRST], url_path="home", default=True)
    others = [st.Page(file_of(name), title=title, url_path=name) for name, title in named.items() if name != FIRST]
    typed = st.Page(_to_first, title=PAGES[FIRST], url_path=FIRST, visibility="hidden")
    return [first, *others, typed]


def _to_first() -> None:
    st.switch_page(file_of(FIRST), query_params=st.query_params.to_dict())


def _pick_run() -> Run:
    paths = data.find()
    if not paths:
        raise FaircamError("the folder holds no run any more", fix="make one, then load this page again")
    by_name = {path.name: path for path in paths}
    with st.sidebar:
        chosen = state.choose("Run", "run", list(by_name), show=_titles(by_name).__getitem__)
        run = data.select(by_name[chosen])
        st.caption(escape(f"{run.path.name}, made {run_date(run)} with faircam {run.record.get('faircam', '?')}"))
        st.caption("Runs are only read, but for their statements. The address of every view can be kept.")
    if not run.complete:
        _incomplete(run)
    return run


def _titles(paths: dict[str, Path]) -> dict[str, str]:
    """What each run is called in the picker; runs of one name are told apart by their folders."""
    titles = {name: _title(path) for name, path in paths.items()}
    often = Counter(titles.values())
    return {name: f"{title}, in {name}" if often[title] > 1 else title for name, title in titles.items()}


def _title(path: Path) -> str:
    try:
        run = data.open_cached(path)
    except FaircamError:
        return f"{path.name} (cannot be opened)"
    return run.name if run.complete else f"{run.name} (incomplete)"


def _incomplete(run: Run) -> None:
    about = run.record.get("data", {})
    done = sum(int(number) for number in about.get("counts", {}).values())
    planned = about.get("planned", "an unknown number of")
    st.warning(
        f"INCOMPLETE: {done} of {planned} planned images are accounted for. What is shown covers a part of the data "
        "and supports no verdict. Finish it with `faircam run --resume`.",
    )


if __name__ == "__main__":
    main()
