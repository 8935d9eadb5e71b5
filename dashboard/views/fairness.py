"""Fairness: one metric by group with intervals, all metrics of an attribute, and the gaps between groups."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from audit.run import Run
from dashboard import data, parts, plots, state
from dashboard.forests import EVERYBODY, group_forest, in_order, same_class
from dashboard.text import escape
from reports.format import known, metric_words, plain, rate_with_interval, status_words

__all__ = ["page"]

_WHOLE = "overall"
_NO_CLASS = "(none)"
_MOST_ROWS = 60


def page(run: Run) -> None:
    """Show the page."""
    st.title("Fairness")
    if not parts.model_notice(run):
        return
    if not run.has("groups"):
        st.info("No metrics by group were written yet. Finish the run with `faircam run --resume`.")
        return
    model = _model(run)
    groups = data.table(run, "groups", filters=(("model", "=", model),))
    if groups.empty:
        st.info(escape(f"No metric was measured for {model}; the Problems list on the Overview says why."))
        return
    attribute, metric, name = _selection(groups)
    _one_metric(run, groups, (model, attribute, metric), name)
    _all_metrics(run, groups, model, attribute)
    _gaps(run, model, attribute)


def _model(run: Run) -> str:
    with st.container(key="fairness_model"):
        return state.choose("Model", "model", run.models)


def _selection(groups: pd.DataFrame) -> tuple[str, str, str | None]:
    """Attribute, metric and class to show, each limited to what was measured."""
    attributes = [str(name) for name in groups["attribute"].unique() if name != _WHOLE] or [_WHOLE]
    first, second, third = st.columns(3)
    with first:
        attribute = state.choose("Attribute or intersection", "attribute", attributes, show=plain)
    measured = groups[groups["attribute"] == attribute]
    with second:
        metric = state.choose(
            "Metric", "metric", [str(name) for name in measured["metric"].unique()], show=metric_words
        )
    about = measured.loc[measured["metric"] == metric, "class"]
    classes = [str(name) if known(name) else _NO_CLASS for name in about.drop_duplicates()]
    with third:
        name = state.choose("Class", "class", classes, show=_class_words)
    return attribute, metric, None if name == _NO_CLASS else name


def _class_words(name: str) -> str:
    return "not about one class" if name == _NO_CLASS else name


def _one_metric(run: Run, groups: pd.DataFrame, choice: tuple[str, str, str], name: str | None) -> None:
    model, attribute, metric = choice
    words = metric_words(metric, name)
    st.header(escape(f"{words[:1].upper()}{words[1:]} by {plain(attribute)}"))
    chosen = groups[(groups["metric"] == metric) & same_class(groups, name)]
    rows = in_order(chosen[chosen["attribute"] == attribute])
    overall = chosen[chosen["attribute"] == _WHOLE] if attribute != _WHOLE else chosen.iloc[:0]
    figure = group_forest(rows.head(_MOST_ROWS), overall, _worst(run, model, attribute, metric, name), words)
    parts.chart(plots.forest(figure, parts.mode()), key="forest", description=figure.description)
    level = "95 % intervals" if rows["low"].notna().any() else "no intervals could be given"
    st.caption(
        f"Points with {level}; n is the size of each value’s own denominator. The dotted line is everybody. "
        "Intervals are of single groups: two that overlap may still differ, see the gaps below."
    )
    if len(rows) > _MOST_ROWS:
        st.caption(f"The first {_MOST_ROWS} of {len(rows)} groups are drawn; the table holds all.")
    _undefined(rows)
    table = _in_words(pd.concat([rows, overall.assign(group=EVERYBODY)]))
    columns = ["group", "n", "clusters", "value", "low", "high", "method", "status"]
    parts.data_table(run, table[columns], _file("metric", attribute, metric, name), model=model)


def _in_words(table: pd.DataFrame) -> pd.DataFrame:
    method = table["method"].map(plain, na_action="ignore")
    return table.assign(method=method, status=table["status"].map(status_words))


def _undefined(rows: pd.DataFrame) -> None:
    missing = rows[rows["value"].isna()]
    if len(missing):
        reasons = "; ".join(f"{row.group}: {status_words(row.status)}" for row in missing.head(12).itertuples())
        more = f"; and {len(missing) - 12} more" if len(missing) > 12 else ""
        st.text(f"Not defined or not shown for {len(missing)} of {len(rows)} groups. {reasons}{more}.")


def _worst(run: Run, model: str, attribute: str, metric: str, name: str | None) -> str | None:
    gaps = _gap_rows(run, model, attribute)
    gaps = gaps[gaps["metric"] == metric]
    if gaps.empty:
        return None
    found = gaps.loc[same_class(gaps, name), "group"]
    return str(found.iloc[0]) if len(found) and known(found.iloc[0]) else None


def _gap_rows(run: Run, model: str, attribute: str) -> pd.DataFrame:
    return data.table(run, "gaps", filters=(("model", "=", model), ("attribute", "=", attribute)))


def _all_metrics(run: Run, groups: pd.DataFrame, model: str, attribute: str) -> None:
    st.header(escape(f"Every metric by {plain(attribute)}"))
    parts_of = [in_order(groups[groups["attribute"] == attribute]), groups[groups["attribute"] == _WHOLE]]
    rows = pd.concat(parts_of if attribute != _WHOLE else parts_of[:1])
    cells = pd.DataFrame(
        {
            "group": rows["group"].where(rows["attribute"] == attribute, EVERYBODY),
            "metric": [metric_words(m, c) for m, c in zip(rows["metric"], rows["class"], strict=True)],
            "cell": [rate_with_interval(row) for row in data.records(rows)],
        }
    )
    order = list(dict.fromkeys(cells["metric"]))
    wide = cells.pivot_table(index="group", columns="metric", values="cell", aggfunc="first", sort=False)[order]
    st.caption("Value, 95 % interval and n; where there is no value, the reason.")
    config = {"group": st.column_config.TextColumn("Group", width=120, pinned=True)}
    config |= {name: st.column_config.TextColumn(name, width=220) for name in order}
    flat = wide.reset_index().rename_axis(columns=None)
    parts.data_table(run, flat, _file("metrics", attribute), model=model, config=config)


def _gaps(run: Run, model: str, attribute: str) -> None:
    st.header(escape(f"Gaps between groups of {plain(attribute)}"))
    gaps = _gap_rows(run, model, attribute)
    if gaps.empty:
        st.info("No gap was computed here: it takes two groups with a value.")
        return
    words = [metric_words(m, c) for m, c in zip(gaps["metric"], gaps["class"], strict=True)]
    table = _in_words(gaps).assign(metric=words).drop(columns=["model", "attribute", "class"])
    table = table.rename(columns={"group": "worst group", "reference": "best group", "value": "gap"})
    st.caption(
        "Gap: best group minus worst, the size of the range. p tests that no groups differ; it is not adjusted for "
        "the number of tests. A large p does not show that groups are treated alike."
    )
    parts.data_table(run, table, _file("gaps", attribute), model=model)


def _file(*words: str | None) -> str:
    return "-".join(word for word in words if word)


if __name__ == "__main__":
    page(data.current())
