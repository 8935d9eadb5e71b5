"""What is selected, kept in the address: every view can be reopened from its link.

A selection is a widget's value under the name of its query parameter. The address wins where it differs
from what this session last wrote there (a link was followed); else the widget does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Sequence
from typing import Any

import streamlit as st

from dashboard.text import escape

__all__ = [
    "carry",
    "choose",
    "drop",
    "hold",
    "number",
    "page_number",
    "publish",
    "put",
    "several",
    "span",
    "start",
    "tabs",
    "text",
]

_MEMORY = "_faircam_memory"
_PUBLISHED = "_faircam_published"
_SHOWN = "_faircam_shown"
_STALE_SECONDS = 2.0


def start() -> None:
    """Begin a run of the script: nothing is selected yet."""
    st.session_state[_SHOWN] = {}


def publish() -> None:
    """Write every selection of this run of the script into the address, in one step."""
    shown: dict[str, str] = st.session_state.get(_SHOWN, {})
    published: dict[str, tuple[str, str | None, float]] = st.session_state.setdefault(_PUBLISHED, {})
    for key, value in shown.items():
        before = published[key][0] if key in published else None
        if value != before:
            published[key] = (value, before, time.monotonic())
    if st.query_params.to_dict() != shown:
        st.query_params.from_dict(shown)


def drop(*keys: str) -> None:
    """Forget selections, so that the next run of the script starts from their defaults."""
    for key in keys:
        st.session_state.setdefault(_MEMORY, {}).pop(key, None)
        st.session_state.get(_PUBLISHED, {}).pop(key, None)
        st.session_state.pop(key, None)


def put(key: str, value: str, **further: str) -> None:
    """Select values, as buttons do; for callbacks, which run before the widgets of the same names are drawn."""
    for name, chosen in {key: value, **further}.items():
        st.session_state.setdefault(_MEMORY, {})[name] = chosen
        if name in st.session_state:
            st.session_state[name] = chosen


def hold(key: str, options: Container[str], default: str) -> str:
    """Selection without a widget of its own, such as an image picked from thumbnails."""
    value = _wanted(key)
    if value not in options:
        _warn_unknown(key, value, default)
        value = default
    return _keep(key, str(value))


def carry(key: str) -> str | None:
    """Selection that goes along from page to page until it is put to nothing; None where there is none."""
    value = _wanted(key)
    return _keep(key, str(value)) if value else None


def choose(
    label: str,
    key: str,
    options: Sequence[str],
    *,
    default: str | None = None,
    show: Callable[[str], str] = str,
    help: str | None = None,
) -> str:
    """Select box whose value is part of the address.

    Parameters
    ----------
    label, help : str
        As shown.
    key : str
        Name of the query parameter.
    options : sequence of str
        Values, as they stand in the address; at least one.
    default : str, optional
        The first option where left out, or where it is not among them.
    show : callable
        Turns a value into what is shown.

    Returns
    -------
    str
        One of `options`.
    """
    fallback = default if default is not None and default in options else options[0]
    value = _wanted(key)
    if value not in options:
        _warn_unknown(key, value, fallback)
        value = fallback
    st.session_state[key] = value
    return _keep(key, st.selectbox(label, options, key=key, format_func=show, help=help))


def several(label: str, key: str, options: Sequence[str], *, show: Callable[[str], str] = str) -> list[str]:
    """Options of which some, or by default all, are chosen; part of the address as names with commas between.

    Returns
    -------
    list of str
        In the order of `options`; all of them where none is picked out.
    """
    value = _wanted(key)
    asked = value.split(",") if isinstance(value, str) else list(value or [])
    st.session_state[key] = [name for name in options if name in asked]
    picked = st.multiselect(label, options, key=key, format_func=show, placeholder="all", select_all=False)
    chosen = [name for name in options if name in picked]
    _keep(key, ",".join(chosen) or "all")
    return chosen or list(options)


def text(label: str, key: str, *, placeholder: str = "") -> str:
    """Line of text whose value is part of the address."""
    st.session_state[key] = str(_wanted(key) or "")
    return _keep(key, st.text_input(label, key=key, placeholder=placeholder or None))


def tabs(
    label: str, key: str, options: Sequence[str], *, default: str | None = None, show: Callable[[str], str] = str
) -> str:
    """Buttons in a row, one of them pressed, whose value is part of the address; the first by default."""
    value = _wanted(key)
    if value not in options:
        fallback = default or options[0]
        _warn_unknown(key, value, fallback)
        value = fallback
    if st.session_state.get(key) != value:
        st.session_state[key] = value
    chosen = st.segmented_control(label, options, key=key, format_func=show, label_visibility="collapsed")
    return _keep(key, str(chosen or value))


def number(
    label: str,
    key: str,
    bounds: tuple[int, int],
    default: int,
    *,
    step: int = 1,
    unit: str = " %%",
    help: str = "",
) -> int:
    """Slider over whole numbers whose value is part of the address."""
    value = _whole(_wanted(key), bounds, default)
    st.session_state[key] = value
    chosen = st.slider(label, *bounds, step=step, key=key, help=help or None, format=f"%d{unit}")
    return int(_keep(key, str(chosen)))


def span(label: str, key: str, bounds: tuple[int, int], *, unit: str = " %%", help: str = "") -> tuple[int, int]:
    """Slider with two handles over whole numbers whose values are part of the address, as ``LOW-HIGH``."""
    value = _wanted(key)
    ends = value.split("-") if isinstance(value, str) else list(value or bounds)
    low, high = (_whole(end, bounds, bounds[0]) for end in ends[:2]) if len(ends) == 2 else bounds
    st.session_state[key] = (min(low, high), max(low, high))
    chosen: Any = st.slider(label, *bounds, key=key, help=help or None, format=f"%d{unit}")
    _keep(key, f"{chosen[0]}-{chosen[1]}")
    return int(chosen[0]), int(chosen[1])


def page_number(key: str, pages: int) -> int:
    """Page picker, 1 to `pages`, whose value is part of the address; shown only where there are several."""
    value = _whole(_wanted(key), (1, pages), 1)
    if pages > 1:
        if st.session_state.get(key, value) != value:
            st.session_state[key] = value
        value = st.pagination(pages, default=value, key=key)
    return int(_keep(key, str(value)))


def _whole(value: Any, bounds: tuple[int, int], default: int) -> int:
    try:
        return min(max(int(value), bounds[0]), bounds[1])
    except (TypeError, ValueError):
        return default


def _keep(key: str, value: str) -> str:
    st.session_state.setdefault(_MEMORY, {})[key] = value
    st.session_state.setdefault(_SHOWN, {})[key] = value
    return value


def _wanted(key: str) -> Any:
    """Value asked for: by a link that was followed, by the widget, or by an earlier visit to the page."""
    asked = st.query_params.get(key)
    now, before, when = st.session_state.get(_PUBLISHED, {}).get(key, (None, None, 0.0))
    lagging = asked == before and time.monotonic() - when < _STALE_SECONDS
    if asked is not None and asked != now and not lagging:
        return asked
    if key in st.session_state:
        return st.session_state[key]
    return st.session_state.get(_MEMORY, {}).get(key)


def _warn_unknown(key: str, value: Any, instead: str) -> None:
    """Say so where a link names what this run does not have."""
    if value is not None and st.query_params.get(key) == value:
        now = st.session_state.get(_PUBLISHED, {}).get(key, (None,))[0]
        if value != now:
            text = f"The link asks for {key} “{value}”, which is not in this view; “{instead}” is shown."
            st.warning(escape(text))
