"""What keeps a model from being tried here, in a sentence, and which methods go with it. No framework is imported."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from audit.run import Run
from audit.trust import Trust
from dashboard import data
from dashboard.trying.switch import TryIt

__all__ = ["methods_for", "obstacle", "places"]

_PACKAGES = {"torch": ("torch",), "keras": ("tensorflow", "keras"), "onnx": ("onnxruntime",)}
_EXTRAS = {"torch": "torch", "keras": "tensorflow", "onnx": "onnx"}
_ABOVE = 3
_NOT_HERE = (
    "The run does not say where this model's file lies, because it was made for others to read. Open the run that "
    "the bundle was made from."
)


def places(run: Run, asked: TryIt) -> list[Path]:
    """Folders that the configuration's paths may start from: where the dashboard was started, and above the run.

    A run does not record its folder. Whatever is found is held against the digest of the audited model.
    """
    return list(dict.fromkeys([asked.base, *run.path.resolve().parents[:_ABOVE]]))


def obstacle(run: Run, model: str, asked: TryIt) -> str | None:
    """Why a model cannot be tried and what to do about it; None where nothing is in the way."""
    entry = _entry(run, model)
    framework = str(run.model(model).get("framework"))
    missing = [name for name in _PACKAGES.get(framework, ()) if find_spec(name) is None]
    if missing:
        names = " and ".join(missing)
        return f"This model needs {names}, not installed here. Install: pip install 'faircam[{_EXTRAS[framework]}]'"
    if framework == "memory" or (entry.get("framework") == "memory"):
        return "This model was handed over in a notebook; the run knows no file of it that could be loaded."
    if run.record.get("disclosure") or not any(entry.get(key) for key in ("path", "weights", "function")):
        return _NOT_HERE
    code = _own_code(entry)
    if code is not None and not asked.trust.code:
        return f"This model runs code of its own, {code}. Read it, then start the dashboard with --trust-code as well."
    digest = str(run.model(model).get("sha256"))
    if digest in Trust.of(run.record.get("trust") or {}).models and digest not in asked.trust.models:
        return (
            "This model's file can run code, and the audit trusted it. If you trust it too, start the dashboard with "
            f"--trust-model sha256:{digest} as well."
        )
    return _absent(entry, places(run, asked))


def methods_for(run: Run, model: str) -> list[str]:
    """Methods of the run that gave maps of this model there; all of the run's where it explained no image."""
    entries = ((run.record.get("config") or {}).get("explanations") or {}).get("methods") or []
    asked = [str(entry["name"] if isinstance(entry, dict) else entry) for entry in entries]
    found = data.distinct(run, "explanations", ("method", "status"), (("model", "=", model),))
    made = set(found.loc[found["status"] != "not_measured", "method"])
    return [name for name in asked if found.empty or name in made]


def _entry(run: Run, model: str) -> dict[str, Any]:
    """The model's section of the run's configuration; empty where the record has none."""
    models = (run.record.get("config") or {}).get("models") or []
    return next((dict(each) for each in models if each.get("name") == model), {})


def _own_code(entry: dict[str, Any]) -> str | None:
    code = str(entry.get("function") or entry.get("architecture") or "")
    return code if ":" in code and not code.startswith("torchvision:") else None


def _absent(entry: dict[str, Any], looked: list[Path]) -> str | None:
    name = entry.get("path") or entry.get("weights")
    if name is None or any((place / str(name)).is_file() for place in looked):
        return None
    return (
        f"There is no file {name}. Start the dashboard in the folder of the audit's config, where such paths begin. "
        f"Looked in {', '.join(map(str, looked))}."
    )
