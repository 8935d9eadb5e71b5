"""Who is let in: addresses that need a login, settings that are refused, the list, and what the app does at the door."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit.errors import InputError
from dashboard import access
from dashboard.access import ALLOW_LIST_VARIABLE, Login, is_loopback, may_enter, read_allow_list, require_login
from dashboard.server import Server, command
from tests.dashboard.conftest import free_port
from tests.dashboard.test_launch import listeners

OpenApp = Callable[..., Any]

EVERY = "0.0.0.0"  # noqa: S104  what is refused
GOOD = {
    "redirect_uri": "https://faircam.example.org/oauth2callback",
    "cookie_secret": "0123456789abcdef0123456789abcdef",
    "client_id": "faircam",
    "client_secret": "s",
    "server_metadata_url": "https://login.example.org/.well-known/openid-configuration",
}
ANA = {"is_logged_in": True, "email": "ana@example.org"}


@pytest.fixture(autouse=True)
def _packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "find_spec", lambda _: object())


def files(folder: Path, people: str = "ana@example.org\n", **changes: str | None) -> tuple[Path, Path]:
    """An allow-list and secrets, with some settings changed or, where None, left out."""
    (folder / "people.txt").write_text(people, encoding="utf-8")
    settings = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}
    lines = ["[auth]", *(f'{key} = "{value}"' for key, value in settings.items())]
    (folder / "secrets.toml").write_text("\n".join(lines), encoding="utf-8")
    return folder / "people.txt", folder / "secrets.toml"


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_this_machine_needs_no_login(address: str) -> None:
    assert is_loopback(address)
    assert require_login(address, None, None) is None


@pytest.mark.parametrize("address", [EVERY, "::", "192.168.0.7", "", "myhost", "127.0.0.1.evil.org", "2130706433"])
def test_an_address_that_others_reach_is_refused_without_a_list(address: str) -> None:
    with pytest.raises(InputError, match="nobody would have to log in") as caught:
        require_login(address, None, None)
    assert "--allow-list" in str(caught.value)


def test_a_list_asks_for_a_login_on_this_machine_too(tmp_path: Path) -> None:
    people, _ = files(tmp_path)
    with pytest.raises(InputError, match="login needs settings"):
        require_login("127.0.0.1", people, tmp_path / "nowhere.toml")


def test_whole_settings_are_accepted(tmp_path: Path) -> None:
    people, secrets = files(tmp_path)
    login = require_login(EVERY, people, secrets)
    assert login == Login(people, secrets, "https://faircam.example.org")
    assert (login.origin, login.host, login.base) == ("https://faircam.example.org", "faircam.example.org", "")


def test_a_path_in_the_redirect_uri_becomes_the_base(tmp_path: Path) -> None:
    uri = "https://intra.example.org:8443/tools/faircam/oauth2callback"
    login = require_login(EVERY, *files(tmp_path, redirect_uri=uri))
    assert login is not None
    assert login.origin == "https://intra.example.org:8443"
    assert login.base == "/tools/faircam"
    assert "--server.baseUrlPath=tools/faircam" in command(8600, EVERY, login)


@pytest.mark.parametrize("name", list(GOOD))
def test_a_setting_that_is_missing_is_named(tmp_path: Path, name: str) -> None:
    for value in (None, "  "):
        with pytest.raises(InputError, match=rf"\[auth\] lacks {name}"):
            require_login(EVERY, *files(tmp_path, **{name: value}))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cookie_secret": "x" * 31}, "fewer than 32 characters"),
        ({"redirect_uri": "http://faircam.example.org/oauth2callback"}, "redirect_uri is 'http://faircam"),
        ({"redirect_uri": "https://faircam.example.org/callback"}, "must end in /oauth2callback"),
        ({"redirect_uri": "/oauth2callback"}, "redirect_uri is '/oauth2callback'"),
        ({"server_metadata_url": "http://login.example.org/x"}, "server_metadata_url is 'http://login"),
    ],
)
def test_a_weak_setting_is_refused(tmp_path: Path, changes: dict[str, str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        require_login(EVERY, *files(tmp_path, **changes))


def test_secrets_without_a_section_or_that_are_no_toml_are_refused(tmp_path: Path) -> None:
    people, secrets = files(tmp_path)
    secrets.write_text("[other]\na = 1", encoding="utf-8")
    with pytest.raises(InputError, match=r"no \[auth\] section"):
        require_login(EVERY, people, secrets)
    secrets.write_text("[auth", encoding="utf-8")
    with pytest.raises(InputError, match="is not TOML"):
        require_login(EVERY, people, secrets)


def test_a_login_without_its_packages_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "find_spec", lambda name: None if name == "authlib" else object())
    with pytest.raises(InputError, match="needs authlib") as caught:
        require_login(EVERY, *files(tmp_path))
    assert "streamlit[auth]" in str(caught.value)


def test_list_is_read_with_remarks_and_in_lower_case(tmp_path: Path) -> None:
    people, _ = files(tmp_path, "# reviewers\nAna@Example.org  # legal\n\n  bo@example.org\n")
    assert read_allow_list(people) == {"ana@example.org", "bo@example.org"}


@pytest.mark.parametrize("line", ["*", "*@example.org", "@example.org", "example.org", "a@b c@d", "a@b,c@d"])
def test_a_line_that_is_no_whole_address_is_refused(tmp_path: Path, line: str) -> None:
    people, _ = files(tmp_path, f"ana@example.org\n{line}\n")
    with pytest.raises(InputError, match="line 2: .* is no e-mail address"):
        read_allow_list(people)


def test_a_list_that_names_nobody_or_is_absent_is_refused(tmp_path: Path) -> None:
    people, _ = files(tmp_path, "# nobody yet\n")
    with pytest.raises(InputError, match="names nobody"):
        read_allow_list(people)
    with pytest.raises(InputError, match="cannot be read"):
        read_allow_list(tmp_path / "nowhere.txt")


@pytest.mark.parametrize(
    ("user", "let_in"),
    [
        (ANA, True),
        ({**ANA, "email": " ANA@Example.ORG "}, True),
        ({**ANA, "email_verified": True}, True),
        ({**ANA, "email_verified": "true"}, True),
        ({**ANA, "email_verified": False}, False),
        ({**ANA, "email_verified": "false"}, False),
        ({**ANA, "email_verified": None}, False),
        ({**ANA, "is_logged_in": False}, False),
        ({**ANA, "is_logged_in": "yes"}, False),
        ({"email": "ana@example.org"}, False),
        ({**ANA, "email": "eve@example.org"}, False),
        ({**ANA, "email": "ana@example.org.evil.org"}, False),
        ({**ANA, "email": ["ana@example.org"]}, False),
        ({"is_logged_in": True, "name": "ana@example.org", "preferred_username": "ana@example.org"}, False),
        ({}, False),
    ],
)
def test_only_a_verified_address_on_the_list_enters(user: dict[str, Any], let_in: bool) -> None:
    found = may_enter(user, {"ana@example.org"})
    assert found == ("ana@example.org" if let_in else None)


def test_server_refuses_another_address_without_a_login(runs: Path) -> None:
    with pytest.raises(InputError, match="needs a login"):
        Server(runs, address=EVERY)


def test_server_refuses_an_address_of_another_machine(runs: Path, tmp_path: Path) -> None:
    login = require_login("192.0.2.1", *files(tmp_path))
    with pytest.raises(InputError, match=r"this machine has no address '192\.0\.2\.1'"):
        Server(runs, address="192.0.2.1", login=login)


def test_command_names_the_hosts_that_may_ask(tmp_path: Path) -> None:
    alone = command(8600)
    assert [flag for flag in alone if "allowedHosts" in flag] == [
        "--server.allowedHosts=127.0.0.1",
        "--server.allowedHosts=localhost",
    ]
    login = require_login(EVERY, *files(tmp_path))
    shared = command(8600, EVERY, login)
    assert [flag for flag in shared if flag.startswith("--server.address=")] == [f"--server.address={EVERY}"]
    assert "--server.allowedHosts=faircam.example.org" in shared
    assert "--server.corsAllowedOrigins=https://faircam.example.org" in shared
    assert f"--secrets.files={tmp_path / 'secrets.toml'}" in shared
    for line in (alone, shared):
        assert "--server.trustedUserHeaders={}" in line, "no header of a client says who somebody is"
        assert "--server.enableAgentApi=false" in line


def test_command_line_refuses_and_says_what_to_do(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from audit.cli import app

    done = CliRunner().invoke(app, ["dashboard", str(runs), "--host", EVERY])
    assert isinstance(done.exception, InputError)
    assert "--allow-list" in str(done.exception)


def enter(open_app: OpenApp, folder: Path, user: dict[str, Any] | None) -> Any:
    """The app as a visitor sees it, at the door or inside."""
    from streamlit.testing.v1 import AppTest

    from tests.dashboard.conftest import APP

    app = AppTest.from_file(str(APP), default_timeout=60)
    app.user = user or {}
    app.query_params["run"] = "sample"
    app.run()
    assert not app.exception, app.exception
    return app


@pytest.fixture
def shared(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A deployment with a login, on which ana is allowed; gives the list."""
    from dashboard.server import RUNS_VARIABLE

    people, _ = files(tmp_path)
    monkeypatch.setenv(RUNS_VARIABLE, str(runs))
    monkeypatch.setenv(ALLOW_LIST_VARIABLE, str(people))
    return people


def seen(app: Any) -> str:
    parts = [*app.title, *app.header, *app.text, *app.caption, *app.markdown, *app.error, *app.selectbox]
    return "\n".join(str(part.value) for part in parts)


def test_who_is_not_logged_in_sees_no_run(shared: Path, open_app: OpenApp, runs: Path) -> None:
    app = enter(open_app, runs, None)
    assert [button.label for button in app.button] == ["Log in"]
    assert "sample" not in seen(app)
    assert not app.selectbox


def test_who_is_not_on_the_list_sees_no_run(shared: Path, open_app: OpenApp, runs: Path) -> None:
    app = enter(open_app, runs, {**ANA, "email": "eve@example.org"})
    assert "is not on the list" in app.error[0].value.replace("\\", "")
    assert [button.label for button in app.button] == ["Log out"]
    assert not app.selectbox
    assert not app.dataframe


def test_who_is_on_the_list_enters(shared: Path, open_app: OpenApp, runs: Path) -> None:
    app = enter(open_app, runs, ANA)
    assert not app.error
    said = [item.value.replace("\\", "").replace("\N{WORD JOINER}", "") for item in app.caption]
    assert any("ana@example" in text for text in said)


def test_who_is_taken_off_the_list_is_out_at_the_next_action(shared: Path, open_app: OpenApp, runs: Path) -> None:
    app = enter(open_app, runs, ANA)
    shared.write_text("bo@example.org\n", encoding="utf-8")
    app.run()
    assert "is not on the list" in app.error[0].value.replace("\\", "")
    assert not app.selectbox


def test_a_list_that_cannot_be_read_lets_nobody_in(shared: Path, open_app: OpenApp, runs: Path) -> None:
    shared.unlink()
    app = enter(open_app, runs, ANA)
    assert "cannot be read" in app.error[0].value.replace("\\", "")
    assert not app.selectbox


def handshake(port: int, host: str, origin: str | None = None, address: str = access.ADDRESS) -> int:
    """Status with which the server answers somebody who asks for the data of a page."""
    import socket

    lines = ["GET /_stcore/stream HTTP/1.1", f"Host: {host}", "Connection: Upgrade", "Upgrade: websocket"]
    lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="]
    lines += [] if origin is None else [f"Origin: {origin}"]
    with socket.create_connection((address, port), timeout=10) as opened:
        opened.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        return int(opened.recv(64).split()[1])


def test_a_name_that_is_not_this_machine_s_gets_no_data(server: Server) -> None:
    assert handshake(server.port, f"127.0.0.1:{server.port}") == 101
    assert handshake(server.port, f"localhost:{server.port}", f"http://localhost:{server.port}") == 101
    assert handshake(server.port, "rebound.example.org") == 403
    assert handshake(server.port, f"127.0.0.1:{server.port}", "http://other.example.org") == 403


def test_listens_on_the_address_that_was_named(runs: Path) -> None:
    address = "127.0.0.2"
    with Server(runs, free_port(), address) as started:
        started.wait_until_ready()
        assert [line for line in listeners() if line.endswith(f":{started.port:04X}")] == [
            f"0200007F:{started.port:04X}"
        ]
        assert handshake(started.port, f"{address}:{started.port}", started.url, address) == 101
