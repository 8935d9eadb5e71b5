"""What somebody asks of a bundle, kept in `bundle.json` so that every document can be made again from it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal, get_args

from audit.errors import InputError, RunError, nearest

__all__ = ["BUNDLE", "LEVELS", "Level", "Request", "check_level", "read_request"]

Level = Literal["public", "auditor", "internal"]

LEVELS: tuple[str, ...] = get_args(Level)
"""Who may read it: anybody, an auditor under an agreement, the owner of the model and the data."""

BUNDLE = "bundle.json"


@dataclass(frozen=True)
class Request:
    """How a bundle is made.

    Attributes
    ----------
    level : str
        One of `LEVELS`.
    day : date
        Day of evaluation: by it waivers expire and legal packs come into force.
    packs : tuple of str
        Legal packs of the crosswalk: names, or paths of YAML files.
    threshold : int
        At the public level, cells of fewer images than this are suppressed, with complements.
    sex, race : str or None
        Attributes of the tables of New York City's Local Law 144; left out where one is None.
    mlbom : str
        Version of CycloneDX that the ML-BOM is written in, one of `reports.bundle.ml_bom.SPECS`.
    language : str
        Of the report's fixed wording, one of `reports.language.LANGUAGES`; the other documents are in English.
    """

    level: Level
    day: date
    packs: tuple[str, ...] = ()
    threshold: int = 10
    sex: str | None = None
    race: str | None = None
    mlbom: str = "1.6"
    language: str = "en"

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "day": self.day.isoformat(), "packs": list(self.packs)}


def read_request(folder: Path) -> Request:
    """The request that a bundle was made for.

    Raises
    ------
    RunError
        There is none, or it cannot be read.
    """
    path = folder / BUNDLE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        level = check_level(content["level"])
        given = {**content, "level": level, "day": date.fromisoformat(content["day"]), "packs": tuple(content["packs"])}
        return Request(**given)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError("is not the record of a bundle", where=str(path)) from error


def check_level(level: str) -> Any:
    """A known level, or an error that lists them."""
    if level not in LEVELS:
        raise InputError(
            f"disclosure level '{level}' is unknown, allowed: {', '.join(LEVELS)}.{nearest(level, LEVELS)}",
            fix=f"use --disclosure {LEVELS[0]}, {LEVELS[1]} or {LEVELS[2]}",
        )
    return level
