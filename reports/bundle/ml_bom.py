"""`mlbom.cdx.json`: a CycloneDX bill of materials of the audited models, with their measured performance by slice.

Built as a dictionary: cyclonedx-python-lib validates model cards, but has no class for them and drops them on reading.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

from audit.errors import InputError
from audit.run import Run
from audit.run.files import canonical_json, sha256_bytes
from audit.version import __version__
from reports.bundle.slices import Result, Selection, results_by_slice, slice_name
from reports.format import clean, known, status_words
from reports.nodes import Bullets
from reports.sections.closing import limits
from reports.sections.facts import Facts, records

__all__ = ["SPECS", "check_spec", "ml_bom"]

SPECS = ("1.6", "1.7")
"""Versions of CycloneDX that an ML-BOM can be written in."""

_DATA = "data:audited-images"
_SHA256 = re.compile("[0-9a-f]{64}")


def ml_bom(run: Run, *, spec: str = "1.6") -> dict[str, Any]:
    """Describe the models of a run as a CycloneDX ML-BOM.

    Parameters
    ----------
    run : Run
    spec : str
        Version of CycloneDX, one of `SPECS`.

    Returns
    -------
    dict
        JSON values; the same run gives the same values. Each model is a component with a ``modelCard``, whose
        ``performanceMetrics`` hold ``type`` (metric, and after a colon the class that it is about), ``value`` and
        ``confidenceInterval`` as strings that read back to the exact numbers, and ``slice`` (none for all images).
        What CycloneDX has no place for (n, independent units, method, why there is no value) stands in
        ``modelCard.properties``, named by claim.

    Raises
    ------
    InputError
        The version is another.
    """
    check_spec(spec)
    facts = Facts(run)
    selection = results_by_slice(run)
    content = {
        "$schema": f"http://cyclonedx.org/schema/bom-{spec}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": spec,
        "version": 1,
        "metadata": _metadata(facts, selection),
        "components": [
            *(_model(facts, model, selection) for model in run.record.get("models") or []),
            _data(facts),
            *_environment(facts),
        ],
        "dependencies": _dependencies(facts),
    }
    fingerprint = run.record.get("fingerprint") or "not recorded"
    name = f"{fingerprint}:{spec}:{sha256_bytes(canonical_json(content))}"
    return {"serialNumber": f"urn:uuid:{uuid5(NAMESPACE_URL, name)}", **content}


def check_spec(spec: str) -> str:
    """A version of CycloneDX that can be written, or an error that lists them."""
    if spec not in SPECS:
        raise InputError(f"CycloneDX version is '{spec}', allowed: {', '.join(SPECS)}", fix="use --mlbom 1.6 or 1.7")
    return spec


def _metadata(facts: Facts, selection: Selection) -> dict[str, Any]:
    record = facts.run.record
    said = [
        ("run_id", record.get("run_id")),
        ("fingerprint", record.get("fingerprint")),
        ("complete", facts.run.complete),
        ("seed", facts.config.get("seed")),
        ("policy_sha256", (record.get("policy") or {}).get("sha256")),
        ("disclosure_level", (record.get("disclosure") or {}).get("level")),
        ("results", selection.rule),
        ("results_left_out", selection.left_out),
    ]
    made = {"timestamp": str(record["created"])} if known(record.get("created")) else {}
    return {
        **made,
        "tools": {"components": [_package("faircam", __version__, "application")]},
        "component": {"type": "application", "bom-ref": "audit", "name": f"Audit: {clean(facts.run.name)}"},
        "properties": _properties(said),
    }


def _model(facts: Facts, model: Mapping[str, Any], selection: Selection) -> dict[str, Any]:
    name = str(model["name"])
    component: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": _model_ref(name),
        "name": name,
        "description": "Image classification model, as it was audited.",
    }
    digest = str(model.get("sha256") or "")
    if _SHA256.fullmatch(digest):
        component["hashes"] = [{"alg": "SHA-256", "content": digest}]
    own = [result for result in selection.shown if result.model == name]
    silent = [result for result in selection.silent if result.model == name]
    parameters: dict[str, Any] = {
        "task": "image classification",
        "datasets": [{"ref": _DATA}],
        "inputs": [{"format": _shape(model)}],
        "outputs": [{"format": f"one score for each class: {', '.join(map(clean, model.get('classes') or []))}"}],
    }
    if known(model.get("architecture")):
        parameters["modelArchitecture"] = clean(model["architecture"])
    component["modelCard"] = {
        "modelParameters": parameters,
        "quantitativeAnalysis": {"performanceMetrics": [_metric(result) for result in own]},
        "considerations": _considerations(facts, name),
        "properties": [*_model_facts(model), *_numbers(own), *_reasons(silent)],
    }
    return component


def _model_ref(name: str) -> str:
    return f"model:{name}"


def _shape(model: Mapping[str, Any]) -> str:
    shape = model.get("input_shape")
    size = f" of shape {' x '.join(map(str, shape))}" if isinstance(shape, list) else ""
    return f"image{size}"


def _metric(result: Result) -> dict[str, Any]:
    about = "" if result.class_name is None else f": {result.class_name}"
    metric: dict[str, Any] = {"type": f"{result.metric}{about}", "value": repr(result.value)}
    if result.slice != "overall":
        metric["slice"] = result.slice
    if result.low is not None and result.high is not None:
        metric["confidenceInterval"] = {"lowerBound": repr(result.low), "upperBound": repr(result.high)}
    return metric


def _model_facts(model: Mapping[str, Any]) -> list[dict[str, str]]:
    keys = ("framework", "head", "parameters", "preprocessing")
    said = [(key, model.get(key)) for key in keys]
    return _properties([*said, ("interval_level", 0.95), ("intended_use", "only a person can say: statements.yaml")])


def _numbers(results: Iterable[Result]) -> list[dict[str, str]]:
    """How many images and units each value rests on, and how its interval was computed."""
    said: list[tuple[str, Any]] = []
    for result in results:
        said += [
            (f"n:{result.claim}", result.n),
            (f"clusters:{result.claim}", result.clusters),
            (f"interval_method:{result.claim}", result.method),
        ]
    return _properties(said)


def _reasons(results: Iterable[Result]) -> list[dict[str, str]]:
    return _properties((f"no_value:{result.claim}", status_words(result.status)) for result in results)


def _properties(said: Iterable[tuple[str, Any]]) -> list[dict[str, str]]:
    """Name and value of what is known, as strings."""
    return [{"name": f"faircam:{name}", "value": _text(value)} for name, value in said if known(value)]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _considerations(facts: Facts, model: str) -> dict[str, Any]:
    """Limits of the measurement, and the failed findings about groups as assessments."""
    findings = facts.run.table("findings")
    failed = records(findings[(findings["model"] == model) & (findings["verdict"] == "fail")])
    groups = {*facts.names, *facts.crossings}
    about_groups = [row for row in failed if str(row["attribute"]) in groups and known(row["text"])]
    others = [row for row in failed if str(row["attribute"]) not in groups and known(row["text"])]
    limited = [item for block in limits(facts).blocks if isinstance(block, Bullets) for item in block.items]
    found: dict[str, Any] = {"technicalLimitations": limited}
    if others:
        found["ethicalConsiderations"] = [{"name": clean(row["text"])} for row in others]
    if about_groups:
        found["fairnessAssessments"] = [
            {"groupAtRisk": slice_name(str(row["attribute"]), str(row["group"])), "harms": clean(row["text"])}
            for row in about_groups
        ]
    return found


def _data(facts: Facts) -> dict[str, Any]:
    """The audited images: how many, which groups and how their labels were obtained; no names of files."""
    said = [
        ("planned", facts.data.get("planned")),
        ("counts", facts.data.get("counts")),
        ("classes", facts.classes),
        ("positive", facts.positive),
        ("cluster", facts.data.get("cluster")),
        ("regions", facts.regions),
        *((f"group_labels:{item['name']}", item.get("provenance") or "not stated") for item in facts.attributes),
    ]
    name = f"Images of the audit '{clean(facts.run.name)}'"
    return {
        "type": "data",
        "bom-ref": _DATA,
        "name": name,
        "data": [{"type": "dataset", "name": name, "contents": {"properties": _properties(said)}}],
    }


def _environment(facts: Facts) -> list[dict[str, Any]]:
    """Software that computed the run."""
    versions = (facts.run.record.get("environment") or {}).get("versions")
    if not isinstance(versions, Mapping):
        return []
    return [
        _package(str(name), str(version), "library") for name, version in sorted(versions.items()) if known(version)
    ]


def _package(name: str, version: str, kind: str) -> dict[str, Any]:
    """One package; those of Python with the package URL that scanners look for."""
    pypi = f"pkg:pypi/{quote(re.sub('[-_.]+', '-', name).lower(), safe='')}@{quote(version, safe='.')}"
    url = f"pkg:generic/python@{quote(version, safe='.')}" if name == "python" else pypi
    kind = "platform" if name == "python" else kind
    role = "tool" if kind == "application" else "environment"
    return {"type": kind, "bom-ref": f"{role}:{name}", "name": name, "version": version, "purl": url}


def _dependencies(facts: Facts) -> list[dict[str, Any]]:
    models = [_model_ref(str(model["name"])) for model in facts.run.record.get("models") or []]
    used = [str(component["bom-ref"]) for component in _environment(facts)]
    return [{"ref": "audit", "dependsOn": [*models, _DATA, *used]}]
