"""Pieces that every page is put together from: notices, verdict badges, tables with downloads, charts with tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from audit.run import Run
from dashboard.text import csv_name, escape
from dashboard.theme import BADGE_COLOURS
from reports.format import clean, plain
from reports.palette import DARK, LIGHT, Theme, verdict_style
from reports.spreadsheet import csv_text

__all__ = [
    "badge",
    "chart",
    "csv_bytes",
    "data_table",
    "download_csv",
    "facts",
    "mode",
    "model_notice",
]

_SHOWN_ROWS = 1000
_WHOLE_ROWS = 16
_TITLES = {"sha256": "SHA-256", "p_adjusted": "p adjusted"}
_PROBABILITIES = ("p", "p_adjusted")
_BYTE_ORDER_MARK = "\ufeff"


def mode() -> Theme:
    """Palette of the mode that the browser shows."""
    return DARK if st.context.theme.type == "dark" else LIGHT


def badge(verdict: str | None) -> None:
    """A verdict as symbol and word, in its colour."""
    style = verdict_style(verdict)
    st.badge(escape(f"{style.symbol} {style.word}"), color=BADGE_COLOURS.get(verdict or "", "violet"))  # type: ignore[arg-type]


def facts(rows: Mapping[str, Any]) -> None:
    """Names and values, one below another, as plain text."""
    frame = pd.DataFrame({"Item": list(rows), "Value": [clean(value) for value in rows.values()]}, dtype="str")
    columns = {"Item": st.column_config.TextColumn(width=190), "Value": st.column_config.TextColumn(width=480)}
    st.dataframe(frame, hide_index=True, column_config=columns, height="content")


def data_table(
    run: Run,
    frame: pd.DataFrame,
    what: str,
    *,
    model: str = "all-models",
    config: Mapping[str, Any] | None = None,
    empty: str = "The run holds no such rows.",
    shown: Any = None,
) -> None:
    """A table and its download; a plain sentence where it has no rows. `shown` is the same table with colours."""
    if frame.empty:
        st.info(escape(empty))
        return
    first = frame.head(_SHOWN_ROWS)
    height: Literal["content", "auto"] = "content" if len(first) <= _WHOLE_ROWS else "auto"
    columns = _columns(first, config or {})
    st.dataframe(
        first if shown is None else shown, hide_index=True, column_config=columns, placeholder="–", height=height
    )
    if len(frame) > _SHOWN_ROWS:
        st.caption(f"The first {_SHOWN_ROWS} of {len(frame)} rows; the download holds all of them.")
    download_csv(run, lambda: frame, what, model=model)


def download_csv(
    run: Run, frame: Callable[[], pd.DataFrame], what: str, *, model: str = "all-models", label: str = "Download CSV"
) -> None:
    """Button that saves a table; the file is made only when it is pressed."""
    name = csv_name(run, model, what)
    st.download_button(
        label,
        lambda: csv_bytes(frame()),
        name,
        "text/csv",
        key=f"download_{what}_{model}",
        on_click="ignore",
        icon=":material/download:",
        type="tertiary",
        help=escape(f"Saves {name}"),
    )


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """A table as `reports.spreadsheet.csv_text` writes it, in UTF-8 with a byte order mark."""
    return (_BYTE_ORDER_MARK + csv_text(frame)).encode("utf-8")


def chart(figure: go.Figure, *, key: str, description: str) -> None:
    """A Plotly figure, with its content in words for those who cannot see it."""
    st.plotly_chart(
        figure,
        key=key,
        theme=None,
        config={"displayModeBar": False, "scrollZoom": False, "doubleClick": False},
        alt=clean(description),
    )


def model_notice(run: Run) -> bool:
    """Whether the run names any model; says so where it does not."""
    if run.models:
        return True
    st.info("The run names no model yet: nothing was measured. Finish it with `faircam run --resume`.")
    return False


def _columns(frame: pd.DataFrame, given: Mapping[str, Any]) -> dict[str, Any]:
    """Columns titled in words, numbers with three decimals and a sign of what they are."""
    config: dict[str, Any] = {}
    for column in frame.columns:
        title = _TITLES.get(str(column), plain(str(column)))
        title = title[:1].upper() + title[1:] if len(title) > 1 else title
        if column in _PROBABILITIES:
            config[column] = st.column_config.NumberColumn(title, format="%.2g")
        elif pd.api.types.is_float_dtype(frame[column]):
            config[column] = st.column_config.NumberColumn(title, format="%.3f")
        elif pd.api.types.is_integer_dtype(frame[column]):
            config[column] = st.column_config.NumberColumn(title, format="%d")
        else:
            config[column] = st.column_config.TextColumn(title)
    return {**config, **given}
