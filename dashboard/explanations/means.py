"""Mean maps by group: where attribution falls on average, and how that differs from everybody else's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from audit.run import Run
from dashboard import data, overlays, parts
from dashboard.explanations.among import WHOLE, Among, by_model, choose_among, group_rows
from dashboard.explanations.look import scale
from dashboard.explanations.stamps import find_stamp, show_stamp
from dashboard.explanations.words import title
from dashboard.forests import EVERYBODY
from dashboard.text import escape
from reports.format import clean, count, known, p_value, plain, short, status_words

__all__ = ["long_cells", "mean_maps"]

_SIDE = 124
_MOST = 24
_LISTED = ["model", "group", "kind", "n", "clusters", "largest", "times", "p", "status"]


def mean_maps(run: Run) -> None:
    """Selection, a row of groups a model, and the table with every cell to download."""
    st.header("Mean maps by group")
    among = choose_among(run, "mean_maps")
    if among is None:
        text = "Mean maps were not computed in this run: it is older than they are, or no image was explained."
        st.info(f"{text} `faircam run --resume` does not add them; a new run with `explanations:` does.")
        return
    rows = _rows(run, among)
    tops = {kind: _top(rows, kind) for kind in ("mean", "difference")}
    _legend(tops)
    for model in run.models:
        _model(run, among, rows[rows["model"] == model], model, tops)
    st.caption(
        "Each image’s absolute map is divided by its sum, then averaged; values are multiples of an even spread. A "
        "difference is the group less everybody else. p is that of the largest difference anywhere on the map, so it "
        "holds for all its cells together; it is not corrected for the number of groups, attributes and methods. Means "
        "say something about objects only where a place on the map is the same place on the object in every image, as "
        "on faces cropped by their eyes; elsewhere they show where objects tend to lie."
    )
    table = by_model(run, rows)
    table = table.assign(status=table["status"].map(status_words))[_LISTED]
    what = f"mean-maps-{among.method}-{among.attribute}"
    parts.data_table(run, table.rename(columns={"times": "largest, times even", "largest": "largest cell"}), what)
    parts.download_csv(run, lambda: long_cells(rows), f"{what}-cells", label="Download every cell as CSV")


def long_cells(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of `mean_maps`, a row a cell: ``model, group, kind, row, column, value``."""
    parts_ = [
        pd.DataFrame(
            {
                "model": row["model"],
                "group": row["group"],
                "kind": row["kind"],
                "row": np.repeat(np.arange(row["height"]), row["width"]),
                "column": np.tile(np.arange(row["width"]), row["height"]),
                "value": np.asarray(row["map"], np.float64),
            }
        )
        for row in data.records(rows[rows["map"].notna()])
    ]
    names = ["model", "group", "kind", "row", "column", "value"]
    return pd.concat(parts_, ignore_index=True) if parts_ else pd.DataFrame(columns=names)


def _rows(run: Run, among: Among) -> pd.DataFrame:
    """Means and differences along an attribute, and the mean over everybody, with ``times``: largest over even."""
    wanted = (("method", "=", among.method), ("attribute", "in", (among.attribute, WHOLE)))
    rows = group_rows(data.table(run, "mean_maps", filters=wanted), among.attribute)
    cells = (rows["height"] * rows["width"]).astype("float64")
    return rows.assign(times=rows["largest"] * cells)


def _top(rows: pd.DataFrame, kind: str) -> float:
    """Where the strongest colour begins: at the 99th percentile of all cells, lest a small group darken the rest."""
    maps = [_times(row) for row in data.records(rows[(rows["kind"] == kind) & rows["map"].notna()])]
    found = float(np.percentile(np.abs(np.concatenate([cells.ravel() for cells in maps])), 99)) if maps else 0.0
    return found if found > 0 else 1.0


def _times(row: dict[str, Any]) -> np.ndarray:
    """Cells of a map in multiples of an even spread."""
    shape = (int(row["height"]), int(row["width"]))
    return np.asarray(row["map"], np.float64).reshape(shape) * shape[0] * shape[1]


def _legend(tops: dict[str, float]) -> None:
    with st.container(horizontal=True, gap="large", key="mean_scales"):
        scale(False, "none", f"from {tops['mean']:.1f} × even on", "Mean over images, one scale for all.")
        ends = f"{tops['difference']:.1f}"
        scale(True, f"−{ends} × even", f"+{ends} × even", "Group less everybody else: blue less, orange more.")


def _model(run: Run, among: Among, rows: pd.DataFrame, model: str, tops: dict[str, float]) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.subheader(escape(model), anchor=False, width="content")
        show_stamp(run, find_stamp(run, model, among.method), f"mean_{model}_{among.method}")
    st.caption(escape(_explained(run, model, among.method)))
    groups = list(dict.fromkeys(str(name) for name in rows["group"]))
    if not groups:
        st.info(escape(f"No mean map of {title(run, among.method)} was made for {model}."))
        return
    shown = groups if len(groups) <= _MOST else [*groups[: _MOST - 1], groups[-1]]
    drawn: dict[str, list[dict[str, Any]]] = {name: [] for name in shown}
    for row in data.records(rows[rows["group"].isin(shown)]):
        drawn[str(row["group"])].append(row)
    with st.container(horizontal=True, gap="small", key=f"means_{model}"):
        for group in shown:
            with st.container(width=_SIDE, gap="xsmall"):
                for row in drawn[group]:
                    _picture(run, among.method, row, tops[str(row["kind"])])
    if len(groups) > _MOST:
        st.caption(f"{_MOST} of {len(groups)} groups are drawn; the table holds all.")


def _explained(run: Run, model: str, method: str) -> str:
    """Target, layer and score of the maps that went into a mean."""
    wanted = (("model", "=", model), ("method", "=", method))
    seen = data.distinct(run, "explanations", ("target", "layer", "score_kind"), wanted).dropna(subset=["score_kind"])
    if seen.empty:
        return "What was explained is not recorded."
    first = seen.iloc[0]
    layer = f"layer {first['layer']}" if known(first["layer"]) else "at the input"
    return f"Explained: the {plain(str(first['score_kind']))} of the {first['target']} class, {layer}"


def _picture(run: Run, method: str, row: dict[str, Any], top: float) -> None:
    words = f"{row['kind']} of {title(run, method)}, {row['model']}, {row['group']}"
    if row["map"] is None or not known(row["largest"]):
        if not (row["group"] == EVERYBODY and row["kind"] == "difference"):
            st.caption(escape(f"{row['group']}, {row['kind']}: {status_words(row['status'])}"))
        return
    signed = row["kind"] == "difference"
    drawn = overlays.cells(_times(row), top, signed=signed, side=_SIDE)
    st.image(overlays.png(drawn), width=_SIDE, alt=clean(words), output_format="PNG")
    if signed:
        st.caption(escape(f"difference up to {row['times']:.1f} × even, p {p_value(row['p'])}"))
    else:
        st.markdown(f"**{escape(short(row['group'], 40))}**")
        st.caption(escape(f"mean of {count(row['n'])} images"))
