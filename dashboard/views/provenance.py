"""Provenance and export: what was run on what, with which versions and hashes, and every file to take along."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from audit.run import Run
from audit.run.tables import table_path
from audit.trust import Trust
from dashboard import data, parts, review, state
from dashboard.files import check_plan, report_bytes, run_files, written_tables
from dashboard.places import Place
from dashboard.text import escape, file_name
from reports.format import clean, count, known, number, plain, scientific, status_words
from reports.methods import method_of

__all__ = ["page"]

_MODEL_KEYS = (
    "framework",
    "architecture",
    "arguments",
    "parameters",
    "input_shape",
    "classes",
    "outputs",
    "head",
    "score",
    "layer",
    "device",
    "sha256",
)

_REPORTS = {
    "html": ("HTML", "text/html"),
    "pdf": ("PDF", "application/pdf"),
    "md": ("Markdown", "text/markdown"),
    "json": ("JSON", "application/json"),
}
"""Label and type of each format of the report."""


def page(run: Run) -> None:
    """Show the page."""
    st.title("Provenance and export")
    _record(run)
    _models(run)
    _cross_checks(run)
    _files(run)
    _export(run)


def _record(run: Run) -> None:
    st.header("Run")
    record = run.record
    plan = check_plan(run)
    parts.facts(
        {
            "Name": run.name,
            "Run id": record.get("run_id", "not recorded"),
            "Folder": run.path,
            "Made": record.get("created", "not recorded"),
            "Complete": "yes" if run.complete else "NO: not every planned image is accounted for",
            "faircam": record.get("faircam", "not recorded"),
            "Format": record.get("schema_version", "not recorded"),
            "Plan fingerprint": plan.fingerprint,
            "Shards planned, each model": plan.shards or "not known",
            "Policy": (record.get("policy") or {}).get("name") or "none named",
            "Policy SHA-256": (record.get("policy") or {}).get("sha256") or "none",
            "Code from the config run": "yes" if (record.get("trust") or {}).get("trust_code") else "no",
            "Model files trusted to run code": ", ".join(
                f"sha256:{digest}" for digest in Trust.of(record.get("trust") or {}).models
            )
            or "none",
            "Seconds": number((record.get("timings") or {}).get("seconds")),
        }
    )
    (st.caption if plan.agrees else st.warning)(escape(plan.sentence))
    environment = record.get("environment") or {}
    left, right = st.columns(2)
    with left:
        st.subheader("Environment")
        parts.facts({plain(key).capitalize(): value for key, value in environment.items() if key != "versions"})
    with right:
        st.subheader("Versions")
        parts.facts(environment.get("versions") or {"versions": "not recorded"})
    with st.expander("Config, as given"):
        st.code(clean(json.dumps(record.get("config", {}), indent=2, ensure_ascii=False)), language="json")


def _models(run: Run) -> None:
    st.header("Models and preprocessing")
    models = run.record.get("models", [])
    if not models:
        st.info("The record names no model yet.")
        return
    keys = [key for key in _MODEL_KEYS if any(known(model.get(key)) for model in models)]
    rows = {_title(key): [_shown(model.get(key)) for model in models] for key in keys}
    steps = [model.get("preprocessing") or {} for model in models]
    for key in dict.fromkeys(key for step in steps for key in step):
        rows[f"Preprocessing: {plain(key)}"] = [_shown(step.get(key)) for step in steps]
    names = _unique([str(model.get("name")) for model in models])
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=names)
    frame = frame.rename_axis("property").reset_index()
    config = {"property": st.column_config.TextColumn("Property", width=180)}
    config |= {name: st.column_config.TextColumn(name, width=500) for name in names}
    parts.data_table(run, frame, "models", config=config)


def _cross_checks(run: Run) -> None:
    st.header("Cross-check against other implementations")
    checks = data.table(run, "crosschecks")
    if checks.empty:
        st.info("No explanation was compared with another implementation in this run.")
        return
    rows = []
    for (model, method, provider), part in checks.groupby(["model", "method", "provider"], sort=False):
        done = part[part["status"] == "ok"]
        notes = [str(note) for note in part["note"].dropna().unique() if note]
        rows.append(
            {
                "model": model,
                "method": method_of(run.record, str(method)).title,
                "compared with": provider,
                "images": len(done),
                "largest difference": scientific(done["max_difference"].max()) if len(done) else None,
                "lowest rank correlation": done["spearman"].min(),
                "status": "; ".join(status_words(status) for status in part["status"].unique()),
                "note": "; ".join(notes) or None,
            }
        )
    st.caption("Largest difference: relative to the map’s own largest absolute value. The download has every image.")
    config = {
        "lowest rank correlation": st.column_config.NumberColumn(format="%.6f"),
        "status": st.column_config.TextColumn(width=130),
        "note": st.column_config.TextColumn(width=420),
    }
    st.dataframe(pd.DataFrame(rows), hide_index=True, placeholder="–", height="content", column_config=config)
    parts.download_csv(run, lambda: checks, "crosschecks-by-image")


def _files(run: Run) -> None:
    st.header("Files")
    files = run_files(run)
    if files["sha256"].isna().all():
        st.caption("The run is too large to hash on a page; `faircam verify` does it.")
    total = int(files["bytes"].sum())
    st.caption(f"{len(files)} files, {count(total / 1024)} KiB. SHA-256 computed now, from what is on the disk.")
    config = {
        "file": st.column_config.TextColumn("File", width="medium"),
        "bytes": st.column_config.NumberColumn("Bytes", format="localized"),
        "sha256": st.column_config.TextColumn("SHA-256", width=500),
    }
    parts.data_table(run, files, "files", config=config)


def _export(run: Run) -> None:
    st.header("Export")
    st.caption("Every file carries what it is, the run, the model and the day. It is made when the button is pressed.")
    st.subheader("Report")
    name = file_name(run, _model_name(run), "report")
    with st.container(horizontal=True, key="reports"):
        for ending, (label, mime) in _REPORTS.items():
            _saved(label, partial(report_bytes, run, ending), f"{name}.{ending}", mime, f"report_{ending}")
    st.subheader("Tables")
    names = written_tables(run)
    if not names:
        st.info("No table was written yet.")
    else:
        table = state.choose("Table", "table", names, show=plain)
        name = file_name(run, _model_name(run), table)
        with st.container(horizontal=True, key="tables"):
            _saved("CSV", partial(_csv, run, table), f"{name}.csv", "text/csv", "table_csv")
            content = table_path(run.path, table).read_bytes
            _saved("Parquet", content, f"{name}.parquet", "application/vnd.apache.parquet", "table_parquet")
    st.subheader("Bundle")
    bundle = Place("compliance", {"compliance": "bundle"}, "Make a bundle at a disclosure level, and verify it")
    review.link(run, bundle, ":material/inventory_2:")


def _saved(label: str, content: Callable[[], bytes], name: str, mime: str, key: str) -> None:
    icon, saves = ":material/download:", escape(f"Saves {name}")
    st.download_button(label, content, name, mime, key=key, on_click="ignore", icon=icon, help=saves)


def _csv(run: Run, name: str) -> bytes:
    return parts.csv_bytes(run.table(name))


def _model_name(run: Run) -> str:
    return run.models[0] if len(run.models) == 1 else "all-models"


def _title(key: str) -> str:
    return "SHA-256" if key == "sha256" else plain(key).capitalize()


def _shown(value: Any) -> str | None:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return clean(value) if known(value) else None


def _unique(names: list[str]) -> list[str]:
    return [name if names.index(name) == place else f"{name} ({place})" for place, name in enumerate(names)]


if __name__ == "__main__":
    page(data.current())
