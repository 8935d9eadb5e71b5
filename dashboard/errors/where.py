"""Where a model errs most: groups by error rate, and slices that nobody labelled, each with a link to its images."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from audit.fairness.rows import JOIN
from audit.run import Run
from audit.run.claims import claims_of
from dashboard import data, parts, plots
from dashboard.errors.filters import images_query
from dashboard.forests import EVERYBODY, same_class
from dashboard.text import escape
from reports.figures import ForestFigure, ForestRow
from reports.format import clean, count, interval, known, plain, rate, status_words
from reports.sections.unnamed import slice_sentence, slice_state, worst_first

__all__ = ["error_rates", "lead", "worst_groups", "worst_slices"]

WHOLE = "overall"
_DRAWN = 20
_LINKED = 6


def error_rates(run: Run, model: str) -> pd.DataFrame:
    """Error rates by group, the worst first, everybody last.

    Returns
    -------
    DataFrame
        ``attribute, group, n, clusters, value, low, high, status, claim``. The rate is 1 less the accuracy of table
        `groups`, and so are its bounds, the other way round; the claim is that of the accuracy.
    """
    wanted = (("model", "=", model), ("metric", "=", "accuracy"))
    rows = data.table(run, "groups", filters=wanted)
    rows = rows[same_class(rows, None)].assign(claim=lambda part: claims_of("groups", part))
    value, low, high = (1 - pd.to_numeric(rows[name]).astype("float64") for name in ("value", "low", "high"))
    rows = rows.assign(value=value, low=high, high=low, whole=rows["attribute"] == WHOLE)
    ordered = rows.sort_values(["whole", "value"], ascending=[True, False], kind="stable", na_position="last")
    return ordered[["attribute", "group", "n", "clusters", "value", "low", "high", "status", "claim"]]


def lead(run: Run, model: str) -> str:
    """How often the model errs over everybody, in a sentence."""
    whole = error_rates(run, model).query("attribute == @WHOLE", local_dict={"WHOLE": WHOLE})
    if whole.empty or not known(whole["value"].iloc[0]):
        return f"How often {model} errs was not measured over everybody."
    row = data.records(whole)[0]
    bounds = f", 95 % interval {interval(row['low'], row['high'])}" if known(row["low"]) else ""
    return f"{model} gave a wrong answer on a share of {rate(row['value'])} of {count(row['n'])} images{bounds}."


def worst_groups(run: Run, model: str) -> None:
    """Forest plot of the groups with most errors, links to the images of the first ones, and the table of all."""
    st.header("Groups by error rate")
    rates = error_rates(run, model)
    groups = rates[rates["attribute"] != WHOLE]
    if groups.empty:
        st.info("The run holds no accuracy by group.")
        return
    whole = rates[rates["attribute"] == WHOLE]
    figure = _figure(groups.head(_DRAWN), whole, model)
    parts.chart(plots.forest(figure, parts.mode()), key="error_groups", description=figure.description)
    st.caption(
        "Share of wrong answers, the largest first, with 95 % intervals of each group for itself; the dotted line is "
        "everybody. Those at the top were picked because they are the largest: whether groups differ is tested on the "
        "Fairness page."
    )
    if len(groups) > _DRAWN:
        st.caption(f"The first {_DRAWN} of {len(groups)} groups are drawn; the table holds all.")
    _group_links(run, model, groups)
    shown = rates.assign(
        attribute=[EVERYBODY if name == WHOLE else name for name in rates["attribute"]],
        status=rates["status"].map(status_words),
    )
    parts.data_table(run, shown.rename(columns={"value": "error rate"}), "error-rates", model=model)


def _group_links(run: Run, model: str, groups: pd.DataFrame) -> None:
    """To the wrong answers in the first groups of single attributes; an intersection has no filter of its own."""
    names = data.attributes(run)
    first = groups[groups["attribute"].isin(names) & groups["value"].gt(0)].head(_LINKED)
    with st.container(horizontal=True, gap="small", key="group_links"):
        for row in data.records(first):
            st.page_link(
                "views/errors.py",
                label=escape(f"Errors in {plain(row['attribute'])}: {row['group']}"),
                icon=":material/arrow_forward:",
                query_params=images_query(run, model, by=str(row["attribute"]), group=str(row["group"])),
            )


def _figure(groups: pd.DataFrame, whole: pd.DataFrame, model: str) -> ForestFigure:
    rows = [_line(row, _name(str(row["attribute"]), str(row["group"]))) for row in data.records(groups)]
    rows += [_line(row, EVERYBODY, whole=True) for row in data.records(whole)]
    ends = [end for row in rows for end in (row.high, row.value) if end is not None]
    line = next((row.value for row in rows if row.emphasis == "whole"), None)
    bounds = (0.0, min(1.0, max([0.1, *ends]) * 1.05))
    return ForestFigure(
        f"Error rates of {model}", "share of wrong answers", tuple(rows), line, EVERYBODY, bounds=bounds
    )


def _name(attribute: str, group: str) -> str:
    """Attribute and group; of an intersection each attribute with its own, on lines of their own in the plot."""
    attributes, groups = attribute.split(JOIN), group.split(JOIN)
    if len(attributes) != len(groups):
        attributes, groups = [attribute], [group]
    return " & ".join(f"{plain(name)}: {value}" for name, value in zip(attributes, groups, strict=True))


def _line(row: dict[str, Any], label: str, *, whole: bool = False) -> ForestRow:
    value, low, high = (float(row[name]) if known(row[name]) else None for name in ("value", "low", "high"))
    return ForestRow(
        label=label,
        n=int(row["n"]) if known(row["n"]) else None,
        clusters=int(row["clusters"]) if known(row["clusters"]) else None,
        status=str(row["status"]),
        emphasis="whole" if whole else "none",
        claim=str(row["claim"]),
        value=value,
        low=low,
        high=high,
    )


def worst_slices(run: Run, model: str) -> None:
    """Slices with most errors, each with its state and a link to its images."""
    st.header("Slices that nobody labelled")
    table = data.table(run, "slices", filters=(("model", "=", model),))
    found = worst_first(table[table["slice"].notna()])
    if found.empty:
        st.info("No slices were found, or none were searched: they need `embeddings` in the configuration.")
        return
    st.caption(
        "Images that the model sees as alike, found in one half of the data without any label and tested in the other. "
        "One that was not confirmed may be chance."
    )
    for row in data.records(found.head(_LINKED)):
        name, (symbol, words) = str(row["slice"]), slice_state(row)
        with st.container(border=True, gap="xsmall"):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(f"**{escape(f'{symbol} {name}: {words}')}**", width="content")
                st.page_link(
                    "views/errors.py",
                    label=escape(f"Errors in {name}"),
                    icon=":material/arrow_forward:",
                    query_params=images_query(run, model, in_slice=name),
                )
            st.text(clean(slice_sentence(row)))
    shown = found.assign(status=found["status"].map(status_words), claim=claims_of("slices", found))
    named = {"value": "error rate", "rest": "others", "makeup": "make-up"}
    parts.data_table(run, shown.drop(columns="model").rename(columns=named), "slices", model=model)
