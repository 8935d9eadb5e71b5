"""faircam: audits image-classification CNNs; whom they serve worse, and what they look at.

Nothing heavy is imported until it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from audit.version import __version__

if TYPE_CHECKING:
    from audit.notebook import audit
    from audit.run.record import Run, open_run

__all__ = ["Run", "__version__", "audit", "open_run"]

_HOMES = {"audit": "audit.notebook", "open_run": "audit.run.record", "Run": "audit.run.record"}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'audit' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
