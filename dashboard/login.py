"""Asking the visitor of a shared deployment to log in, at every run of the script, and who writes a statement."""

from __future__ import annotations

import os
from pathlib import Path

import streamlit as st

from audit.errors import InputError
from dashboard.access import ALLOW_LIST_VARIABLE, may_enter, read_allow_list
from dashboard.text import escape

__all__ = ["admitted", "is_shared", "visitor"]


def is_shared() -> bool:
    """Whether others than this machine's user may reach the dashboard."""
    return ALLOW_LIST_VARIABLE in os.environ


def visitor() -> str | None:
    """Address of the visitor, where they are logged in and on the list as it stands now; else None.

    The list is read anew each time, so that who is taken off it is out at their next action.

    Raises
    ------
    InputError
        The list cannot be read: nobody is let in.
    """
    allowed = read_allow_list(Path(os.environ[ALLOW_LIST_VARIABLE]))
    return may_enter(st.user.to_dict(), allowed)


def admitted() -> bool:
    """Whether the visitor may see the runs; a page to log in, or why not, is shown to those who may not."""
    if not is_shared():
        return True
    try:
        name = visitor()
    except InputError as error:
        _refused(str(error))
        return False
    if name is None:
        _at_the_door()
        return False
    with st.sidebar:
        st.caption(escape(f"Logged in as {name}"))
        _log_out()
    return True


def _at_the_door() -> None:
    user = st.user.to_dict()
    if user.get("is_logged_in") is not True:
        st.title("faircam")
        st.text("Audits of image classifiers. Only people on this deployment’s list may see them.")
        if st.button("Log in", icon=":material/login:", key="log_in"):
            st.login()
        return
    name = user.get("email") or "an account without an e-mail address"
    verified = str(user.get("email_verified", True)).casefold() == "true"
    why = "is not on the list of those who may see these runs" if verified else "was not verified by the provider"
    _refused(f"{name} {why}. Whoever runs this deployment keeps the list.")
    _log_out()


def _refused(why: str) -> None:
    st.title("faircam")
    st.error(escape(why))


def _log_out() -> None:
    if st.button("Log out", type="tertiary", icon=":material/logout:", key="log_out"):
        st.logout()
