"""A worker's place: one model loaded beside its data, taking orders. The same in a child process and in a Ray actor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from audit.config import AuditConfig
from audit.data.manifest import load_dataset
from audit.engine.cache import ShardCache
from audit.engine.guard import Guard, Suspect
from audit.engine.job import FileSource, Job, OutputMap
from audit.engine.labels import audit_classes
from audit.engine.measure import measure
from audit.engine.members import member_source
from audit.engine.sampling import from_runs
from audit.engine.worker import Worker
from audit.models.loading import load_model
from audit.run.plan import Shard
from audit.trust import Trust

__all__ = ["Station", "describe"]


class Station:
    """One model of an audit, its images, and the worker over both.

    Parameters
    ----------
    order : mapping
        ``base`` (folder of the configuration), ``config``, ``model`` (its name), ``sha256`` (of its file) and what
        `audit.trust.Trust` says.

    Raises
    ------
    FaircamError
        The data or the model cannot be used.
    """

    def __init__(self, order: Mapping[str, Any]) -> None:
        base = Path(order["base"])
        config = AuditConfig.model_validate(order["config"])
        model = next(model for model in config.models if model.name == order["model"])
        dataset = load_dataset(config.data, base)
        outputs = OutputMap.build(model, audit_classes(config, dataset))
        self.guard = Guard()
        adapter = load_model(model, base, outputs.own, config.execution, Trust.of(order), order["sha256"])
        source = FileSource(dataset, model.preprocessing, config.data.max_pixels, self.guard)
        job = Job.build(config, model.name, source, outputs, member_source(model, base, self.guard))
        self.worker = Worker(job, adapter)

    @property
    def description(self) -> dict[str, Any]:
        """What the record of a run says of the model."""
        return describe(self.worker.adapter.spec)

    def obey(self, order: Mapping[str, Any]) -> dict[str, Any] | None:
        """Carry out one order; what it asks for, or None where it only tells something."""
        match order:
            case {"measure": _}:
                return {"cost": measure(self.worker.job, self.worker.adapter)}
            case {"run": run, "fingerprint": fingerprint, "cache": cache, "trace": trace}:
                self.guard.trace_to(Path(trace))
                self.worker.cache = ShardCache(Path(cache[0]), cache[1]) if cache else None
                self.worker.job = replace(self.worker.job, run=Path(run), fingerprint=fingerprint)
            case {"sample": said}:
                self.worker.use_sample(from_runs(said))
            case {"ahead": ahead, "refuse": refused}:
                self.worker.job = replace(self.worker.job, ahead=ahead)
                self._refuse(refused)
            case {"shard": shard}:
                return {"receipt": self.worker.run(Shard(**shard)).to_json()}
        return None

    def _refuse(self, refused: Iterable[tuple[str, int, str]]) -> None:
        self.guard.refused.clear()
        self.guard.refused.update({Suspect(kind, position): why for kind, position, why in refused})  # type: ignore[arg-type]


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
