"""One model recorded in a process of its own, so that two frameworks never share one.

Started as ``python -P -m audit.explanations.parity.process`` with one line of JSON on standard input; answers with one
line on standard output.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from audit.config import ExecutionConfig, ModelConfig
from audit.errors import FaircamError, InputError
from audit.explanations.parity.recording import Recorded, record
from audit.models.adapter import ModelAdapter
from audit.models.limits import bounded_time
from audit.models.loading import load_model, wrap_model
from audit.models.numpy_adapter import NumpyAdapter
from audit.trust import Trust

__all__ = ["doubled", "main"]

_NATIVE = {"torch": "module", "keras": "model"}  # where an adapter keeps the framework's own model


def main() -> None:
    """Record the model that the request names, into the file that it names."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a framework prints must not mix with the answer
    request = json.loads(sys.stdin.readline())
    answer: dict[str, Any] = {"done": True}
    try:
        _run(request).save(Path(request["out"]))
    except OSError as error:
        answer = {"error": {"kind": "IncompleteRun", "what": str(error), "where": None, "fix": "mend the cause"}}
    except FaircamError as error:
        told = {"kind": type(error).__name__, "what": error.what, "where": error.where, "fix": error.fix}
        answer = {"error": told}
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


def _run(request: dict[str, Any]) -> Recorded:
    config = ModelConfig.model_validate(request["model"])
    execution = ExecutionConfig.model_validate(request["execution"])
    base, trust = Path(request["base"]), Trust.of(request)
    images = np.load(request["images"], allow_pickle=False).astype(request["dtype"])
    targets = Recorded.load(Path(request["targets_of"])).targets if request["targets_of"] else None
    if request["backend"] == "torch" and targets is not None:
        from audit.explanations.parity.torch_backend import record_on_torch

        return record_on_torch(config, base, images, targets, trust=trust, seconds=request["seconds"])
    with bounded_time(request["seconds"]):
        adapter = load_model(config, base, tuple(request["classes"]), execution, trust)
        if request["dtype"] == "float64":
            adapter = doubled(adapter, config)
    return record(adapter, images, "predicted" if targets is None else targets, config.name)


def doubled(adapter: ModelAdapter, config: ModelConfig) -> ModelAdapter:
    """The same model in double precision.

    Raises
    ------
    InputError
        It is a black box, whose precision is its own.
    """
    spec = adapter.spec
    if isinstance(adapter, NumpyAdapter):
        held = adapter.weights()
        arrays = {"W1": held["features"]["kernel"][0, 0], "b1": held["features"]["bias"]}
        arrays |= {"W2": held["dense"]["kernel"], "b2": held["dense"]["bias"]}
        return NumpyAdapter(arrays, spec.input_shape, spec.classes, head=spec.head, dtype="float64")
    native = getattr(adapter, _NATIVE.get(spec.framework, ""), None)
    if native is None:
        raise InputError(
            f"a model of framework '{config.framework}' has one precision, float64 is not to be had",
            where=config.name,
            fix="leave out --dtype",
        )
    return wrap_model(
        native,
        spec.classes,
        input_shape=spec.input_shape,
        head=config.head,
        score=config.score,
        layer=config.layer,
        dtype="float64",
        micro_batch=adapter.micro_batch,
    )


if __name__ == "__main__":
    main()
