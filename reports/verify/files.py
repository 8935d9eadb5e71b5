"""Models and images that somebody has at hand, held against the digests in a run's record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from audit.errors import InputError
from audit.run import Run
from audit.run.files import sha256_file
from reports.verify.checks import Check

__all__ = ["check_data", "check_models"]

_DATASETS = {"huggingface": "a dataset of the package `datasets`", "torchvision": "a dataset of torchvision"}
"""Keys of the config's data that name images which are rows of a dataset, not files."""


def check_models(run: Run, files: Sequence[Path]) -> Check:
    """Whether each file is a model that was audited, by its SHA-256.

    Raises
    ------
    InputError
        A file cannot be read.
    """
    known = {str(model.get("sha256")): str(model["name"]) for model in run.record.get("models", [])}
    problems, said = [], []
    for path in files:
        if not path.is_file():
            raise InputError("is no file", where=str(path), fix="name the file of the model that was audited")
        digest = sha256_file(path)
        if digest in known:
            said.append(f"{path.name} is model '{known[digest]}'")
        else:
            names = ", ".join(f"'{name}' {sha[:12]}" for sha, name in known.items())
            problems.append(f"{path.name} (SHA-256 {digest[:12]}) is none of the models that were audited: {names}")
    return Check("models", "; ".join(said) or "no file is a model that was audited", tuple(problems))


def check_data(run: Run, root: Path) -> Check:
    """Whether the images below a folder are those that were audited; not to be told where they were no files.

    Raises
    ------
    InputError
        It is no folder.
    """
    if not root.is_dir():
        raise InputError("is no folder", where=str(root), fix="name the folder that the manifest's paths start from")
    source = _source(run)
    if source is not None:
        text = (
            f"whether these are the images: they came from {source}, so the recorded digests are not of files of a "
            "folder; an audit of the same dataset records the same digests in table `images`"
        )
        return Check("images", "not comparable", unseen=(text,))
    images = run.table("images") if run.has("images") else None
    if images is None or images["sha256"].isna().all():
        text = "whether these are the images: this level holds no digest of them"
        return Check("images", "not compared", unseen=(text,))
    known = images[images["sha256"].notna()]
    problems = tuple(_image_problems(known["path"].tolist(), known["sha256"].tolist(), root))
    return Check("images", f"{len(known):,} images compared by SHA-256", problems)


def _source(run: Run) -> str | None:
    """The dataset that the images came from, where it kept them in its own way; None where they are files."""
    data = (run.record.get("config") or {}).get("data") or {}
    return next((words for key, words in _DATASETS.items() if data.get(key)), None)


def _image_problems(paths: Sequence[str], digests: Sequence[str], root: Path) -> Iterator[str]:
    for name, digest in zip(paths, digests, strict=True):
        path = root / name
        if not path.is_file():
            yield f"image {name} is missing"
        elif sha256_file(path) != digest:
            yield f"image {name} was changed: its SHA-256 is not the recorded one"
