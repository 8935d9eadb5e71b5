"""Whether an image may be tried at all: off unless asked for, and never where others reach the dashboard.

Imports no Streamlit: the server's process is started with what is said here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from audit.errors import InputError
from audit.trust import NOTHING, Trust
from dashboard.access import ALLOW_LIST_VARIABLE, Login, is_loopback

__all__ = ["MOST_MEGABYTES", "TRY_IT_VARIABLES", "TryIt", "try_it", "try_it_variables"]

MOST_MEGABYTES = 16
"""Largest image that may be given."""

_BASE, _TRUST = "FAIRCAM_TRY_IT", "FAIRCAM_TRY_IT_TRUST"
TRY_IT_VARIABLES = (_BASE, _TRUST)
"""Environment variables that tell the app; none is taken over from whoever starts the dashboard."""


@dataclass(frozen=True)
class TryIt:
    """Images may be tried.

    Attributes
    ----------
    base : Path
        Folder that the models' paths may start from, beside those above each run.
    trust : Trust
        What may run that comes with a model.
    """

    base: Path
    trust: Trust = NOTHING

    def check(self, address: str, login: Login | None) -> None:
        """Refuse it where others than this machine's user reach the dashboard.

        Raises
        ------
        InputError
            The address is not this machine's own, or a login is configured.
        """
        if login is not None or not is_loopback(address):
            raise InputError(
                "--try-it runs models for whoever opens the page, and others reach this dashboard",
                fix="leave out --try-it, or --host and --allow-list",
            )


def try_it_variables(asked: TryIt | None) -> dict[str, str]:
    """What the app's environment says."""
    if asked is None:
        return {}
    return {_BASE: str(asked.base.resolve()), _TRUST: json.dumps(asked.trust.as_json())}


def try_it(environment: Mapping[str, str] = os.environ) -> TryIt | None:
    """What the app was started with; None where images cannot be tried."""
    if _BASE not in environment or ALLOW_LIST_VARIABLE in environment:
        return None
    return TryIt(Path(environment[_BASE]), Trust.of(json.loads(environment.get(_TRUST, "{}"))))
