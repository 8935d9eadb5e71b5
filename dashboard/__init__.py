"""The dashboard: a local, read-only Streamlit app over run folders, and how to start it.

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

from dashboard.server import Server

__all__ = ["launch"]


def launch(runs_dir: Path, port: int | None = None, *, open_browser: bool = True) -> int:
    """Serve the dashboard on 127.0.0.1 until it is ended with Ctrl-C.

    Parameters
    ----------
    runs_dir : Path
        A run folder, or a folder of run folders.
    port : int, optional
        Port to listen on; by default 8501, or a free one where that is taken.
    open_browser : bool
        Whether to open the page in the user's browser.

    Returns
    -------
    int
        Exit code: 0 when the user ended it, else that of the server.

    Raises
    ------
    InputError
        Streamlit or Plotly is not installed, the folder holds no run, or the port is taken.
    """
    with _ended_by_signal(), Server(runs_dir, port) as server:
        try:
            server.wait_until_ready()
            print(f"Dashboard: {server.url}  (this machine only; Ctrl-C ends it)", flush=True)
            if open_browser:
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
