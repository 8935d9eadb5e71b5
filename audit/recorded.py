"""The configuration as a run keeps it: it says what was audited, and not in whose folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from audit.config import AuditConfig

__all__ = ["recorded"]

_PATHS = frozenset(
    {"path", "weights", "training", "policy", "manifest", "image_folder", "huggingface", "attributes_table", "root"}
)
"""Keys of a configuration that name a file or a folder."""


def recorded(config: AuditConfig, base: Path) -> dict[str, Any]:
    """The configuration as JSON, without absolute paths.

    Parameters
    ----------
    config : AuditConfig
    base : Path
        Folder that the configuration's paths are relative to.

    Returns
    -------
    dict
        A path inside `base` is relative to it; of one elsewhere only the last part is kept. What a path led to is told
        by the digests of the plan.
    """
    content: dict[str, Any] = _without_places(config.model_dump(mode="json"), base.resolve())
    return content


def _without_places(value: Any, base: Path, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _without_places(inner, base, str(name)) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without_places(inner, base) for inner in value]
    if key not in _PATHS or not isinstance(value, str) or not Path(value).is_absolute():
        return value
    path = Path(value).resolve()
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else path.name
