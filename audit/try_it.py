"""One image that somebody gives, predicted and explained by a model of a finished run, in a process of its own.

Started as ``python -P -m audit.try_it``. The first line of standard input is a JSON object, the fields of `Request`.
Lines of JSON come back: ``step``, ``done`` and ``of`` while it works, last ``result`` or ``error``. It ends as soon as
standard input does, so it never outlives who asked; the run is only read.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pandas as pd

from audit.config import AuditConfig, ModelConfig, parse_config
from audit.data.images import Decoded, thumbnail
from audit.data.manifest import Dataset
from audit.engine.batches import outcomes, sized, stack
from audit.engine.explaining import Explaining
from audit.engine.job import FileSource, Job, OutputMap
from audit.errors import DataError, FaircamError, ModelError, RunError
from audit.explanations.maps import Maps
from audit.models.adapter import ModelAdapter, probabilities
from audit.models.files import model_digest
from audit.models.loading import load_model
from audit.run import open_run
from audit.trust import Trust

__all__ = ["Request", "main", "try_image"]

_NICE = 5
_GLANCE = 0.1
_MOST_CLASSES = 5

Told = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """What is asked.

    Attributes
    ----------
    run : Path
        Folder of the run.
    model : str
        Name of one of its models.
    methods : tuple of str
        Some of its methods, with the settings that they had in the audit.
    image : Path
        The image, alone in its folder: ``picture.png`` and ``map-NUMBER.npy``, by place in `methods`, go beside it.
    places : tuple of Path
        Folders that the paths of the run's configuration may start from, in the order in which they are tried.
    trust : Trust
        What may run that comes with the model.
    most_bytes : int
        Larger files are refused.
    """

    run: Path
    model: str
    methods: tuple[str, ...]
    image: Path
    places: tuple[Path, ...]
    trust: Trust
    most_bytes: int

    @staticmethod
    def of(asked: Mapping[str, Any]) -> Request:
        """From JSON."""
        return Request(
            run=Path(asked["run"]),
            model=str(asked["model"]),
            methods=tuple(asked["methods"]),
            image=Path(asked["image"]),
            places=tuple(map(Path, asked["places"])),
            trust=Trust.of(asked),
            most_bytes=int(asked["most_bytes"]),
        )


def try_image(request: Request, told: Told) -> dict[str, Any]:
    """Predict and explain one image as the audit did.

    Parameters
    ----------
    request : Request
    told : callable
        Told each step before it is taken; `len(request.methods)` + 4 of them.

    Returns
    -------
    dict
        ``predicted``, ``confidence``, ``probabilities`` (by class of the audit), ``own`` (the most probable of the
        model's own classes where they are others, else None), ``sha256`` of the file, ``target_class``, ``score``,
        ``score_kind``, ``maps``: by method ``status``, ``reason``, ``layer`` and ``file``, None without a map.

    Raises
    ------
    FaircamError
        The model is not the one that was audited or cannot be loaded, or the image cannot be used.
    """
    told("checking that the model is the one that was audited")
    record = open_run(request.run).record
    config, model = _configured(record, request)
    digest = _digest(record, request.model)
    place = _place(model, digest, request.places)
    outputs = OutputMap.build(model, tuple(record["data"]["classes"]))
    told("reading the image")
    source = _source(request, model, config.data.max_pixels)
    item = _usable(source.read(0))
    told("loading the model")
    adapter = load_model(model, place, outputs.own, config.execution, request.trust, digest)
    item = _usable(sized(item, adapter.spec.input_shape))
    told("predicting")
    job = replace(Job.build(config, model.name, source, outputs), regions={})
    return {"sha256": item.sha256, **_worked_out(Explaining(job, adapter), item, request.image.parent, told)}


def _configured(record: Mapping[str, Any], request: Request) -> tuple[AuditConfig, ModelConfig]:
    """The run's configuration with the asked methods alone, and the section of the asked model."""
    whole = parse_config(AuditConfig, record.get("config"), where="the run's configuration")
    model = next((each for each in whole.models if each.name == request.model), None)
    if model is None:
        raise RunError(f"the run has no model '{request.model}'", where=str(request.run))
    named = dict(zip(whole.explanations.names, whole.explanations.methods, strict=True))
    unknown = [name for name in request.methods if name not in named]
    if unknown:
        raise RunError(f"the run has no method '{unknown[0]}', allowed: {', '.join(named)}", where=str(request.run))
    methods = tuple(named[name] for name in request.methods)
    explanations = whole.explanations.model_copy(update={"methods": methods, "target": "predicted"})
    return whole.model_copy(update={"explanations": explanations}), model


def _digest(record: Mapping[str, Any], name: str) -> str:
    found = next((each.get("sha256") for each in record.get("models", ()) if each.get("name") == name), None)
    if not found:
        raise ModelError(
            "the run holds no digest of this model, so nobody can say which one was audited",
            where=name,
            fix="audit a model that is read from a file",
        )
    return str(found)


def _place(model: ModelConfig, wanted: str, places: tuple[Path, ...]) -> Path:
    """The folder below which the very model lies that was audited."""
    changed: Path | None = None
    for place in places:
        try:
            found = model_digest(model, place)
        except ModelError:
            continue
        if found == wanted:
            return place
        changed = changed or place
    name = model.path or model.weights or model.function
    if changed is None:
        looked = ", ".join(map(str, places))
        fix = f"start the dashboard in the folder of the audit's config; looked in {looked}"
        raise ModelError(f"there is no '{name}'", where=model.name, fix=fix)
    raise ModelError(
        f"'{name}' has changed since the audit: what the run says is not about this file",
        where=f"{model.name} in {changed}",
        fix="put the audited file back, or audit the new one",
    )


def _source(request: Request, model: ModelConfig, max_pixels: int) -> FileSource:
    """The one image, read as the audit reads its own."""
    size = request.image.stat().st_size
    if size > request.most_bytes:
        raise DataError(f"the image file has {size} bytes, the limit is {request.most_bytes}", fix="make it smaller")
    rows = pd.DataFrame({"image_id": ["image"], "path": [request.image.name]})
    return FileSource(Dataset(rows, (), request.image.parent, (), ""), model.preprocessing, max_pixels)


def _usable(item: Decoded) -> Decoded:
    if item.array is None:
        raise DataError(f"the image cannot be used, {item.status.replace('_', ' ')}: {item.detail}")
    return item


def _worked_out(explaining: Explaining, item: Decoded, folder: Path, told: Told) -> dict[str, Any]:
    """Prediction and maps of the image; pictures are written into the folder."""
    adapter, outputs = explaining.adapter, explaining.job.outputs
    batch = explaining.batch(stack([item], adapter.spec.input_shape), "predicted")
    outcome = outcomes(adapter.spec, outputs, batch.scores)[0]
    if outcome["status"] != "ok":
        raise ModelError(str(outcome["detail"]), where=explaining.job.model)
    target = int(batch.targets[0])
    if item.picture is not None:
        preprocessing = getattr(explaining.job.source, "preprocessing")  # noqa: B009 - of this very source
        thumbnail(item.picture, preprocessing, 320).save(folder / "picture.png")
    maps = {}
    for number, (name, method) in enumerate(explaining.methods.items()):
        told(method.title)
        layer = adapter.spec.layer if method.needs_layer else None
        maps[name] = {"layer": layer, **_kept(explaining.maps(batch, [name])[name], folder / f"map-{number}.npy")}
    return {
        "predicted": outcome["predicted"],
        "confidence": outcome["confidence"],
        "probabilities": dict(zip(outputs.classes, outcome["probabilities"], strict=True)),
        "own": None if set(outputs.own) == set(outputs.classes) else _most_probable(adapter, batch.scores),
        "target_class": adapter.spec.classes[target],
        "score": float(batch.shared.explained[0] if batch.shared else batch.scores[0, target]),
        "score_kind": adapter.spec.score,
        "maps": maps,
    }


def _most_probable(adapter: ModelAdapter, scores: np.ndarray) -> dict[str, float]:
    found = probabilities(adapter.spec, scores)[0]
    order = np.argsort(-found, kind="stable")[:_MOST_CLASSES]
    return {adapter.spec.classes[k]: float(found[k]) for k in order}


def _kept(found: Maps | str, path: Path) -> dict[str, Any]:
    if isinstance(found, str):
        return {"status": "not_measured", "reason": found, "file": None}
    status = found.status_of(0)
    if status == "nonfinite":
        return {"status": status, "reason": "", "file": None}
    np.save(path, found.raw[0].astype(np.float32), allow_pickle=False)
    return {"status": status, "reason": "", "file": path.name}


class _Answers:
    """The stream that who asked reads."""

    def __init__(self, stream: TextIO, steps: int) -> None:
        self._stream = stream
        self._steps = steps
        self._begun = 0

    def say(self, **content: Any) -> None:
        self._stream.write(json.dumps(content) + "\n")
        self._stream.flush()

    def told(self, step: str) -> None:
        self.say(step=step, done=self._begun, of=self._steps)
        self._begun += 1


def main() -> None:
    """Do what the first line of standard input asks for."""
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a framework prints must not mix with the answers
    os.nice(_NICE)
    asked = json.loads(sys.stdin.readline())
    answers = _Answers(stream, len(asked["methods"]) + 4)
    signal.setitimer(signal.ITIMER_REAL, float(asked["seconds"]))  # not caught: the system ends what takes longer
    threading.Thread(target=_leave_with, args=(sys.stdin,), daemon=True).start()
    threading.Thread(target=_stay_below, args=(int(asked["memory"]), answers), daemon=True).start()
    try:
        answers.say(result=try_image(Request.of(asked), answers.told))
    except FaircamError as error:
        answers.say(error=str(error))
    except MemoryError:
        answers.say(error="the memory of this machine does not suffice")


def _leave_with(stream: TextIO) -> None:
    """End at once when whoever asked is gone."""
    stream.read()
    os._exit(0)


def _stay_below(most: int, answers: _Answers) -> None:
    """End when more than `most` bytes are held."""
    while (held := _resident()) <= most:
        time.sleep(_GLANCE)
    gib = 2**30
    answers.say(error=f"it takes more than {held / gib:.1f} GiB of memory, and the limit is {most / gib:.1f} GiB")
    os._exit(1)


def _resident() -> int:
    """Bytes of memory that this process holds; where the system does not say, the most that it held."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    main()
