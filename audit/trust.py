"""What may run that came with a model: code that a configuration names, and model files known by their digest.

Nothing here reads a file; a run records what was granted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from audit.errors import InputError

__all__ = ["NOTHING", "Trust"]

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


@dataclass(frozen=True)
class Trust:
    """What whoever runs the audit vouches for.

    Attributes
    ----------
    code : bool
        Whether import paths of the configuration may be followed (``--trust-code``).
    models : tuple of str
        SHA-256 of the model files that may run code when they are loaded, in hexadecimal (``--trust-model``).
    """

    code: bool = False
    models: tuple[str, ...] = ()

    @staticmethod
    def given(code: bool, digests: Sequence[str] | None) -> Trust:
        """From the options of a command line.

        Parameters
        ----------
        code : bool
        digests : sequence of str or None
            Each as ``sha256:HEX``.

        Raises
        ------
        InputError
            One is no such digest.
        """
        found = []
        for text in digests or ():
            match = _DIGEST.fullmatch(text.lower())
            if match is None:
                raise InputError(
                    f"--trust-model is '{text}', allowed: sha256: and 64 hexadecimal digits",
                    fix="take the digest from whoever made the file, and compare it with that of yours: sha256sum FILE",
                )
            found.append(match.group(1))
        return Trust(code, tuple(sorted(set(found))))

    @staticmethod
    def of(told: Mapping[str, Any]) -> Trust:
        """From a JSON object that holds `as_json` among other things; what is missing is not trusted."""
        return Trust(bool(told.get("trust_code")), tuple(map(str, told.get("trust_models") or ())))

    def as_json(self) -> dict[str, Any]:
        """As an order, a request or a run's record holds it."""
        return {"trust_code": self.code, "trust_models": list(self.models)}


NOTHING = Trust()
"""No code but our own and that of the installed packages."""
