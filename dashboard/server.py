"""Starting, watching and ending the Streamlit server process. Imports no Streamlit."""

from __future__ import annotations

import contextlib
import errno
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
from dashboard.access import ADDRESS, ALLOW_LIST_VARIABLE, Login, is_loopback
from dashboard.theme import theme_options
from dashboard.trying.switch import MOST_MEGABYTES, TRY_IT_VARIABLES, TryIt, try_it_variables

__all__ = ["ADDRESS", "RUNS_VARIABLE", "Server", "command"]

RUNS_VARIABLE = "FAIRCAM_RUNS"
"""Environment variable that names the runs folder to the app."""

_FIRST_PORT = 8501
_PATIENCE = 60.0
_GRACE = 5.0
_OPTIONS: dict[str, str] = {
    "server.headless": "true",
    "server.fileWatcherType": "none",
    "server.runOnSave": "false",
    "server.enableCORS": "true",
    "server.enableXsrfProtection": "true",
    "server.enableStaticServing": "false",
    "server.maxUploadSize": "1",
    "server.enableAgentApi": "false",
    "server.trustedUserHeaders": "{}",
    "browser.gatherUsageStats": "false",
    "client.toolbarMode": "minimal",
    "client.showErrorDetails": "none",
    "runner.magicEnabled": "false",
    "logger.level": "warning",
    "global.developmentMode": "false",
    "global.disableWidgetStateDuplicationWarning": "true",
}


def command(port: int, address: str = ADDRESS, login: Login | None = None, try_it: TryIt | None = None) -> list[str]:
    """Command line of the server process; its options outrank the user's own Streamlit settings."""
    app = Path(__file__).with_name("app.py")
    own = _OPTIONS if try_it is None else {**_OPTIONS, "server.maxUploadSize": str(MOST_MEGABYTES)}
    options = [("server.address", address), ("server.port", str(port)), *own.items(), *theme_options().items()]
    flags = [f"--{name}={value}" for name, value in [*options, *_reachable_as(port, address, login)]]
    return [sys.executable, "-P", "-m", "streamlit", "run", str(app), *flags]


def _reachable_as(port: int, address: str, login: Login | None) -> list[tuple[str, str]]:
    """Options that name the hosts under which a browser may ask for pages: a strange name is refused."""
    if login is None:
        hosts = [("server.allowedHosts", name) for name in dict.fromkeys((ADDRESS, "localhost", address))]
        return [*hosts, ("browser.serverAddress", address), ("browser.serverPort", str(port))]
    return [
        ("server.allowedHosts", login.host),
        ("server.corsAllowedOrigins", login.origin),
        ("browser.serverAddress", login.host),
        ("server.baseUrlPath", login.base.strip("/")),
        ("secrets.files", str(login.secrets)),
    ]


class Server:
    """A Streamlit server over a runs folder, listening on the loopback address unless a login is configured.

    Starts when it is made; use it as a context manager so that it always ends.

    Parameters
    ----------
    runs_dir : Path
        A run folder, or a folder of run folders.
    port : int, optional
        Port; by default 8501, or a free one where that is taken.
    address : str
        Address to listen on.
    login : Login, optional
        From `dashboard.access.require_login`; where it is left out, only this machine may be listened to.
    try_it : TryIt, optional
        Whether images may be predicted and explained live; on this machine's own address alone.

    Raises
    ------
    InputError
        Streamlit or Plotly is not installed, the folder holds no run, the port is taken, this machine has no such
        address, or others reach it and no login is given or images may be tried.
    """

    def __init__(
        self,
        runs_dir: Path,
        port: int | None = None,
        address: str = ADDRESS,
        login: Login | None = None,
        try_it: TryIt | None = None,
    ) -> None:
        if try_it is not None:
            try_it.check(address, login)
        _require_packages()
        folder = _require_runs(runs_dir)
        if login is None and not is_loopback(address):
            raise InputError(f"address {address} needs a login", fix="docs/dashboard.md says how")
        self.port = _free_port(address) if port is None else _require_port(port, address)
        self.url = _url(_local(address), self.port) + (login.base if login is not None else "")
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  closed in `stop`
        self.process = subprocess.Popen(  # noqa: S603  our own interpreter and file
            command(self.port, address, login, try_it),
            env=_environment(folder, login, try_it),
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


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _local(address: str) -> str:
    """Address under which this machine reaches a server that listens on `address`."""
    return {"0.0.0.0": ADDRESS, "::": "::1", "localhost": ADDRESS}.get(address, address)  # noqa: S104  looked up


def _require_port(port: int, address: str) -> int:
    if not 1 <= port <= 65535:
        raise InputError(f"port {port} does not exist; ports are 1 to 65535")
    if _bound(address, port) is None:
        raise InputError(f"port {port} is taken on {address}", fix="name another --port, or none for a free one")
    return port


def _free_port(address: str) -> int:
    return _bound(address, _FIRST_PORT) or _bound(address, 0) or _FIRST_PORT


def _bound(address: str, port: int) -> int | None:
    """Port that can be listened on, 0 standing for any; None where it is taken.

    Raises
    ------
    InputError
        This machine has no such address.
    """
    try:
        family, _, _, _, where = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
            return int(probe.getsockname()[1])
    except OSError as error:
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            raise InputError(f"this machine has no address '{address}'", fix="name one of its own as --host") from None
        return None


def _environment(folder: Path, login: Login | None, try_it: TryIt | None = None) -> dict[str, str]:
    """The child's environment: where the runs and the allow-list are, and where these packages come from."""
    home = str(Path(__file__).resolve().parent.parent)
    paths = [home, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    ours = (ALLOW_LIST_VARIABLE, *TRY_IT_VARIABLES)
    rest = {name: value for name, value in os.environ.items() if name not in ours}
    listed = {} if login is None else {ALLOW_LIST_VARIABLE: str(login.allow_list)}
    return {
        **rest,
        **listed,
        **try_it_variables(try_it),
        RUNS_VARIABLE: str(folder),
        "PYTHONPATH": os.pathsep.join(paths),
    }


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2) as answer:  # noqa: S310  loopback
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
