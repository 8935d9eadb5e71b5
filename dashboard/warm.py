"""Imports ahead of need: once the first page stands, what the other pages need is loaded while nobody waits for it."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from threading import Thread
from time import sleep

from dashboard.pages import PAGES

__all__ = ["warm"]

_FURTHER = (
    *("scipy.stats", "statsmodels.stats.multitest", "statsmodels.stats.proportion"),
    *("pandas.io.formats.style", "reports.bundle.crosswalk", "reports.bundle.documents"),
)
"""What pages import inside functions."""


_PAUSE = 1.0
"""Seconds that the browser is left alone with the first page."""


@cache
def warm() -> Thread:
    """Begin to load the modules of every page; once in the life of a server.

    Returns
    -------
    Thread
        Ends when all are loaded.
    """
    thread = Thread(target=_load, name="faircam-warm", daemon=True)
    thread.start()
    return thread


def _load() -> None:
    sleep(_PAUSE)
    for name in (*(f"dashboard.views.{page}" for page in PAGES), *_FURTHER):
        import_module(name)
