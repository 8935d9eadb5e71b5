"""Comparing two models, or two runs, image by image: which are set against each other, the document, the files.

Reads run folders only. The statistics are in `audit.fairness.paired`, the sections in `reports.sections.paired`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from audit.errors import InputError, nearest
from audit.fairness.paired import PAIRED_COLUMNS, paired_table
from audit.fairness.pairing import common_images
from audit.run import Run
from audit.run.files import write_text
from reports.fitting import fitted
from reports.format import clean
from reports.language import language, say, speaking
from reports.nodes import Document
from reports.sections.facts import Facts
from reports.sections.paired import Arm, PairedFacts, changes
from reports.sections.paired_details import compared, details, limits, methods, sources
from reports.sections.release import release_section, verdict_changes
from reports.spreadsheet import csv_text

__all__ = [
    "COMPARISON_FORMATS",
    "build_comparison",
    "check_format",
    "choose_arms",
    "compare_runs",
    "write_comparison",
]

ALPHA = 0.05
DRAWS = 9999


def choose_arms(runs: Sequence[Run], models: tuple[str, str] | None = None) -> list[tuple[Arm, Arm]]:
    """Decide what is compared with what: a first arm with every other one.

    Parameters
    ----------
    runs : sequence of Run
        One or more.
    models : (str, str), optional
        Names of two models: the first is looked up from the first run on, the second from the last run back.
        By default the first model of the first run is compared with every other model of every run.

    Returns
    -------
    list of (Arm, Arm)

    Raises
    ------
    InputError
        A name is no model, or there is only one model.
    """
    arms = [(run, model) for run in runs for model in run.models]
    names = [model for _, model in arms]
    if models is None:
        chosen = arms
    else:
        for name in models:
            if name not in names:
                raise InputError(f"model '{name}' is in none of the runs, allowed: {names}.{nearest(name, names)}")
        first = names.index(models[0])
        second = len(names) - 1 - names[::-1].index(models[1])
        if first == second:
            raise InputError(f"'{models[0]}' would be compared with itself", fix="name two models, or two runs")
        chosen = [arms[first], arms[second]]
    if len(chosen) < 2:
        raise InputError(f"there is one model only: {names}", fix="name two runs, or a run of two models")
    named = [Arm(run, model, name) for (run, model), name in zip(chosen, _names(chosen), strict=True)]
    return [(named[0], other) for other in named[1:]]


def _names(arms: Sequence[tuple[Run, str]]) -> list[str]:
    """The models' names, told apart by run or folder where they are the same."""
    tellers: list[Callable[[Run, str], str]] = [
        lambda _, model: model,
        lambda run, model: f"{model} ({run.name})",
        lambda run, model: f"{model} ({run.path.name})",
        lambda run, model: f"{model} ({run.path})",
    ]
    for tell in tellers:
        names = [tell(run, model) for run, model in arms]
        if len(set(names)) == len(names):
            return names
    raise InputError("a run is given twice", fix="name each run once")


def compare_runs(
    runs: Sequence[Run], models: tuple[str, str] | None = None, *, alpha: float = ALPHA, draws: int = DRAWS
) -> list[PairedFacts]:
    """Compare models of one run or of several on the images that they share.

    Parameters
    ----------
    runs, models
        As in `choose_arms`.
    alpha : float
        One minus the confidence level.
    draws : int
        Of the tests and the bootstrap; their seed is that of the first run.

    Returns
    -------
    list of PairedFacts
        One a pair, each with its rows of table `paired`.

    Raises
    ------
    InputError
        The runs have no images in common, or different files, labels, classes or groups.
    """
    return [_compare(first, second, alpha, draws) for first, second in choose_arms(runs, models)]


def _compare(first: Arm, second: Arm, alpha: float, draws: int) -> PairedFacts:
    one, two = Facts(first.run), Facts(second.run)
    classes = _same_classes(one, two)
    positive = _same_positive(one, two)
    attributes = [name for name in one.names if name in two.names]
    dropped = tuple(name for name in dict.fromkeys([*one.names, *two.names]) if name not in attributes)
    crossings = [
        list(parts)
        for parts in one.data.get("intersections") or []
        if all(name in attributes for name in parts) and list(parts) in (two.data.get("intersections") or [])
    ]
    if first.run.path == second.run.path:
        images = first.run.table("images")
    else:
        images = common_images(first.run.table("images"), second.run.table("images"), attributes)
    table = paired_table(
        images,
        _predictions(first, images),
        _predictions(second, images),
        first.name,
        second.name,
        attributes,
        classes,
        positive,
        intersections=crossings,
        alpha=alpha,
        draws=draws,
        seed=int((first.run.record.get("config") or {}).get("seed") or 0),
    )
    clustered = bool(images["cluster"].notna().any())
    names = (*attributes, *(" x ".join(parts) for parts in crossings))
    return PairedFacts(first, second, table, names, dropped, positive, clustered=clustered, alpha=alpha)


def _predictions(arm: Arm, images: pd.DataFrame) -> pd.DataFrame:
    columns = ["model", "image_id", "predicted", "status"]
    found = arm.run.table("predictions", columns=columns, filters=[("model", "=", arm.model)])
    held = pd.Index(images["image_id"]).get_indexer(pd.Index(found["image_id"])) >= 0
    chosen: pd.DataFrame = found.loc[held]
    if chosen.empty:
        raise InputError(
            f"model '{arm.model}' has no predictions", where=str(arm.run.path), fix="use `faircam run --resume`"
        )
    return chosen


def _same_classes(one: Facts, two: Facts) -> list[str]:
    if set(one.classes) != set(two.classes):
        raise InputError(f"the runs have different classes: {one.classes} and {two.classes}")
    if not one.classes:
        raise InputError("the run's record names no classes", where=str(one.run.path))
    return one.classes


def _same_positive(one: Facts, two: Facts) -> str | None:
    declared = [facts.positive for facts in (one, two) if facts.positive is not None]
    if len(set(declared)) > 1:
        raise InputError(f"the runs declare different positive classes: '{declared[0]}' and '{declared[1]}'")
    return declared[0] if declared else None


def build_comparison(pairs: Sequence[PairedFacts]) -> Document:
    """Turn comparisons into a document tree: what changed, who was compared, every group, methods, limits."""
    runs = {str(arm.run.path): arm.run for pair in pairs for arm in (pair.first, pair.second)}
    unfinished = [clean(run.name) for run in runs.values() if not run.complete]
    several = len(pairs) > 1
    sections = [build(pair, place, several=several) for build in (changes, verdict_changes, compared, details)
                for place, pair in enumerate(pairs)]  # fmt: skip
    arms = [pairs[0].first, *(pair.second for pair in pairs)]
    sections += [release_section(arms), methods(pairs), limits(pairs), sources(pairs)]
    versus = [f"{clean(pair.first.name)} → {clean(pair.second.name)}" for pair in pairs]
    document = Document(
        title=say("Before and after") if not several else say("Models compared"),
        subtitle=say("{models} · paired image by image", models=" · ".join(versus)),
        complete=not unfinished,
        warning=_warning(unfinished),
        sections=tuple(sections),
        language=language(),
    )
    return fitted(document)


def _warning(unfinished: Sequence[str]) -> str:
    if not unfinished:
        return ""
    return say("Not every planned image is accounted for in: {runs}.", runs=say(", ").join(unfinished))


def _html(pairs: Sequence[PairedFacts]) -> str:
    from reports.html import render_html

    return render_html(build_comparison(pairs))


def _csv(pairs: Sequence[PairedFacts]) -> str:
    table = pd.concat([pair.table for pair in pairs], ignore_index=True)
    return csv_text(table[list(PAIRED_COLUMNS)])


def _markdown(pairs: Sequence[PairedFacts]) -> str:
    from reports.markdown import render_markdown

    return render_markdown(build_comparison(pairs))


_FORMATS: dict[str, Callable[[Sequence[PairedFacts]], str]] = {"html": _html, "csv": _csv, "md": _markdown}

COMPARISON_FORMATS: tuple[str, ...] = tuple(_FORMATS)
"""Formats in which a comparison can be written; also the endings of the files."""


def write_comparison(
    pairs: Sequence[PairedFacts], out: Path | None = None, format: str = "html", language: str = "en"
) -> Path:
    """Write a comparison as one file.

    Parameters
    ----------
    pairs : sequence of PairedFacts
        From `compare_runs`.
    out : Path, optional
        File to write; ``comparison.html`` (or ``.csv``) in the folder of the second run by default.
    format : str
        One of `COMPARISON_FORMATS`.
    language : str
        Of the fixed wording of html and md, one of `reports.language.LANGUAGES`.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        The format or the language is unknown, or `out` is a folder.
    """
    check_format(format)
    path = Path(out) if out is not None else pairs[-1].second.run.path / f"comparison.{format}"
    if path.is_dir():
        raise InputError("is a folder", where=str(path), fix="name a file")
    with speaking(language):
        content = _FORMATS[format](pairs)
    write_text(path, content)
    return path


def check_format(format: str) -> None:
    """Refuse a format that is unknown, before anything is computed."""
    if format not in _FORMATS:
        raise InputError(
            f"format '{format}' is unknown, allowed: {', '.join(_FORMATS)}.{nearest(format, _FORMATS)}",
            fix=f"use one of {', '.join(_FORMATS)}",
        )
