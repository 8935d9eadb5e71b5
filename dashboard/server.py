"""Starting, watching and ending the Streamlit server process. Imports no Streamlit."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

from audit.errors import FaircamError, InputError
from audit.run import find_runs
from dashboard.theme import theme_options

__all__ = ["ADDRESS", "RUNS_VARIABLE", "Server", "command"]

ADDRESS = "127.0.0.1"
"""The only address that is ever listened on."""

RUNS_VARIABLE = "FAIRCAM_RUNS"
"""Environment variable that names the runs folder to the app."""

_FIRST_PORT = 8501
_PATIENCE = 60.0
_GRACE = 5.0
_OPTIONS: dict[str, str] = {
    "server.address": ADDRESS,
    "server.headless": "true",
    "server.fileWatcherType": "none",
    "server.runOnSave": "false",
    "server.enableCORS": "true",
    "server.enableXsrfProtection": "true",
    "server.enableStaticServing": "false",
    "server.maxUploadSize": "1",
    "browser.serverAddress": ADDRESS,
    "browser.gatherUsageStats": "false",
    "client.toolbarMode": "minimal",
    "client.showErrorDetails": "none",
    "runner.magicEnabled": "false",
    "logger.level": "warning",
    "global.developmentMode": "false",
    "global.disableWidgetStateDuplicationWarning": "true",
}


def command(port: int) -> list[str]:
    """Command line of the server process; its options outrank the user's own Streamlit settings."""
    options = {**_OPTIONS, "server.port": str(port), "browser.serverPort": str(port), **theme_options()}
    app = Path(__file__).with_name("app.py")
    flags = [f"--{name}={value}" for name, value in options.items()]
    return [sys.executable, "-P", "-m", "streamlit", "run", str(app), *flags]


class Server:
    """A Streamlit server over a runs folder, listening on the loopback address alone.

    Starts when it is made; use it as a context manager so that it always ends.

    Parameters
    ----------
    runs_dir : Path
        A run folder, or a folder of run folders.
    port : int, optional
        Port; by default 8501, or a free one where that is taken.

    Raises
    ------
    InputError
        Streamlit or Plotly is not installed, the folder holds no run, or the port is taken.
    """

    def __init__(self, runs_dir: Path, port: int | None = None) -> None:
        _require_packages()
        folder = _require_runs(runs_dir)
        self.port = _free_port() if port is None else _require_port(port)
        self.url = f"http://{ADDRESS}:{self.port}"
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  closed in `stop`
        self.process = subprocess.Popen(  # noqa: S603  our own interpreter and file
            command(self.port),
            env=_environment(folder),
            cwd=Path(__file__).parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._log,
        )

    def wait_until_ready(self) -> None:
        """Return once pages are served.

        Raises
        ------
        FaircamError
            The process ended, or served nothing within a minute.
        """
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise FaircamError(f"the dashboard's server did not start: {self._last_words()}", where=self.url)
            if _healthy(self.url):
                return
            time.sleep(0.1)
        raise FaircamError(f"the dashboard's server did not answer within {_PATIENCE:.0f} s", where=self.url)

    def wait(self) -> int:
        """Wait until the process ends; returns its exit code."""
        return self.process.wait()

    def stop(self) -> None:
        """End the process: ask, then insist."""
        for end in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            if self.process.poll() is not None:
                break
            self.process.send_signal(end)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_GRACE)
        self._log.close()

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else f"it ended with code {self.process.returncode}"

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _require_packages() -> None:
    missing = [name for name in ("streamlit", "plotly") if find_spec(name) is None]
    if missing:
        raise InputError(
            f"the dashboard needs {' and '.join(missing)}, which this Python does not have",
            fix="pip install 'faircam[dashboard]'",
        )


def _require_runs(folder: Path) -> Path:
    if not folder.is_dir():
        raise InputError("is no folder", where=str(folder), fix="name a run folder, or a folder of runs")
    if not find_runs(folder):
        raise InputError(
            "holds no run: neither a run.json nor folders with one",
            where=str(folder),
            fix="name the folder that `faircam run --out` wrote, or make one with `faircam demo --out demo`",
        )
    return folder.resolve()


def _require_port(port: int) -> int:
    if not 1 <= port <= 65535:
        raise InputError(f"port {port} does not exist; ports are 1 to 65535")
    if not _is_free(port):
        raise InputError(f"port {port} is taken on {ADDRESS}", fix="name another --port, or none for a free one")
    return port


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except OSError:
            return False
        return True


def _free_port() -> int:
    if _is_free(_FIRST_PORT):
        return _FIRST_PORT
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((ADDRESS, 0))
        return int(probe.getsockname()[1])


def _environment(folder: Path) -> dict[str, str]:
    """The child's environment: where the runs are, and where these packages were imported from."""
    home = str(Path(__file__).resolve().parent.parent)
    paths = [home, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {**os.environ, RUNS_VARIABLE: str(folder), "PYTHONPATH": os.pathsep.join(paths)}


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2) as answer:  # noqa: S310  loopback
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
