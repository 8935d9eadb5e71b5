"""Committed shards kept by their content, so that a later run of the same model on the same images takes them over.

A shard's key is a hash of all that its rows depend on: model file, versions, settings of its stage, and the bytes of
its images. A policy, a name or a section that does not touch the stage changes nothing.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from audit.data.stores import ImageProblem, image_bytes
from audit.engine.job import FileSource, Job
from audit.run.files import canonical_json, sha256_bytes
from audit.run.plan import Shard, Stage, shard_path
from audit.run.shards import Receipt, copy_shard, held_receipt

__all__ = ["ShardCache"]

_SECTIONS: dict[Stage, tuple[str, ...]] = {
    "predict": ("outputs", "looks"),
    "explain": ("outputs", "explanations", "regions", "looks"),
    "quality": ("outputs", "explanations", "regions", "quality", "sample"),
    "intervene": ("outputs", "regions", "interventions", "positive"),
    "embed": ("embeddings",),
    "corrupt": ("outputs", "robustness"),
}
"""Parts of a job that the rows of a stage depend on; a stage that is not named is never kept."""


class ShardCache:
    """A folder of shards by the hash of their content.

    Parameters
    ----------
    folder : Path
        Made when the first shard is kept. Whoever can write to it can change results: it is as trusted as a run.
    identity : str
        Digest of the model's file and configuration, of the versions that run it, and of how work is cut.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self.folder = folder
        self.identity = identity

    def key(self, job: Job, shard: Shard, positions: Sequence[int]) -> str | None:
        """Hash of all that the rows of a shard depend on; None where it is not kept, or a file cannot be read."""
        whole = shard.stage == "predict" and job.explanations.sample == "all"  # maps come with the predictions
        sections = _SECTIONS.get("explain" if whole else shard.stage)
        others = job.interventions is not None and job.interventions.swap and shard.stage == "intervene"
        if sections is None or others or not isinstance(job.source, FileSource):
            return None
        rows = job.source.rows.iloc[list(positions)]
        paths = [str(path) for path in rows["path"]]
        if "regions" in sections:
            paths += [str(path) for path in rows["region_path"].dropna()]
        files = [_digest(job.source, path) for path in paths]
        if None in files:
            return None
        content = {
            "identity": self.identity,
            "stage": [shard.stage, whole],
            "sections": {name: _plain(getattr(job, name)) for name in sections},
            "rows": rows[["image_id", "label", "path"]].astype(str).to_numpy().tolist(),
            "positions": list(positions),
            "files": files,
            "job": [job.micro_batch, job.seed, job.source.max_pixels],
        }
        return sha256_bytes(canonical_json(content))

    def take(self, key: str, run: Path, fresh: Receipt) -> Receipt | None:
        """Copy a kept shard into a run under a fresh receipt; None where there is none that can be read."""
        kept = held_receipt(self._path(key))
        if kept is None:
            return None
        taken = replace(fresh, statuses=kept.statuses, micro_batch=kept.micro_batch, least=kept.least)
        try:
            copy_shard(self._path(key), shard_path(run, fresh.model, fresh.shard), taken)
        except (OSError, pa.ArrowException):
            return None
        return taken

    def keep(self, key: str, run: Path, receipt: Receipt) -> None:
        """Copy a committed shard into the folder."""
        copy_shard(shard_path(run, receipt.model, receipt.shard), self._path(key), receipt)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.parquet"


def _plain(part: Any) -> Any:
    """A part of a job as JSON."""
    if hasattr(part, "model_dump"):
        return part.model_dump(mode="json")
    if hasattr(part, "code"):
        return [list(part.own), list(part.classes), list(part.code)]
    if isinstance(part, dict):
        return {str(key): value for key, value in part.items()}
    return list(part) if isinstance(part, tuple | array) else part


def _digest(source: FileSource, path: str) -> str | None:
    """SHA-256 of an image's bytes, None where there are none."""
    try:
        return sha256_bytes(image_bytes(source.dataset.place, path))
    except ImageProblem:
        return None
