"""The other end of the pipe: one worker process a model, driven by lines of JSON on standard input.

Started as ``python -P -m audit.engine.process``. It ends as soon as its standard input does, so it
never outlives the audit that started it.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from audit.config import AuditConfig
from audit.errors import FaircamError
from audit.run.plan import Shard

__all__ = ["main"]


def main() -> None:
    """Load the model that the first line names, then run the shards that the next lines name."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # whatever a framework prints must not mix with the answers
    orders: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin, orders), daemon=True).start()
    try:
        _serve(orders, answers)
    except OSError as error:  # a full disk, say: the parent tells it in one line
        fix = "mend the cause, then use --resume; what was committed is kept"
        _answer(answers, error={"kind": "IncompleteRun", "what": str(error), "where": None, "fix": fix})
    except FaircamError as error:
        _answer(
            answers, error={"kind": type(error).__name__, "what": error.what, "where": error.where, "fix": error.fix}
        )


def _listen(stream: TextIO, orders: queue.SimpleQueue[str]) -> None:
    """Pass orders on; leave at once when whoever gives them is gone, so that a run has one writer."""
    for line in stream:
        orders.put(line)
    os._exit(0)


def _serve(orders: queue.SimpleQueue[str], answers: TextIO) -> None:
    from audit.data.manifest import load_dataset
    from audit.engine.cache import ShardCache
    from audit.engine.job import FileSource, Job, OutputMap
    from audit.engine.labels import audit_classes
    from audit.engine.measure import measure
    from audit.engine.members import member_source
    from audit.engine.worker import Worker
    from audit.models.loading import load_model

    first = json.loads(orders.get())
    base = Path(first["base"])
    config = AuditConfig.model_validate(first["config"])
    model = next(model for model in config.models if model.name == first["model"])
    dataset = load_dataset(config.data, base)
    classes = audit_classes(config, dataset)
    outputs = OutputMap.build(model, classes)
    adapter = load_model(model, base, outputs.own, config.execution, first["trust_code"])
    _answer(answers, ready=describe(adapter.spec))
    source = FileSource(dataset, model.preprocessing, config.data.max_pixels)
    job = Job.build(config, model.name, source, outputs, member_source(model, base))
    worker = None
    while True:
        order = json.loads(orders.get())
        if "measure" in order:
            _answer(answers, cost=measure(job, adapter))
        elif "run" in order:
            cache = ShardCache(Path(order["cache"][0]), order["cache"][1]) if order["cache"] else None
            worker = Worker(replace(job, run=Path(order["run"]), fingerprint=order["fingerprint"]), adapter, cache)
        elif worker is not None and "sample" in order:
            worker.use_sample(tuple(order["sample"]))
        elif worker is not None:
            _answer(answers, receipt=worker.run(Shard(**order["shard"])).to_json())


def describe(spec: Any) -> dict[str, Any]:
    """What the record of a run says of a loaded model."""
    return {
        "framework": spec.framework,
        "classes": list(spec.classes),
        "head": spec.head,
        "score": spec.score,
        "layer": spec.layer,
        "device": spec.device,
        "parameters": spec.parameters,
        "input_shape": list(spec.input_shape),
        "capabilities": sorted(spec.capabilities),
        "embedding_layer": spec.embedding_layer,
        "embedding_size": spec.embedding_size,
    }


def _answer(answers: TextIO, **content: Any) -> None:
    answers.write(json.dumps(content) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
