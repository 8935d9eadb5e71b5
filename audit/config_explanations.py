"""The parts of a configuration about explanations: methods, their quality, interventions, concepts.

Settings of a method are checked by the method itself, which `audit.explanations.registry` finds by its name.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from audit.config_file import Section
from audit.errors import nearest

__all__ = ["ConceptConfig", "ExplanationsConfig", "InterventionsConfig", "QualityConfig"]


class ExplanationsConfig(Section):
    """Which maps to make, for which class, on how many images."""

    methods: tuple[str | dict[str, Any], ...] = Field(
        default=("saliency", "gradient_x_input", "grad_cam"),
        description="Names, or {name: NAME, SETTING: VALUE}; `faircam methods` lists them with their settings.",
    )
    target: Literal["predicted", "label"] = "predicted"
    sample: int | Literal["all"] = Field(
        default=200, description="Images explained, stratified by group and outcome; 0 for none."
    )
    cross_check: int = Field(default=8, ge=0, description="Images also explained by captum or tf-explain.")

    @field_validator("methods")
    @classmethod
    def _named(cls, value: tuple[str | dict[str, Any], ...]) -> tuple[str | dict[str, Any], ...]:
        for entry in value:
            if isinstance(entry, dict) and not isinstance(entry.get("name"), str):
                raise ValueError(f"a method with settings needs the key 'name', got {entry}")
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if isinstance(self.sample, int) and self.sample < 0:
            raise ValueError(f"sample must be 'all' or at least 0, got {self.sample}")
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"methods names one twice: {list(self.names)}")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the methods, in order."""
        return tuple(entry if isinstance(entry, str) else str(entry["name"]) for entry in self.methods)


class QualityConfig(Section):
    """Whether the maps are evidence: faithfulness, stability, dependence on the model."""

    sample: int = Field(default=64, ge=1, description="Explained images that are measured, evenly over the sample.")
    steps: int = Field(default=16, ge=2, description="Steps of deletion and insertion.")
    fills: tuple[Literal["blur", "mean"], ...] = Field(default=("blur", "mean"), min_length=1)
    road: bool = Field(default=True, description="Whether pixels are also removed by noisy linear imputation (ROAD).")
    copies: int = Field(default=2, ge=0, description="Noisy copies of an image for sensitivity; 0 for none.")
    radius: float = Field(default=0.05, gt=0, description="Largest change of a pixel there, as a share of the range.")
    levels: int = Field(
        default=3, ge=0, description="Cascading levels at which weights are randomised, from the top; 0 for none."
    )
    repeat_images: int = Field(
        default=16, ge=1, description="Images of the sample on which methods are repeated: sensitivity, randomisation."
    )
    most: float = Field(
        default=3000.0,
        gt=0,
        description="Forward-equivalents an image that repeating one method may cost; what costs more is listed.",
    )


class InterventionsConfig(Section):
    """Predictions with a region hidden, and with equal areas hidden elsewhere as a control."""

    regions: tuple[str, ...] | None = Field(default=None, description="Regions that are hidden; all when left out.")
    fill: Literal["blur", "mean"] = Field(
        default="mean", description="What shows instead: the mean colour around the region, or the image blurred."
    )
    controls: int = Field(default=3, ge=0, description="Equal areas elsewhere that are hidden, one after another.")
    swap: bool = Field(
        default=False, description="Whether the region is also replaced by that of another image with another label."
    )
    sample: int | Literal["all"] = Field(default=500, description="Images changed, drawn evenly over the groups.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if isinstance(self.sample, int) and self.sample < 1:
            raise ValueError(f"sample must be 'all' or at least 1, got {self.sample}")
        return self


class ConceptConfig(Section):
    """A concept for TCAV: the images of one group of an attribute, or of one class, against the others."""

    name: str
    attribute: str = Field(description="A group attribute of the data, or 'label'.")
    group: str = Field(description="Images of this group show the concept; all others do not.")
    layer: str | None = Field(default=None, description="Layer whose activations are looked at; that of the CAMs.")
    images: int = Field(default=60, ge=10, description="Most images with, and without, the concept.")
    runs: int = Field(default=10, ge=2, description="Directions that are fitted, each to another half of the images.")

    def check(self, attributes: list[str]) -> None:
        """Refuse an attribute that the data does not have."""
        allowed = [*attributes, "label"]
        if self.attribute not in allowed:
            raise ValueError(
                f"concept '{self.name}' names the attribute '{self.attribute}', allowed: {allowed}."
                f"{nearest(self.attribute, allowed)}"
            )
