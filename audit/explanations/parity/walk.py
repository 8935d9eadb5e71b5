"""The walk over two recordings: images, weights, layer outputs, scores, input gradients, maps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from audit.errors import InputError, nearest
from audit.explanations.parity.arrays import least_spearman, relative_difference
from audit.explanations.parity.layers import pair_outputs
from audit.explanations.parity.recording import Recorded, record
from audit.explanations.parity.report import ParityReport
from audit.explanations.parity.steps import STAGES, Stage, Status, Step, Tolerances, default_tolerances
from audit.explanations.parity.weights import pair_weights
from audit.models.adapter import ModelAdapter, Targets
from audit.models.cams import CAM_KINDS

__all__ = ["compare", "parity_report"]


def parity_report(
    first: ModelAdapter,
    second: ModelAdapter,
    images: np.ndarray,
    targets: Targets = "predicted",
    tolerances: Tolerances | None = None,
) -> ParityReport:
    """Compare two models step by step, in this process.

    Parameters
    ----------
    first, second : ModelAdapter
        Meant to be one network in two forms. Two frameworks in one process can disturb each other; for a careful
        comparison `record` each in a process of its own and `compare` the recordings.
    images : ndarray
        ``(N, H, W, C)``, for both. Flat regions tie in pooling, where frameworks choose differently: let them carry
        a little noise.
    targets : ndarray or 'predicted'
        Classes explained; those that the first model predicts.
    tolerances : Tolerances, optional
        By precision and device when left out.

    Returns
    -------
    ParityReport
    """
    ours = record(first, images, targets)
    theirs = record(second, images, ours.targets)
    if ours.subject.name == theirs.subject.name:
        ours = replace(ours, subject=replace(ours.subject, name="the first model"))
        theirs = replace(theirs, subject=replace(theirs.subject, name="the second model"))
    return compare(ours, theirs, tolerances)


def compare(
    first: Recorded, second: Recorded, tolerances: Tolerances | None = None, start: Stage = "images"
) -> ParityReport:
    """Compare two recordings step by step.

    Parameters
    ----------
    first, second : Recorded
        Of the same images and targets.
    tolerances : Tolerances, optional
        By precision and device when left out.
    start : str
        Stage from which differences count. Earlier ones are measured and marked ``left_out``: weights differ by
        design where a batch normalisation was folded, images where one model holds its own rescaling.

    Returns
    -------
    ParityReport

    Raises
    ------
    InputError
        There is no such stage.
    """
    if start not in STAGES:
        raise InputError(f"start is '{start}', allowed: {', '.join(STAGES)}.{nearest(start, STAGES)}")
    limits = tolerances or default_tolerances(first.subject, second.subject)
    scores = _scores(first, second, limits)
    weights, known = _weights(first, second, limits)
    steps = [
        _measured("images", (first.images, second.images), limits.weights),
        *weights,
        *_outputs(first, second, known, limits, agree=scores.status == "agree"),
        scores,
        *_explanations(first, second, limits),
    ]
    early = STAGES[: STAGES.index(start)]
    kept = tuple(replace(step, status="left_out") if step.stage in early else step for step in steps)
    return ParityReport(first.subject, second.subject, len(first.images), limits, kept)


def _weights(first: Recorded, second: Recorded, limits: Tolerances) -> tuple[list[Step], dict[str, str]]:
    pairs = pair_weights(first, second, limits.weights)
    if isinstance(pairs, str):
        return [Step("weights", note=pairs)], {}
    steps = [
        Step(
            stage="weights",
            first=pair.first,
            second=pair.second,
            difference=pair.difference,
            tolerance=limits.weights,
            status="agree" if pair.difference <= limits.weights else "differ",
            note=pair.note,
        )
        for pair in pairs
    ]
    return steps, {pair.first: pair.second for pair in pairs}


def _outputs(
    first: Recorded, second: Recorded, known: dict[str, str], limits: Tolerances, *, agree: bool
) -> list[Step]:
    """Steps of the layer outputs; a layer that differs where the scores agree has no counterpart after all."""
    silent = [recorded.subject.name for recorded in (first, second) if not recorded.outputs]
    if silent:
        return [Step("outputs", note=f"no layers are seen of {' and '.join(silent)}")]
    steps = []
    for pair in pair_outputs(first, second, known, limits.maps):
        status: Status = "not_compared"
        note = pair.note
        if pair.difference is not None:
            status = "agree" if pair.difference <= limits.maps else "differ"
        if status == "differ" and agree:
            status, note = "not_compared", "differs, yet the scores agree: the layers hold other intermediate values"
        steps.append(
            Step(
                stage="outputs",
                first=pair.first,
                second=pair.second or "",
                difference=pair.difference,
                tolerance=limits.maps,
                status=status,
                note=note,
            )
        )
    return steps


def _scores(first: Recorded, second: Recorded, limits: Tolerances) -> Step:
    if first.subject.score != second.subject.score:
        return Step("scores", note=_other_scores(first, second))
    return _measured("scores", (first.scores, second.scores), limits.scores)


def _explanations(first: Recorded, second: Recorded, limits: Tolerances) -> list[Step]:
    """Steps of input gradients and maps."""
    reason = None
    silent = [recorded.subject.name for recorded in (first, second) if recorded.gradient is None]
    if silent:
        reason = f"no gradients are seen of {' and '.join(silent)}"
    elif first.subject.score != second.subject.score:
        reason = _other_scores(first, second)
    elif not np.array_equal(first.targets, second.targets):
        reason = "other classes were explained"
    if reason is not None or first.gradient is None or second.gradient is None:
        return [Step(stage, note=reason or "") for stage in ("gradients", "maps")]
    steps = [_ranked("gradients", "", (first.gradient, second.gradient), limits)]
    for name, ours in first.maps.items():
        if name not in second.maps:
            note = f"{second.subject.name} has no layer for it" if name in CAM_KINDS else "not recorded of the second"
            steps.append(Step("maps", name, name, note=note))
        elif name in CAM_KINDS:
            steps.append(_measured("maps", (ours, second.maps[name]), limits.maps, name))
        else:
            steps.append(_ranked("maps", name, (ours, second.maps[name]), limits))
    return steps


def _other_scores(first: Recorded, second: Recorded) -> str:
    kinds = " and ".join(f"{recorded.subject.name} a {recorded.subject.score}" for recorded in (first, second))
    return f"the scores are of two kinds, {kinds}"


def _measured(stage: Stage, pair: tuple[np.ndarray, np.ndarray], tolerance: float, name: str = "") -> Step:
    """A step that the largest difference decides."""
    ours, theirs = pair
    if ours.shape != theirs.shape:
        status: Status = "differ" if stage in ("images", "scores") else "not_compared"
        return Step(stage, name, name, status=status, note=f"shapes are {ours.shape} and {theirs.shape}")
    difference, image = relative_difference(ours, theirs, own_scale=stage in ("gradients", "maps"))
    agrees = difference <= tolerance
    note = "" if agrees else f"most on image {image}"
    return Step(stage, name, name, difference, None, tolerance, "agree" if agrees else "differ", note)


def _ranked(stage: Stage, name: str, pair: tuple[np.ndarray, np.ndarray], limits: Tolerances) -> Step:
    """A step of gradients, decided by the largest difference, by ranks, or by both."""
    allowed = limits.maps if limits.gradients is None else limits.gradients
    step = _measured(stage, pair, allowed, name)
    if limits.spearman is None or step.difference is None:
        return step
    rho = least_spearman(*pair)
    if rho is None:  # constant: there are no ranks, so values decide
        return replace(step, note=step.note or "constant on an image, so there are no ranks")
    agrees = rho >= limits.spearman and (limits.gradients is None or step.status == "agree")
    tolerance = limits.gradients
    return replace(step, spearman=rho, tolerance=tolerance, status="agree" if agrees else "differ")
