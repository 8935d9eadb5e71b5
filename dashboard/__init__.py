"""The dashboard: a Streamlit app over run folders, which it reads but for their statements; how to start it.

Importing this package imports neither Streamlit nor Plotly; the server runs in a process of its own.
"""

from __future__ import annotations

import signal
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from dashboard.access import ADDRESS, Login, require_login
from dashboard.server import Server
from dashboard.trying.switch import TryIt

__all__ = ["TryIt", "launch", "require_login"]


def launch(
    runs_dir: Path,
    port: int | None = None,
    *,
    address: str = ADDRESS,
    login: Login | None = None,
    try_it: TryIt | None = None,
    open_browser: bool = True,
) -> int:
    """Serve the dashboard until it is ended with Ctrl-C.

    Parameters
    ----------
    runs_dir : Path
        A run folder, or a folder of run folders.
    port : int, optional
        Port to listen on; by default 8501, or a free one where that is taken.
    address : str
        Address to listen on; by default only this machine reaches it.
    login : Login, optional
        From `require_login`: who enters, and how they log in. Needed on every other address.
    try_it : TryIt, optional
        Whether an image may be predicted and explained live; off by default, and never on another address.
    open_browser : bool
        Whether to open the page in the user's browser; never done with a login.

    Returns
    -------
    int
        Exit code: 0 when the user ended it, else that of the server.

    Raises
    ------
    InputError
        As `dashboard.server.Server`.
    """
    with _ended_by_signal(), Server(runs_dir, port, address, login, try_it) as server:
        try:
            server.wait_until_ready()
            where = f"{server.url}  (this machine only; Ctrl-C ends it)"
            if login is not None:
                where = f"{login.url}  (listens on {address}:{server.port}; only who is on the list; Ctrl-C ends it)"
            print(f"Dashboard: {where}", flush=True)
            if open_browser and login is None:
                webbrowser.open(server.url)
            return server.wait()
        except KeyboardInterrupt:
            print("\nDashboard ended.", file=sys.stderr)
            return 0


@contextmanager
def _ended_by_signal() -> Iterator[None]:
    """Treat a termination signal like Ctrl-C, so that the server never outlives its parent."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread: its owner ends the server
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
