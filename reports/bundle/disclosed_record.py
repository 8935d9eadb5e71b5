"""The record of a run at the levels that leave something out: what names a file or a person is not in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["WITHHELD", "disclosed_record"]

WITHHELD = "withheld"
"""Stands in the record for a setting that was given and is not disclosed."""

_RECORD = (
    "schema_version",
    "run_id",
    "name",
    "created",
    "faircam",
    "fingerprint",
    "complete",
    "environment",
    "methods",
    "robustness",
    "policy",
    "trust",
    "timings",
)
_DATA = ("planned", "classes", "positive", "attributes", "intersections", "cluster", "population", "regions", "members")
_ROWS = ("counts", "notes")
_TRAINING = ("accuracy", "val_accuracy", "best_epoch", "device", "seconds_per_epoch", "notes")
_MODEL = (
    "name",
    "sha256",
    "framework",
    "classes",
    "head",
    "score",
    "layer",
    "device",
    "preprocessing",
    "outputs",
    "input_shape",
    "parameters",
    "capabilities",
    "embedding_layer",
    "embedding_size",
    "embeddings",
)
_CONFIG = ("name", "positive", "seed", "explanations", "quality", "interventions", "embeddings", "robustness")
_CONFIG_DATA = ("intersections", "cluster", "population", "look_alikes")
_CONFIG_MODEL = ("name", "framework", "classes", "head", "score", "layer", "outputs", "preprocessing")
_ATTRIBUTE = ("name", "provenance", "bins")
_REGIONS = ("names", "should_not_matter")
_ERASURE = ("day", "images")
_BUILT_IN = ("plain_cnn", "deep_cnn")


def disclosed_record(record: Mapping[str, Any], disclosure: Mapping[str, Any], *, rows: bool) -> dict[str, Any]:
    """The part of a run's record that does not name a file, a column or a person.

    Parameters
    ----------
    record : mapping
        Of the run.
    disclosure : mapping
        Goes in under this key.
    rows : bool
        Whether rows are disclosed, and with them how many images have which status.

    Returns
    -------
    dict
        Without ``tables``: the digests are those of the tables that are written.

    Notes
    -----
    Keys are chosen, not removed: one that a later version adds to the record is withheld until it stands here.
    """
    data = dict(record.get("data") or {})
    found = _picked(record, _RECORD)
    found["models"] = [_model(model) for model in record.get("models") or ()]
    found["data"] = _picked(data, (*_DATA, *(_ROWS if rows else ())))
    found["data"]["attributes"] = [_picked(item, _ATTRIBUTE) for item in data.get("attributes") or ()]
    found["data"]["training"] = {
        name: _picked(notes, _TRAINING) for name, notes in (data.get("training") or {}).items()
    }
    found["config"] = _config(record.get("config") or {})
    if record.get("erasures"):
        found["erasures"] = [_picked(item, _ERASURE) for item in record["erasures"]]
    return {**found, "disclosure": dict(disclosure)}


def _picked(given: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: given[name] for name in names if name in given}


def _model(model: Mapping[str, Any]) -> dict[str, Any]:
    """A model; its architecture only where it is one of faircam's own, for else it names a file of the user."""
    architecture = model.get("architecture")
    own = architecture in _BUILT_IN
    shown = architecture if own or architecture is None else WITHHELD
    arguments = model.get("arguments") if own or not model.get("arguments") else WITHHELD
    return {**_picked(model, _MODEL), "architecture": shown, "arguments": arguments}


def _config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that numbers rest on; every other one that was given says that it is withheld."""
    data = dict(config.get("data") or {})
    found = _marked(config, _CONFIG, ("data", "models"))
    found["data"] = _marked(data, _CONFIG_DATA, ("groups", "regions"))
    found["data"]["groups"] = [_marked(item, _ATTRIBUTE) for item in data.get("groups") or ()]
    if data.get("regions"):
        found["data"]["regions"] = _marked(data["regions"], _REGIONS)
    found["models"] = [_marked(model, _CONFIG_MODEL) for model in config.get("models") or ()]
    return found


def _marked(given: Mapping[str, Any], names: Iterable[str], replaced: Iterable[str] = ()) -> dict[str, Any]:
    picked = _picked(given, names)
    rest = (name for name, value in given.items() if name not in picked and name not in replaced)
    return picked | {name: WITHHELD if given[name] not in (None, [], {}, ()) else given[name] for name in rest}
