"""One metric by group with intervals, every metric of an attribute as a heat table, and the stored gaps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from audit.fairness.metrics import METRICS
from dashboard import data, parts, plots
from dashboard.fairness.choice import WHOLE, Choice, file_name
from dashboard.forests import EVERYBODY, group_forest, in_order, same_class
from dashboard.text import escape
from reports.format import criterion_words, known, metric_words, plain, rate_with_interval, status_words
from reports.palette import Theme

__all__ = ["all_metrics", "gaps", "one_metric"]

_MOST_ROWS = 60
_MOST_SHADED = 1500
"""Cells of a table that may have colours: a Styler takes longer than all else on a page."""
_SHADED = 0.25
"""A difference to everybody of this size is shaded in full."""


def one_metric(choice: Choice, groups: pd.DataFrame) -> None:
    """Forest plot and table of the chosen cell."""
    chosen = groups[(groups["metric"] == choice.metric) & same_class(groups, choice.class_name)]
    rows = _worst_first(in_order(chosen[chosen["attribute"] == choice.attribute]), choice.metric)
    overall = chosen[chosen["attribute"] == WHOLE] if choice.attribute != WHOLE else chosen.iloc[:0]
    words = metric_words(choice.metric, choice.class_name)
    figure = group_forest(rows.head(_MOST_ROWS), overall, _worst(choice), words)
    parts.chart(plots.forest(figure, parts.mode()), key="forest", description=figure.description)
    level = "95 % intervals" if rows["low"].notna().any() else "no intervals could be given"
    st.caption(
        f"Least favourable value first. Points with {level}; n is the size of each value’s own denominator. "
        "The dotted line is everybody. "
        "Intervals are of single groups: two that overlap may still differ, see the gaps."
    )
    if len(rows) > _MOST_ROWS:
        st.caption(f"The first {_MOST_ROWS} of {len(rows)} groups are drawn; the table holds all.")
    _undefined(rows)
    table = _in_words(pd.concat([rows, overall.assign(group=EVERYBODY)]))
    columns = ["group", "n", "clusters", "value", "low", "high", "method", "status"]
    name = file_name("metric", choice.attribute, choice.metric, choice.class_name)
    parts.data_table(choice.run, table[columns], name, model=choice.model)


def _worst_first(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The least favourable value first, by name where neither way is better; those without a value last."""
    if not _sign(metric):
        return rows
    values = pd.to_numeric(rows["value"]).sort_values(ascending=_sign(metric) > 0, na_position="last", kind="stable")
    return rows.loc[values.index]


def _in_words(table: pd.DataFrame) -> pd.DataFrame:
    method = table["method"].map(plain, na_action="ignore")
    return table.assign(method=method, status=table["status"].map(status_words))


def _undefined(rows: pd.DataFrame) -> None:
    missing = rows[rows["value"].isna()]
    if len(missing):
        reasons = "; ".join(f"{row.group}: {status_words(row.status)}" for row in missing.head(12).itertuples())
        more = f"; and {len(missing) - 12} more" if len(missing) > 12 else ""
        st.text(f"Not defined or not shown for {len(missing)} of {len(rows)} groups. {reasons}{more}.")


def _worst(choice: Choice) -> str | None:
    table = _gap_rows(choice)
    table = table[(table["metric"] == choice.metric) & (table["compare"].fillna("range") == "range")]
    if table.empty:
        return None
    found = table.loc[same_class(table, choice.class_name), "group"]
    return str(found.iloc[0]) if len(found) and known(found.iloc[0]) else None


def _gap_rows(choice: Choice) -> pd.DataFrame:
    return data.table(choice.run, "gaps", filters=(("model", "=", choice.model), ("attribute", "=", choice.attribute)))


def all_metrics(choice: Choice) -> None:
    """Group by metric: value, interval and n, shaded where a group is served worse or better than everybody."""
    st.header(escape(f"Every metric by {plain(choice.attribute)}"))
    stamp = data.changed(choice.run, "groups")
    flat, shades = _heat(str(choice.run.path), stamp, choice.model, choice.attribute)
    shading = flat.size <= _MOST_SHADED
    words = "Shading: how much less (orange) or more (blue) favourable than everybody. " if shading else ""
    st.caption(
        f"Value, 95 % interval and n; where there is no value, the reason. {words}▼ and ▲: the group’s own interval "
        "lies wholly on that side of everybody’s value. Many cells are looked at here at once: some stand out by "
        "chance."
    )
    order = list(shades.columns)
    config = {"group": st.column_config.TextColumn("Group", width=120, pinned=True)}
    config |= {name: st.column_config.TextColumn(name, width=230) for name in order}
    shown = _shaded(flat, shades, parts.mode()) if shading else None
    name = file_name("metrics", choice.attribute)
    parts.data_table(choice.run, flat, name, model=choice.model, config=config, shown=shown)


@st.cache_data(max_size="32MB", show_spinner=False)
def _heat(path: str, stamp: int, model: str, attribute: str) -> tuple[pd.DataFrame, pd.DataFrame]:  # noqa: ARG001
    """Cells in words, and how much worse than everybody each is: a row a group, a column a metric."""
    wanted = [("model", "=", model), ("attribute", "in", list(dict.fromkeys((attribute, WHOLE))))]
    groups = data.open_cached(Path(path)).table("groups", filters=wanted)
    own = in_order(groups[groups["attribute"] == attribute])
    whole = groups[groups["attribute"] == WHOLE]
    cells = _cells(pd.concat([own, whole]) if attribute != WHOLE else own, whole)
    order = list(dict.fromkeys(cells["metric"]))
    flat = _wide(cells, "cell").reindex(columns=order).reset_index().rename_axis(columns=None)
    return flat, _wide(cells, "excess").reindex(index=flat["group"], columns=order)


def _wide(cells: pd.DataFrame, values: str) -> pd.DataFrame:
    """A row a group, a column a metric."""
    once = cells.drop_duplicates(["group", "metric"]).set_index(["group", "metric"])[values]
    return once.unstack("metric").reindex(cells["group"].drop_duplicates())  # noqa: PD010  nothing is aggregated


def _cells(rows: pd.DataFrame, whole: pd.DataFrame) -> pd.DataFrame:
    """Columns ``group``, ``metric``, ``cell`` and ``excess``: how much worse than everybody, or null."""
    levels = {_key(row): row["value"] for row in data.records(whole)}
    out = []
    for row in data.records(rows):
        everybody = row["attribute"] == WHOLE
        level = None if everybody else levels.get(_key(row))
        sign = _sign(str(row["metric"]))
        apart = None
        if sign and level is not None and known(level) and known(row["value"]):
            apart = sign * (float(level) - float(row["value"]))
        out.append(
            {
                "group": EVERYBODY if everybody else row["group"],
                "metric": metric_words(row["metric"], row["class"]),
                "cell": _mark(row, level, sign) + rate_with_interval(row),
                "excess": apart,
            }
        )
    return pd.DataFrame(out)


def _mark(row: Mapping[str, Any], level: Any, sign: int) -> str:
    """A sign before a value whose interval lies wholly on one side of everybody's value."""
    if not sign or not (known(level) and known(row["low"]) and known(row["high"])):
        return ""
    below, above = float(row["high"]) < float(level), float(row["low"]) > float(level)
    worse, better = (below, above) if sign > 0 else (above, below)
    return "▼ " if worse else "▲ " if better else ""


def _key(row: Mapping[str, Any]) -> tuple[str, str]:
    return str(row["metric"]), str(row["class"]) if known(row["class"]) else ""


def _sign(metric: str) -> int:
    direction = METRICS[metric].direction if metric in METRICS else None
    return {"higher": 1, "lower": -1}.get(str(direction), 0)


def _shaded(flat: pd.DataFrame, excess: pd.DataFrame, theme: Theme) -> Any:
    """The table with a background a cell; for short tables only."""
    columns = {name: [_background(value, theme) for value in excess[name].tolist()] for name in excess.columns}
    styles = pd.DataFrame(columns, index=flat.index).reindex(columns=flat.columns, fill_value="")
    return flat.style.apply(lambda _: styles, axis=None)


def _background(value: Any, theme: Theme) -> str:
    if not known(value) or value == 0:
        return ""
    colour = theme.second if value > 0 else theme.accent
    strength = round(min(abs(float(value)) / _SHADED, 1.0) * 0x60)
    return f"background-color: {colour}{strength:02x}"


def gaps(choice: Choice) -> None:
    """Table `gaps` of the run along the chosen attribute, every comparison."""
    st.header(escape(f"Gaps between groups of {plain(choice.attribute)}"))
    table = _gap_rows(choice)
    if table.empty:
        st.info("No gap was computed here: it takes two groups with a value.")
        return
    words = [criterion_words(row["metric"], row["class"], row["compare"]) for row in data.records(table)]
    shown = _in_words(table).assign(metric=words).drop(columns=["model", "attribute", "class", "compare"])
    renamed = {"group": "worst group", "reference": "against", "value": "gap", "detectable": "would have shown"}
    st.caption(
        "Gap: best group minus worst, the size of the range, unless the metric’s name says otherwise. p tests that no "
        "groups differ; p adjusted is Benjamini and Hochberg’s over all gaps of the model, for exploration. “Would "
        "have shown” is the smallest true gap that groups of these sizes would have shown in four of five audits. "
        "A large p does not show that groups are treated alike."
    )
    parts.data_table(choice.run, shown.rename(columns=renamed), file_name("gaps", choice.attribute), model=choice.model)
