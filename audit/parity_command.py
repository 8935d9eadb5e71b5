"""`faircam parity`: two models of a configuration, or one Keras file on two backends, recorded and compared."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np

from audit import errors
from audit.config import AuditConfig, ModelConfig
from audit.data.manifest import Dataset, load_dataset
from audit.engine.job import FileSource, OutputMap
from audit.engine.labels import audit_classes
from audit.errors import ConfigError, DataError, FaircamError, IncompleteRun, InputError, nearest
from audit.explanations.parity import STAGES, ParityReport, Recorded, Stage, compare
from audit.models.limits import LOADING_SECONDS, never_loaded
from audit.trust import NOTHING, Trust

__all__ = ["EXIT_CODES", "ParityRequest", "run_parity"]

Dtype = Literal["float32", "float64"]

EXIT_CODES = {"agree": 0, "differ": 1, "not_compared": 3}
"""Of the command, by the status of the report."""

_DTYPES = get_args(Dtype)


@dataclass(frozen=True)
class ParityRequest:
    """What is to be compared, and how.

    Attributes
    ----------
    first : str
        Name of a model in the configuration.
    second : str or None
        Name of the other; None for the first once more, on the PyTorch backend of Keras.
    images : int
        How many of the data's images to compare on, spread evenly over them.
    dtype : str
        ``float32``, or ``float64`` to prove that two forms are one network.
    start : str
        Stage from which differences count; see `audit.explanations.parity.compare`.
    trust : Trust
        What may run that comes with the config or a model.
    """

    first: str
    second: str | None
    images: int = 16
    dtype: Dtype = "float32"
    start: Stage = "images"
    trust: Trust = NOTHING

    @staticmethod
    def of(
        names: tuple[str | None, str | None, str | None], *, images: int, dtype: str, start: str, trust: Trust
    ) -> ParityRequest:
        """A request from the words of a command line: the two models, or the one to run on both backends.

        Raises
        ------
        InputError
            Neither or both are given, or a value is none of those allowed.
        """
        first, second, alone = names
        if (alone is None) == (first is None) or (first is None) != (second is None):
            raise InputError("two models or one are needed", fix="give --first A --second B, or --backend-check MODEL")
        if first is not None and first == second:
            raise InputError(f"--first and --second are both '{first}'", fix="name two models of the config")
        if images < 1:
            raise InputError(f"--images is {images}, allowed: a whole number from 1")
        for option, value, allowed in (("--dtype", dtype, _DTYPES), ("--start", start, STAGES)):
            if value not in allowed:
                raise InputError(f"{option} is '{value}', allowed: {', '.join(allowed)}.{nearest(value, allowed)}")
        return ParityRequest(first or str(alone), second, images, cast("Dtype", dtype), cast("Stage", start), trust)


def run_parity(config: AuditConfig, base: Path, request: ParityRequest) -> ParityReport:
    """Record two models, each in a process of its own, and compare the recordings.

    Parameters
    ----------
    config : AuditConfig
        Names models and data.
    base : Path
        Folder that its paths are relative to.
    request : ParityRequest

    Returns
    -------
    ParityReport

    Raises
    ------
    InputError
        A model is unknown, cannot be loaded or takes other classes than the other one; there are no images.
    IncompleteRun
        A process ended before it had answered.
    """
    first = _model(config, request.first)
    second = first if request.second is None else _model(config, request.second)
    if request.second is None and first.framework != "keras":
        raise ConfigError(
            f"model '{first.name}' is of framework '{first.framework}', the backends of Keras need a Keras model",
            fix="name a model of framework keras",
        )
    dataset = load_dataset(config.data, base)
    classes = audit_classes(config, dataset)
    own = [OutputMap.build(model, classes).own for model in (first, second)]
    if len(own[0]) != len(own[1]):
        raise ConfigError(
            f"'{first.name}' has {len(own[0])} classes, '{second.name}' {len(own[1])}: they cannot be one network"
        )
    arrays = _images(config, dataset, (first, second), request.images)
    with tempfile.TemporaryDirectory(prefix="faircam-parity-") as folder:
        places = [Path(folder) / f"{side}.npz" for side in ("first", "second")]
        for side, model in enumerate((first, second)):
            given = Path(folder) / f"images{side}.npy"
            np.save(given, arrays[side])
            _record(
                model.name,
                {
                    "model": model.model_dump(mode="json"),
                    "base": str(base.resolve()),
                    "classes": own[side],
                    "execution": config.execution.model_dump(mode="json"),
                    "images": str(given),
                    "targets_of": str(places[0]) if side else None,
                    "out": str(places[side]),
                    "dtype": request.dtype,
                    "seconds": LOADING_SECONDS,
                    "backend": "torch" if side and request.second is None else "own",
                    **request.trust.as_json(),
                },
            )
        return compare(Recorded.load(places[0]), Recorded.load(places[1]), start=request.start)


def _model(config: AuditConfig, name: str) -> ModelConfig:
    names = [model.name for model in config.models]
    if name not in names:
        raise InputError(f"there is no model '{name}', allowed: {', '.join(names)}.{nearest(name, names)}")
    return config.models[names.index(name)]


def _images(
    config: AuditConfig, dataset: Dataset, models: tuple[ModelConfig, ModelConfig], count: int
) -> list[np.ndarray]:
    """Images of each model, as its preprocessing makes them from the same bytes under the same noise."""
    sources = [FileSource(dataset, model.preprocessing, config.data.max_pixels) for model in models]
    found: list[list[np.ndarray]] = []
    for position in _spread(len(dataset), count):
        read = [_noisy(source, position) for source in sources]
        if all(array is not None for array in read):
            found.append([array for array in read if array is not None])
        if len(found) == count:
            break
    if not found:
        raise DataError("no image can be read", fix="see which and why: faircam run --dry-run")
    return [np.stack([arrays[side] for arrays in found]) for side in (0, 1)]


def _spread(n: int, count: int) -> Sequence[int]:
    """All rows, those first that are spread evenly, so that unreadable ones are replaced."""
    even = np.unique(np.linspace(0, n - 1, min(n, count)).round().astype(int)).tolist()
    return [*even, *(row for row in range(n) if row not in set(even))]


def _noisy(source: FileSource, position: int) -> np.ndarray | None:
    """An image under noise of up to half a grey level: flat regions tie in pooling, where frameworks differ."""
    pixels = source.pixels(position)
    if not isinstance(pixels, np.ndarray):
        return None
    noise = np.random.default_rng(position).uniform(-0.5, 0.5, pixels.shape)
    return source.array(pixels + noise)


def _record(name: str, request: dict[str, Any]) -> None:
    """Have a child process record a model; its errors are raised here."""
    environment = {"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ, "KERAS_BACKEND": "tensorflow"}
    if request["backend"] == "torch":
        environment["KERAS_BACKEND"] = "torch"
        device = str(request["execution"]["device"])
        if device != "auto":
            environment["KERAS_TORCH_DEVICE"] = device
    done = subprocess.run(
        [sys.executable, "-P", "-m", "audit.explanations.parity.process"],
        input=json.dumps(request) + "\n",
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        env=environment,
        check=False,
    )
    answer = json.loads(done.stdout) if done.stdout.strip() else {}
    if "error" in answer:
        told = answer["error"]
        kind: type[FaircamError] = getattr(errors, told["kind"], FaircamError)
        raise kind(told["what"], where=told["where"], fix=told["fix"])
    if done.returncode == -signal.SIGALRM:
        raise never_loaded(name, request["seconds"])
    if "done" not in answer:
        tail = "\n  ".join(done.stderr.strip().splitlines()[-12:])
        raise IncompleteRun(f"the process of model '{name}' ended with code {done.returncode}:\n  {tail}")
