"""Who may use a dashboard that others can reach: the allow-list, the login's settings, and what is refused.

Streamlit's `st.login` says who somebody is, not what they may see, so a list says who may see these runs. Rules only;
`dashboard.login` asks the visitor, and no Streamlit is imported here.
"""

from __future__ import annotations

import ipaddress
import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from audit.errors import InputError

__all__ = ["ADDRESS", "ALLOW_LIST_VARIABLE", "Login", "is_loopback", "may_enter", "read_allow_list", "require_login"]

ADDRESS = "127.0.0.1"
"""Listened on unless another address is named; no other machine reaches it."""

ALLOW_LIST_VARIABLE = "FAIRCAM_ALLOW_LIST"
"""Environment variable that names the allow-list to the app; where it is set, nobody enters without a login."""

_SECRETS = Path(".streamlit") / "secrets.toml"
_NEEDED = ("redirect_uri", "cookie_secret", "client_id", "client_secret", "server_metadata_url")
_CALLBACK = "/oauth2callback"
_SHORTEST_SECRET = 32
_MAIL = re.compile(r"[^@\s,;*]+@[^@\s,;*]+")
_GUIDE = "docs/dashboard.md shows a whole one"


@dataclass(frozen=True)
class Login:
    """A shared deployment whose settings were checked.

    Attributes
    ----------
    allow_list : Path
        File with the addresses of those who may enter.
    secrets : Path
        Streamlit's ``secrets.toml`` with an ``[auth]`` section.
    url : str
        What users type, such as ``https://faircam.example.org``: the redirect URI without ``/oauth2callback``.
    """

    allow_list: Path
    secrets: Path
    url: str

    @property
    def origin(self) -> str:
        """Scheme, name and port of `url`."""
        return "{0.scheme}://{0.netloc}".format(urlsplit(self.url))

    @property
    def host(self) -> str:
        """Name of the machine in `url`."""
        return urlsplit(self.url).hostname or ""

    @property
    def base(self) -> str:
        """Path of `url`, for a dashboard that lies below another page; empty or with a slash before it."""
        return urlsplit(self.url).path


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches an address."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def read_allow_list(path: Path) -> frozenset[str]:
    """E-mail addresses of those who may enter, in lower case.

    Parameters
    ----------
    path : Path
        Text in UTF-8, one address a line; what follows a ``#`` is a remark.

    Raises
    ------
    InputError
        The file cannot be read, names nobody, or a line is no address.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise InputError(
            f"the allow-list cannot be read: {error}", where=str(path), fix="name a text file, one address a line"
        ) from error
    said = {number: line.partition("#")[0].strip() for number, line in enumerate(lines, 1)}
    for number, name in said.items():
        if name and not _MAIL.fullmatch(name):
            raise InputError(
                f"line {number}: '{name}' is no e-mail address",
                where=str(path),
                fix="write one whole address a line; a domain or a pattern lets nobody in",
            )
    found = frozenset(name.casefold() for name in said.values() if name)
    if not found:
        raise InputError("the allow-list names nobody", where=str(path), fix="write one e-mail address a line")
    return found


def may_enter(user: Mapping[str, Any], allowed: Collection[str]) -> str | None:
    """Address of a user who is logged in and on the list; None for everybody else.

    Parameters
    ----------
    user : mapping
        Claims of the identity token, as ``st.user`` holds them.
    allowed : collection of str
        From `read_allow_list`.

    Notes
    -----
    An address that the provider says was not verified counts for nothing. Where it says neither, the provider is
    trusted to hand out only addresses that belong to their users.
    """
    address = user.get("email")
    if user.get("is_logged_in") is not True or not isinstance(address, str):
        return None
    if "email_verified" in user and str(user["email_verified"]).casefold() != "true":
        return None
    name = address.strip().casefold()
    return name if name in allowed else None


def require_login(address: str, allow_list: Path | None, secrets: Path | None) -> Login | None:
    """Check that an address may be listened on.

    Parameters
    ----------
    address : str
    allow_list : Path, optional
        Makes a login necessary on every address, also on this machine's own: a proxy may stand before it.
    secrets : Path, optional
        By default ``.streamlit/secrets.toml`` in the current folder, else in the home folder.

    Returns
    -------
    Login or None
        None where no login is needed: this machine alone, without an allow-list.

    Raises
    ------
    InputError
        Others reach the address and there is no allow-list; or the list or a setting of the login is missing or weak.
    """
    if allow_list is None:
        if is_loopback(address):
            return None
        raise InputError(
            f"other machines reach address {address}, and nobody would have to log in",
            fix="name --allow-list FILE and configure a login (docs/dashboard.md), or leave out --host",
        )
    read_allow_list(allow_list)
    for name in ("authlib", "httpx"):
        if find_spec(name) is None:
            raise InputError(
                f"a login needs {name}, which this Python does not have", fix="pip install 'streamlit[auth]'"
            )
    path = _secrets_file(secrets)
    return Login(allow_list.resolve(), path.resolve(), _public_url(_auth_section(path), str(path)))


def _secrets_file(named: Path | None) -> Path:
    places = [named] if named is not None else [_SECRETS, Path.home() / _SECRETS]
    for place in places:
        if place.is_file():
            return place
    raise InputError(
        f"a login needs settings, and there is no {' or '.join(map(str, places))}",
        fix=f"write the file with an [auth] section, or name it with --secrets; {_GUIDE}",
    )


def _auth_section(path: Path) -> dict[str, str]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"is not TOML: {error}", where=str(path), fix=_GUIDE) from None
    section = content.get("auth")
    if not isinstance(section, dict):
        raise InputError("has no [auth] section", where=str(path), fix=_GUIDE)
    missing = [name for name in _NEEDED if not isinstance(section.get(name), str) or not section[name].strip()]
    if missing:
        raise InputError(f"[auth] lacks {', '.join(missing)}", where=str(path), fix=_GUIDE)
    return {name: str(section[name]) for name in _NEEDED}


def _public_url(section: Mapping[str, str], where: str) -> str:
    """The redirect URI without the callback, once every setting was found strong enough."""
    if len(section["cookie_secret"]) < _SHORTEST_SECRET:
        raise InputError(
            f"cookie_secret has fewer than {_SHORTEST_SECRET} characters: whoever guesses it logs in as anybody",
            where=where,
            fix="python -c 'import secrets; print(secrets.token_hex())' prints a good one",
        )
    for name in ("redirect_uri", "server_metadata_url"):
        _check_address(name, section[name], where)
    uri = section["redirect_uri"]
    if not uri.endswith(_CALLBACK):
        raise InputError(f"redirect_uri is '{uri}', and must end in {_CALLBACK}", where=where, fix=_GUIDE)
    return uri.removesuffix(_CALLBACK)


def _check_address(name: str, value: str, where: str) -> None:
    address = urlsplit(value)
    plain = address.scheme == "http" and is_loopback(address.hostname or "")
    if not address.hostname or not (address.scheme == "https" or plain):
        raise InputError(
            f"{name} is '{value}', allowed: an address with https://, or with http:// on this machine",
            where=where,
            fix="let the reverse proxy speak TLS (docs/dashboard.md): without it anybody on the way reads the cookie",
        )
