"""Compare: two models on the same images, who is better off, which verdicts flipped, and all models in one table."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from audit.errors import InputError
from audit.fairness.rows import OVERALL
from audit.run import Run
from dashboard import data, nodes, parts, plots, state
from dashboard.compare.pairs import (
    Candidate,
    agreement,
    ask,
    candidates,
    document,
    is_large,
    lacking,
    paired,
    paired_rows,
)
from dashboard.text import csv_name, escape
from reports.format import clean, count, metric_words
from reports.sections.paired import Arm, PairedFacts, attribute_changes, crossed, overall_changes
from reports.sections.paired_details import compared, limits, metric_details
from reports.sections.release import release_section, verdict_changes

__all__ = ["page"]

_MOST_RUNS = 20
_AGREEMENT = {
    "both": "both right",
    "only_first": "only the first right",
    "only_second": "only the second right",
    "neither": "neither right",
}


def page(run: Run) -> None:
    """Show the page."""
    st.title("Compare")
    if not parts.model_notice(run):
        return
    every = candidates(run)
    if len(every) < 2:
        st.info(
            "There is one model only in this folder of runs. A run of two models, or a second run, can be compared."
        )
        return
    first, second = _choose(every)
    part = state.tabs("Part of the page", "compared", list(_VIEWS), show=lambda name: _VIEWS[name][0])
    if part == "release":
        _release(run, first, second)
        return
    facts = _facts(first, second)
    if facts is not None:
        lead = overall_changes(facts)
        st.text(clean(lead[0].text) if lead else "")
        _VIEWS[part][1](facts)
        _downloads(facts)


def _choose(every: dict[str, Candidate]) -> tuple[Candidate, Candidate]:
    names = list(every)
    left, right = st.columns(2)
    with left:
        first = state.choose("First model, before", "first", names, show=lambda key: every[key].words)
    rest = [key for key in names if key != first]
    with right:
        second = state.choose("Second model, after", "second", rest, show=lambda key: every[key].words)
    return every[first], every[second]


def _facts(first: Candidate, second: Candidate) -> PairedFacts | None:
    """The comparison; None, with the reason said, where there is none or it was not asked for yet."""
    without = lacking(first, second)
    if without:
        names = ", ".join(without)
        st.info(
            escape(
                f"The rows on single images that a comparison needs are not in: {names}. They are withheld at "
                "the public level, or not written yet."
            )
        )
        return None
    if is_large(first, second):
        st.info("No comparison of the two was stored, and over so many images or groups making one takes a while.")
        st.button("Compare image by image", key="compare_now", on_click=ask, args=(first, second))
        return None
    try:
        return paired(first, second)
    except InputError as error:
        st.info(escape(f"The two cannot be compared: {error}"))
        return None


def _changed(facts: PairedFacts) -> None:
    st.header("Who is better off, and who is worse off")
    attributes = list(facts.attributes) or [OVERALL]
    metrics = {metric_words(*pair): place for place, pair in enumerate(facts.metrics)}
    left, right = st.columns(2)
    with left:
        attribute = state.choose("Attribute or intersection", "attribute", attributes, show=crossed)
    with right:
        metric = state.choose("Metric", "changed", list(metrics))
    figure, table = metric_details(facts, attribute, *facts.metrics[metrics[metric]])
    where = _place(facts, f"paired-{attribute}-{metric}")
    nodes.show([figure], where.of("chart"))
    st.caption(
        "Point: change from the first to the second model on the same images. Bar: 95 % interval, each for itself. "
        "To the right is better, but for a false positive rate, where it is worse."
    )
    nodes.show([table], where.of("table"))
    if facts.attributes:
        st.subheader(f"By {escape(crossed(attribute))}, every metric", anchor=False)
        nodes.show(attribute_changes(facts, attribute), where.of("words"))
    with st.expander("Who was compared, and what this does not show"):
        nodes.show(compared(facts, 0, several=False).blocks, where.of("who"))
        nodes.show(limits([facts]).blocks, where.of("limits"))


def _verdicts(facts: PairedFacts) -> None:
    st.header("Verdicts that flipped")
    nodes.show(verdict_changes(facts, 0, several=False).blocks, _place(facts, "verdicts"))


def _agreement(facts: PairedFacts) -> None:
    st.header("Right and wrong together")
    attributes = list(facts.attributes) or [OVERALL]
    attribute = state.choose("Attribute or intersection", "attribute", attributes, show=crossed)
    rows = agreement(facts, attribute)
    if rows.empty:
        st.info("There is no image on which both models gave a usable prediction.")
        return
    long = rows.melt(["group"], list(_AGREEMENT), "label", "images")
    long["label"] = long["label"].map(_AGREEMENT)
    groups = long[long["group"] != "everybody"] if len(rows) > 1 else long
    words = "; ".join(f"{row['group']}, {row['label']}: {row['images']}" for row in data.records(groups))
    parts.chart(plots.label_bars(groups, parts.mode()), key="agreement_bars", description=words)
    st.caption(
        f"Images by which of the two models got them right, first {escape(facts.first.name)}, second "
        f"{escape(facts.second.name)}. Where only one is right they differ; the difference of the two shares, with its "
        "interval, is in the table."
    )
    shown = rows.rename(columns=_AGREEMENT)
    parts.data_table(facts.first.run, shown, f"agreement-{attribute}", model=_names(facts))


def _release(run: Run, first: Candidate, second: Candidate) -> None:
    st.header("All models in one table")
    every = list(dict.fromkeys(candidate.run.path.name for candidate in candidates(run).values()))
    chosen = dict.fromkeys([first.run.path.name, second.run.path.name])
    names = [*chosen, *[name for name in every if name not in chosen]][:_MOST_RUNS]
    picked = state.several("Audits in the table", "audits", names)
    arms = [
        Arm(candidate.run, candidate.model, candidate.words)
        for candidate in candidates(run).values()
        if candidate.run.path.name in picked
    ]
    if len(every) > _MOST_RUNS:
        st.caption(f"The first {_MOST_RUNS} of {count(len(every))} audits can be picked.")
    nodes.show(release_section(arms).blocks, nodes.Place(run, "all-models", "release"))


def _downloads(facts: PairedFacts) -> None:
    run, names = facts.second.run, _names(facts)
    with st.container(horizontal=True, gap="small", key="compare_downloads"):
        parts.download_csv(run, lambda: paired_rows(facts), "paired", model=names, label="Every number, CSV")
        name = csv_name(run, names, "comparison").removesuffix(".csv") + ".html"
        st.download_button(
            "The comparison as a document, HTML",
            lambda: document([facts]),
            name,
            "text/html",
            key="download_comparison",
            on_click="ignore",
            icon=":material/description:",
            type="tertiary",
        )


def _place(facts: PairedFacts, name: str) -> nodes.Place:
    return nodes.Place(facts.second.run, _names(facts), name)


def _names(facts: PairedFacts) -> str:
    return f"{facts.first.name}-to-{facts.second.name}"


_VIEWS: dict[str, tuple[str, Callable[[PairedFacts], None]]] = {
    "changed": ("What changed for whom", _changed),
    "verdicts": ("Verdicts", _verdicts),
    "agreement": ("Right and wrong together", _agreement),
    "release": ("All models", lambda _: None),
}

if __name__ == "__main__":
    page(data.current())
