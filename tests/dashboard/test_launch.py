"""Starting the server: what is refused, where it listens, and that it always ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import dashboard
from audit.errors import InputError
from dashboard import server as serving
from dashboard.server import ADDRESS, Server, command


def test_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no run") as caught:
        dashboard.launch(tmp_path, open_browser=False)
    assert "faircam demo" in str(caught.value)


def test_absent_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no folder"):
        dashboard.launch(tmp_path / "nowhere", open_browser=False)


def test_port_in_use_is_refused(runs: Path) -> None:
    with socket.socket() as holder:
        holder.bind((ADDRESS, 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port} is taken"):
            dashboard.launch(runs, port, open_browser=False)


def test_port_that_does_not_exist_is_refused(runs: Path) -> None:
    with pytest.raises(InputError, match="port 70000 does not exist"):
        dashboard.launch(runs, 70000, open_browser=False)


@pytest.mark.parametrize("absent", ["streamlit", "plotly"])
def test_missing_package_names_the_extra(runs: Path, monkeypatch: pytest.MonkeyPatch, absent: str) -> None:
    monkeypatch.setattr(serving, "find_spec", lambda name: None if name == absent else object())
    with pytest.raises(InputError, match=absent) as caught:
        dashboard.launch(runs, open_browser=False)
    assert "pip install 'faircam[dashboard]'" in str(caught.value)


def test_command_binds_loopback_and_keeps_quiet() -> None:
    line = command(8600)
    assert line[:5] == [sys.executable, "-P", "-m", "streamlit", "run"]
    for option in (
        "--server.address=127.0.0.1",
        "--server.headless=true",
        "--server.enableXsrfProtection=true",
        "--server.fileWatcherType=none",
        "--browser.gatherUsageStats=false",
    ):
        assert option in line


def test_importing_the_package_imports_no_streamlit() -> None:
    names = ("streamlit", "plotly", "torch", "tensorflow")
    code = f"import sys, dashboard; print([name for name in {names} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_listens_on_loopback_only(server: Server) -> None:
    listening = [line for line in listeners() if line.endswith(f":{server.port:04X}")]
    assert listening == [f"0100007F:{server.port:04X}"]


def listeners() -> list[str]:
    """Local addresses of every listening TCP socket, IPv4 and IPv6, as the kernel writes them."""
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if not Path(table).exists():
            pytest.skip("needs /proc/net")
        rows = [line.split() for line in Path(table).read_text(encoding="ascii").splitlines()[1:]]
        found += [row[1] for row in rows if row[3] == "0A"]
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ends_cleanly(runs: Path, number: signal.Signals) -> None:
    code = "import sys; from pathlib import Path; from dashboard import launch; "
    code += "raise SystemExit(launch(Path(sys.argv[1]), open_browser=False))"
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(runs)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert parent.stdout is not None
        line = parent.stdout.readline()
        assert line.startswith("Dashboard: http://127.0.0.1:")
        port = int(line.split(":")[3].split()[0])
        parent.send_signal(number)
        _, complaints = parent.communicate(timeout=20)
        assert parent.returncode == 0
        assert "Traceback" not in complaints
        assert _closes(port)
    finally:
        if parent.poll() is None:
            os.killpg(parent.pid, signal.SIGKILL)
            parent.communicate()


def _closes(port: int) -> bool:
    for _ in range(50):
        with socket.socket() as probe:
            if probe.connect_ex((ADDRESS, port)):
                return True
        time.sleep(0.1)
    return False
