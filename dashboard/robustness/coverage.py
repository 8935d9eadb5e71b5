"""Who is in the data and who is missing: images by group and class, beside the declared population."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from audit.fairness.rows import MISSING
from audit.run import Run
from audit.run.claims import claims_of
from dashboard import data, parts, plots, state
from dashboard.forests import in_order
from dashboard.text import escape
from reports.format import clean, count, known, plain, rate, share

__all__ = ["coverage", "gaps_in_coverage", "group_counts"]

_FEW = 10
_FAR = 0.05
_NAMED = 8


def coverage(run: Run) -> None:
    """Sentences on who is missing, a chart of images by group and class, and the counts."""
    st.header("Who is in the data")
    table = data.table(run, "coverage")
    if table.empty:
        st.info("No table of counts by group was written: the run is not that far, or older than this table.")
        return
    names = [str(name) for name in table["attribute"].drop_duplicates()]
    chosen = [name for name in names if name != "overall"] or names
    attribute = state.choose("Count by", "by", chosen, show=lambda name: plain(name).replace(" x ", " × "))
    rows = group_counts(run, attribute)
    st.text(clean(_lead(run, rows)))
    for sentence in gaps_in_coverage(run, attribute):
        st.markdown(f"- {escape(sentence)}")
    bars = _bars(run, attribute)
    if len(bars):
        words = "; ".join(f"{row['group']}, {row['label']}: {row['images']}" for row in data.records(bars))
        parts.chart(plots.label_bars(bars, parts.mode()), key="coverage_bars", description=f"Images by group: {words}.")
    st.caption(escape(_provenance(run, attribute)))
    parts.data_table(run, rows, f"coverage-{attribute}")


def group_counts(run: Run, attribute: str) -> pd.DataFrame:
    """Images of each group, planned and not used, with its share here and in the declared population.

    Returns
    -------
    DataFrame
        ``group, planned, share, in the population, not used, clusters, claim``; without the population's column
        where none was declared.
    """
    rows = in_order(_rows(run, attribute, whole=True))
    total = int(rows["images"].sum())
    out = pd.DataFrame(
        {
            "group": rows["group"],
            "planned": rows["images"],
            "share": [int(number) / total if total else None for number in rows["images"]],
            "not used": rows["failed"],
            "clusters": rows["clusters"],
            "claim": claims_of("coverage", rows),
        }
    )
    population = _population(run, attribute)
    if population:
        out.insert(3, "in the population", [population.get(str(name)) for name in rows["group"]])
    return out


def gaps_in_coverage(run: Run, attribute: str) -> list[str]:
    """Who is missing or nearly so, a sentence each: no images, few units, a class that a group never has."""
    rows, said = _rows(run, attribute, whole=True), []
    absent = [name for name, part in _population(run, attribute).items() if part and name not in set(rows["group"])]
    absent += [str(name) for name in rows.loc[rows["images"].eq(0), "group"]]
    if absent:
        said.append(f"No image at all: {_list(absent)}.")
    few = rows[rows["images"].gt(0) & rows["clusters"].lt(_FEW)]
    if len(few):
        named = [f"{row['group']} ({count(row['clusters'])})" for row in data.records(few)]
        said.append(f"Fewer than {_FEW} independent units, so that little can be said: {_list(named)}.")
    unknown = rows.loc[rows["group"].str.contains(MISSING, regex=False), "images"].sum()
    if unknown:
        said.append(f"{count(unknown)} images have no value of {plain(attribute)}; they are a group of their own.")
    said += _other_than_there(run, attribute, rows)
    by_label = _rows(run, attribute, whole=False)
    never = by_label[by_label["images"].eq(0) & by_label["group"].isin(rows.loc[rows["images"].gt(0), "group"])]
    if len(never):
        pairs = [f"{row['group']} without {row['label']}" for row in data.records(never)]
        said.append(f"A class that a group never has, so that its rates are not defined there: {_list(pairs)}.")
    return said


def _other_than_there(run: Run, attribute: str, rows: pd.DataFrame) -> list[str]:
    """Groups whose share here and in the declared population are far apart."""
    population, total = _population(run, attribute), int(rows["images"].sum())
    here = {str(row["group"]): int(row["images"]) / total for row in data.records(rows)} if total else {}
    apart = {name: part - population[name] for name, part in here.items() if name in population}
    far = sorted((name for name in apart if abs(apart[name]) >= _FAR), key=lambda name: -abs(apart[name]))
    named = [f"{name} ({rate(here[name])} here, {rate(population[name])} there)" for name in far]
    return [f"Share unlike that in the declared population: {_list(named)}."] if named else []


def _rows(run: Run, attribute: str, *, whole: bool) -> pd.DataFrame:
    rows = data.table(run, "coverage", filters=(("attribute", "=", attribute),))
    rows = rows.assign(**{name: rows[name].fillna(0) for name in ("images", "failed", "clusters")})
    return rows[rows["label"].isna() if whole else rows["label"].notna()]


def _bars(run: Run, attribute: str) -> pd.DataFrame:
    rows = _rows(run, attribute, whole=False)
    return in_order(rows[rows["images"].gt(0)])[["group", "label", "images"]]


def _lead(run: Run, rows: pd.DataFrame) -> str:
    about = run.record.get("data", {})
    planned, failed = int(rows["planned"].sum()), int(rows["not used"].sum())
    units = f" Images come in clusters, by {about['cluster']}." if known(about.get("cluster")) else ""
    return (
        f"{count(planned)} images in {len(rows)} groups, {count(failed)} of them ({share(failed, planned)}) not used."
        f"{units}"
    )


def _population(run: Run, attribute: str) -> Mapping[str, float]:
    declared = run.record.get("data", {}).get("population") or {}
    found = declared.get(attribute) if isinstance(declared, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _provenance(run: Run, attribute: str) -> str:
    for item in run.record.get("data", {}).get("attributes", []):
        if isinstance(item, dict) and item.get("name") == attribute:
            return f"How the labels of {attribute} were obtained: {item.get('provenance') or 'not stated'}."
    return f"{plain(attribute)} is made of several attributes."


def _list(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
