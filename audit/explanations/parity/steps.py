"""Steps of a comparison of two models, and how far each may differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from audit.explanations.parity.recording import Subject

__all__ = ["STAGES", "TOLERANCES", "Stage", "Status", "Step", "Tolerances", "default_tolerances"]

Stage = Literal["images", "weights", "outputs", "scores", "gradients", "maps"]
Status = Literal["agree", "differ", "not_compared", "left_out"]

STAGES: tuple[Stage, ...] = get_args(Stage)


@dataclass(frozen=True)
class Tolerances:
    """Largest difference over largest value that still counts as agreement.

    The largest value is that of the array over all images; of gradients and maps it is that of the worst image.

    Attributes
    ----------
    weights : float
        Of weights and images, which are copied and not computed.
    scores : float
    maps : float
        Of class activation maps before resizing, and of the layer outputs that they are made of.
    gradients : float or None
        Of input gradients, saliency and gradient x input; None where ranks decide.
    spearman : float or None
        Least rank correlation of these; None where it is not asked for.
    """

    weights: float
    scores: float
    maps: float
    gradients: float | None
    spearman: float | None


TOLERANCES: dict[str, Tolerances] = {
    "float64": Tolerances(1e-10, 1e-10, 1e-8, 1e-8, None),
    "float32": Tolerances(1e-6, 1e-5, 1e-4, None, 0.999),
    "float32_shallow": Tolerances(1e-6, 1e-5, 1e-4, 1e-4, None),
    "gpu": Tolerances(1e-6, 1e-4, 1e-3, None, 0.999),
}
"""By regime. `float32_shallow` is for a few layers without ties; in deep networks a tie in a ReLU or a max-pooling
flips whole receptive fields, so ranks decide. `gpu` is single precision with TF32 off."""


@dataclass(frozen=True)
class Step:
    """One comparison of the walk.

    Attributes
    ----------
    stage : str
        One of `STAGES`.
    first, second : str
        Layers or method compared; empty where there is nothing to choose.
    difference : float or None
        Largest difference over largest value; infinite where a number is not finite.
    spearman : float or None
        Least rank correlation, where it was asked for.
    tolerance : float or None
        What the difference was held against.
    status : str
        ``agree``, ``differ``, ``not_compared`` (the note says why) or ``left_out`` as asked.
    note : str
    """

    stage: Stage
    first: str = ""
    second: str = ""
    difference: float | None = None
    spearman: float | None = None
    tolerance: float | None = None
    status: Status = "not_compared"
    note: str = ""


def default_tolerances(first: Subject, second: Subject) -> Tolerances:
    """The entry of `TOLERANCES` for two recordings, by their precision and device."""
    if first.dtype == second.dtype == "float64":
        return TOLERANCES["float64"]
    on_gpu = any(not subject.device.lower().startswith("cpu") for subject in (first, second))
    return TOLERANCES["gpu" if on_gpu else "float32"]
