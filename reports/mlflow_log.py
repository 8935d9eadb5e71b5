"""Logging a run to MLflow: its group values as metrics, its tables and its report as artefacts. Writes nothing else."""

from __future__ import annotations

import importlib
import json
import math
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from audit.errors import InputError
from audit.findings import VERDICTS
from audit.run import Run
from audit.run.claims import claims_of
from reports import write_report
from reports.mlflow_names import mlflow_names

__all__ = ["Logged", "log_run", "logged_metrics"]

_FIELDS = {"groups": ("value", "low", "high", "n"), "gaps": ("value", "low", "high", "p_adjusted")}
_BATCH = 500  # entities at once; MLflow takes 1000, and 1 MB
_NOTE = (
    "Logged by faircam. The artefact metrics.csv says which row of which table each metric is; what is undefined there "
    "is not among the metrics. What the run shows, and what it does not, is in report.html."
)


@dataclass(frozen=True)
class Logged:
    """One number under its name in MLflow.

    Attributes
    ----------
    name : str
    claim : str
        Row of the run's table that the number stands in, as `audit.run.claims.claim_of` names it.
    field : str
        Column of that row.
    value : float or None
        None where it is undefined; MLflow does not get it.
    """

    name: str
    claim: str
    field: str
    value: float | None


def logged_metrics(run: Run) -> list[Logged]:
    """Numbers of tables `groups` and `gaps` under their names in MLflow.

    Parameters
    ----------
    run : Run

    Returns
    -------
    list of Logged
        Value, interval and n of every group; value, interval and adjusted p of every gap. Names are as in
        ``groups/MODEL/ATTRIBUTE/GROUP/METRIC.CLASS`` and ``gaps.low/MODEL/ATTRIBUTE/METRIC.CLASS.COMPARE``.
    """
    paths: list[tuple[str, ...]] = []
    numbers: list[tuple[str, str, float | None]] = []
    for table, fields in _FIELDS.items():
        frame = run.table(table)
        claims = claims_of(table, frame)
        for claim, row in zip(claims, frame.to_dict("records"), strict=True):
            for field in fields:
                prefix = table if field == "value" else f"{table}.{field}"
                paths.append((prefix, *_path(table, row)))
                numbers.append((claim, field, _number(row[field])))
    return [Logged(name, *number) for name, number in zip(mlflow_names(paths), numbers, strict=True)]


def log_run(run: Run, tracking_uri: str, experiment: str) -> str:
    """Log a run to MLflow, as one MLflow run of its own.

    Metrics are `logged_metrics` and the number of findings by verdict; parameters what was audited; tags its
    fingerprint, whether it is complete, and its verdicts. Artefacts are ``run.json``, every table, ``metrics.csv`` with
    the name of every number, and ``report.html``: names and thumbnails of images go along, so log a public bundle where
    others can read.

    Parameters
    ----------
    run : Run
        A run folder or a bundle.
    tracking_uri : str
        As MLflow takes it: ``sqlite:///mlflow.db`` or an ``http`` address.
    experiment : str
        Name of the experiment; made if it is missing.

    Returns
    -------
    str
        MLflow's id of the run.

    Raises
    ------
    InputError
        The store cannot be opened or written.
    ModuleNotFoundError
        MLflow is not installed.
    """
    numbers = logged_metrics(run)
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when mlflow is imported
    library = importlib.import_module("mlflow")
    entities = importlib.import_module("mlflow.entities")
    moment = _moment(run)
    try:
        client = library.MlflowClient(tracking_uri=tracking_uri)
        known = client.get_experiment_by_name(experiment)
        place = client.create_experiment(experiment) if known is None else known.experiment_id
        started = client.create_run(place, start_time=moment, tags=_tags(run), run_name=run.name)
        run_id = str(started.info.run_id)
        try:
            for key, value in _parameters(run).items():
                client.log_param(run_id, key, value)
            rows = [(item.name, item.value) for item in numbers if item.value is not None]
            rows += [(f"findings/{verdict}", float(count)) for verdict, count in _verdicts(run).items()]
            for batch in _batches([entities.Metric(name, value, moment, 0) for name, value in rows]):
                client.log_batch(run_id, metrics=batch)
            _artefacts(run, numbers, client, run_id)
        except BaseException:
            client.set_terminated(run_id, status="FAILED")
            raise
        client.set_terminated(run_id, status="FINISHED", end_time=moment)
    except library.exceptions.MlflowException as error:
        raise InputError(
            f"MLflow says: {' '.join(str(error).split())}",
            where=tracking_uri,
            fix="name another store or experiment; sqlite:///mlflow.db is a store in one local file",
        ) from error
    return run_id


def _path(table: str, row: dict[Any, Any]) -> tuple[str, ...]:
    """Words of a row's name, after the table."""
    last = [str(row["metric"]), *([] if pd.isna(row["class"]) else [str(row["class"])])]
    if table == "groups":
        return str(row["model"]), str(row["attribute"]), str(row["group"]), ".".join(last)
    compared = [] if row["compare"] == "range" else [str(row["compare"])]
    return str(row["model"]), str(row["attribute"]), ".".join([*last, *compared])


def _number(cell: Any) -> float | None:
    """A finite number, or None."""
    return None if pd.isna(cell) or not math.isfinite(cell) else float(cell)


def _verdicts(run: Run) -> dict[str, int]:
    """Number of findings by verdict."""
    counts = run.table("findings")["verdict"].value_counts()
    return {verdict: int(counts.get(verdict, 0)) for verdict in VERDICTS}


def _tags(run: Run) -> dict[str, str]:
    record = run.record
    policy = record.get("policy") or {}
    tags = {
        "faircam.fingerprint": record.get("fingerprint"),
        "faircam.run_id": record.get("run_id"),
        "faircam.version": record.get("faircam"),
        "faircam.created": record.get("created"),
        "faircam.complete": "true" if run.complete else "false",
        "faircam.policy_sha256": policy.get("sha256"),
        **{f"faircam.findings.{verdict}": count for verdict, count in _verdicts(run).items()},
        "mlflow.note.content": _NOTE if run.complete else f"The run is INCOMPLETE. {_NOTE}",
    }
    return {key: str(value) for key, value in tags.items() if value is not None}


def _parameters(run: Run) -> dict[str, str]:
    """What was audited, on what."""
    data, config = run.record.get("data") or {}, run.record.get("config") or {}
    told: dict[str, Any] = {
        "name": run.name,
        "models": run.models,
        "classes": data.get("classes"),
        "positive": data.get("positive"),
        "images": data.get("planned"),
        "attributes": [item.get("name") for item in data.get("attributes") or ()],
        "cluster": data.get("cluster"),
        "seed": config.get("seed"),
    }
    paths: list[tuple[str, ...]] = []
    values: list[Any] = []
    for model in run.record.get("models") or ():
        for key in ("framework", "sha256", "parameters", "layer", "score"):
            paths.append(("model", str(model["name"]), key))
            values.append(model.get(key))
    told |= dict(zip(mlflow_names(paths), values, strict=True))
    return {key: _short(value) for key, value in told.items() if value is not None}


def _short(value: Any, longest: int = 500) -> str:
    """A parameter's text: lists as JSON, cut where every version of MLflow takes it."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _artefacts(run: Run, numbers: Sequence[Logged], client: Any, run_id: str) -> None:
    with tempfile.TemporaryDirectory(prefix="faircam-mlflow-") as folder:
        names = pd.DataFrame([vars(item) for item in numbers], columns=["name", "claim", "field", "value"])
        names.to_csv(Path(folder) / "metrics.csv", index=False, lineterminator="\n")
        report = write_report(run, Path(folder) / "report.html")
        for path in (run.path / "run.json", Path(folder) / "metrics.csv", report):
            client.log_artifact(run_id, str(path))
    for path in sorted((run.path / "tables").glob("*.parquet")):
        client.log_artifact(run_id, str(path), "tables")


def _batches(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (items[start : start + _BATCH] for start in range(0, len(items), _BATCH))


def _moment(run: Run) -> int:
    """When the run was made, in milliseconds; 0 where its record does not say."""
    try:
        made = datetime.fromisoformat(str(run.record["created"]))
        return int((made if made.tzinfo else made.replace(tzinfo=UTC)).timestamp() * 1000)
    except (KeyError, ValueError):
        return 0
