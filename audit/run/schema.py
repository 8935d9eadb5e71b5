"""Columns of every table in a run: the contract that reports, dashboards and notebooks rely on."""

from __future__ import annotations

import pyarrow as pa

__all__ = ["SCHEMA_VERSION", "TABLES", "columns"]

SCHEMA_VERSION = 1
"""Version of the run format. Every released version stays readable."""

_S, _I, _F, _B = pa.string(), pa.int64(), pa.float64(), pa.bool_()

TABLES: dict[str, dict[str, pa.DataType]] = {
    "images": {
        "image_id": _S,
        "path": _S,
        "sha256": _S,
        "label": _S,
        "split": _S,
        "cluster": _S,
        "status": _S,
    },
    "predictions": {
        "model": _S,
        "image_id": _S,
        "label": _S,
        "predicted": _S,
        "probabilities": pa.list_(_F),
        "confidence": _F,
        "status": _S,
        "disagrees": _B,
    },
    "groups": {
        "model": _S,
        "attribute": _S,
        "group": _S,
        "metric": _S,
        "class": _S,
        "n": _I,
        "clusters": _I,
        "value": _F,
        "low": _F,
        "high": _F,
        "method": _S,
        "status": _S,
    },
    "gaps": {
        "model": _S,
        "attribute": _S,
        "metric": _S,
        "class": _S,
        "group": _S,
        "reference": _S,
        "value": _F,
        "low": _F,
        "high": _F,
        "p": _F,
        "method": _S,
        "status": _S,
    },
    "findings": {
        "finding_id": _S,
        "rule": _S,
        "model": _S,
        "attribute": _S,
        "group": _S,
        "reference": _S,
        "metric": _S,
        "class": _S,
        "value": _F,
        "low": _F,
        "high": _F,
        "p": _F,
        "p_adjusted": _F,
        "threshold": _F,
        "n_to_settle": _F,
        "verdict": _S,
        "tier": _S,
        "preregistered": _B,
        "policy_sha256": _S,
        "text": _S,
        "claims": pa.list_(_S),
    },
    "explanations": {
        "model": _S,
        "image_id": _S,
        "method": _S,
        "layer": _S,
        "target": _S,
        "target_class": _S,
        "score": _F,
        "score_kind": _S,
        "status": _S,
        "total": _F,
    },
    "region_mass": {
        "model": _S,
        "image_id": _S,
        "method": _S,
        "region": _S,
        "share": _F,
        "area": _F,
        "status": _S,
    },
    "region_groups": {
        "model": _S,
        "method": _S,
        "region": _S,
        "attribute": _S,
        "group": _S,
        "n": _I,
        "clusters": _I,
        "value": _F,
        "area": _F,
        "low": _F,
        "high": _F,
        "method_interval": _S,
        "status": _S,
    },
    "crosschecks": {
        "model": _S,
        "method": _S,
        "provider": _S,
        "image_id": _S,
        "max_difference": _F,
        "spearman": _F,
        "status": _S,
        "note": _S,
    },
    "training": {
        "model": _S,
        "epoch": _I,
        "loss": _F,
        "accuracy": _F,
        "val_loss": _F,
        "val_accuracy": _F,
        "seconds": _F,
    },
    "problems": {
        "stage": _S,
        "model": _S,
        "image_id": _S,
        "path": _S,
        "status": _S,
        "detail": _S,
    },
}
"""Arrow type of every column. `images` also holds one string column ``attr_NAME`` an attribute."""


def columns(table: str) -> list[str]:
    """Names of a table's fixed columns, in order."""
    return list(TABLES[table])
