"""The result of a comparison of two models, and its one sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from audit.explanations.parity.recording import Subject
from audit.explanations.parity.steps import STAGES, Stage, Step, Tolerances

__all__ = ["TITLES", "ParityReport"]


@dataclass(frozen=True)
class ParityReport:
    """Whether two models compute the same, and the first step at which they do not.

    Agreement was measured on these images and these targets only.

    Attributes
    ----------
    first, second : Subject
    images : int
        Number of images.
    tolerances : Tolerances
    steps : tuple of Step
        In the order of the walk.
    """

    first: Subject
    second: Subject
    images: int
    tolerances: Tolerances
    steps: tuple[Step, ...]

    @property
    def first_difference(self) -> Step | None:
        """The first step that differs, or None."""
        return next((step for step in self.steps if step.status == "differ"), None)

    @property
    def status(self) -> Literal["agree", "differ", "not_compared"]:
        """``not_compared`` where not even the scores could be compared."""
        if self.first_difference is not None:
            return "differ"
        return (
            "agree" if any(step.stage == "scores" and step.status == "agree" for step in self.steps) else "not_compared"
        )

    @property
    def sentence(self) -> str:
        """The result in one sentence."""
        names = f"{self.first.name} and {self.second.name}"
        if self.first_difference is not None:
            return _said(self.first_difference, names) + self._yet()
        if self.status == "not_compared":
            why = next((step.note for step in self.steps if step.stage == "scores"), "")
            return f"{names} could not be compared: {why}."
        done = [stage for stage in STAGES if any(s.stage == stage and s.status == "agree" for s in self.steps)]
        return f"{names} agree on {self.images} images in {', '.join(TITLES[stage] for stage in done)}."

    def _yet(self) -> str:
        """What to make of weights that differ where nothing else does."""
        apart = {step.stage for step in self.steps if step.status == "differ"}
        agree = any(step.stage == "scores" and step.status == "agree" for step in self.steps)
        if apart != {"weights"} or not agree:
            return ""
        return (
            " Whatever is computed from them agrees all the same, as after folding the epsilon of a batch "
            "normalisation; to leave the weights out, start at the outputs."
        )


TITLES: dict[Stage, str] = {
    "images": "images",
    "weights": "weights",
    "outputs": "layer outputs",
    "scores": "scores",
    "gradients": "input gradients",
    "maps": "maps",
}


def _said(step: Step, names: str) -> str:
    layer = step.first if step.first == step.second else f"{step.first} ({step.second} in the second model)"
    subject = {
        "images": f"the images given to {names} differ",
        "weights": f"weights of layer {layer} differ",
        "outputs": f"the output of layer {layer} differs",
        "scores": f"the scores of {names} differ",
        "gradients": f"the input gradients of {names} differ",
        "maps": f"the {step.first} maps of {names} differ",
    }[step.stage]
    parts = []
    if step.difference is not None:
        allowed = "" if step.tolerance is None else f" (allowed: {step.tolerance:.0e})"
        parts.append(f"by up to {step.difference:.1e} of the largest value{allowed}")
    if step.spearman is not None:
        parts.append(f"rank correlation {step.spearman:.4f}")
    text = f"{subject} {', '.join(parts)}".strip()
    return f"{text[0].upper()}{text[1:]}{f': {step.note}' if step.note else ''}."
