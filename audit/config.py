"""What a person may write in `audit.yaml` and `train.yaml`: frozen models, unknown keys refused.

Only the shape of the configuration lives here; loading images or models from it does not. The sections that describe
data are in `config_data`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, model_validator

from audit.config_data import AttributeConfig, DataConfig, Preprocessing, RegionsConfig, SplitConfig
from audit.config_explanations import ConceptConfig, ExplanationsConfig, InterventionsConfig, QualityConfig
from audit.config_file import Section, load_config, parse_config
from audit.errors import nearest
from audit.run.files import LONGEST_NAME, is_file_name

__all__ = [
    "AttributeConfig",
    "AuditConfig",
    "Augmentation",
    "ConceptConfig",
    "Corruption",
    "DataConfig",
    "EmbeddingsConfig",
    "ExecutionConfig",
    "ExplanationsConfig",
    "InterventionsConfig",
    "ModelConfig",
    "NetworkConfig",
    "OptimiserConfig",
    "Preprocessing",
    "QualityConfig",
    "RegionsConfig",
    "RobustnessConfig",
    "SplitConfig",
    "TrainConfig",
    "ValidationConfig",
    "load_config",
    "parse_config",
]

Corruption = Literal["noise", "blur", "jpeg", "brightness", "contrast"]
_NEEDED = {"keras": "path", "onnx": "path", "torch": "architecture", "numpy": "weights", "callable": "function"}
Sampled = TypeVar("Sampled", bound=Section)


class ModelConfig(Section):
    """One model under audit."""

    name: str
    framework: Literal["torch", "keras", "onnx", "callable", "numpy", "memory"] = Field(
        description="onnx and callable are black boxes, which give scores alone; memory: handed to the notebook call, "
        "not for files."
    )
    path: str | None = Field(
        default=None,
        description="keras: .keras or .h5 file; onnx: .onnx file; torch, in place of an architecture: a whole pickled "
        "module, loaded with --trust-model only.",
    )
    function: str | None = Field(
        default=None,
        description="callable: your.module:name, a function from float32 images in the declared `layout` to scores "
        "(N, K); imported with --trust-code only.",
    )
    architecture: str | None = Field(
        default=None,
        description="torch: plain_cnn, deep_cnn, torchvision:NAME, or your.module:factory with --trust-code.",
    )
    arguments: dict[str, Any] = Field(default_factory=dict, description="Arguments of the architecture.")
    weights: str | None = Field(
        default=None, description="torch: .safetensors or a state dict (.pt, .pth, .bin, .ckpt); numpy: .npz."
    )
    preprocessing: Preprocessing = Field(default_factory=Preprocessing)
    classes: tuple[str, ...] | None = Field(
        default=None, description="The model's own classes in output order; the data's by default."
    )
    outputs: dict[str, tuple[str, ...] | Literal["rest"]] | None = Field(
        default=None, description="Which of the model's classes make up each class of the data."
    )
    head: Literal["softmax", "sigmoid"] = "softmax"
    score: Literal["auto", "logit", "probability"] = Field(
        default="auto",
        description="What the model's last layer gives; found in the Keras graph under auto. A black box that ends in "
        "a softmax or sigmoid must declare probability.",
    )
    layer: str | None = Field(default=None, description="Layer for Grad-CAM; found when left out.")
    training: str | None = Field(default=None, description="Folder that `faircam train` wrote for this model.")
    training_data: DataConfig | None = Field(
        default=None,
        description="The images it was trained on, for the membership table; `groups` are those of the audit's data "
        "unless given ([] where they are not known).",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        needed = _NEEDED.get(self.framework)
        whole = self.framework == "torch" and self.path is not None
        if needed is not None and getattr(self, needed) is None and not whole:
            raise ValueError(f"framework '{self.framework}' needs the key '{needed}'")
        allowed = {needed}
        if self.framework == "torch":
            allowed = {"path"} if whole else {needed, "weights", "arguments"}
        black_box = self.framework in ("onnx", "callable")
        for key in ("path", "function", "architecture", "weights", "arguments", *(("layer",) if black_box else ())):
            if getattr(self, key) not in (None, {}) and key not in allowed:
                raise ValueError(f"key '{key}' has no meaning for framework '{self.framework}'")
        if not black_box and self.preprocessing.layout != "NHWC":
            raise ValueError(
                f"'preprocessing.layout' has no meaning for framework '{self.framework}', whose layout is known; it is "
                "for onnx and callable"
            )
        if self.function is not None and re.fullmatch(r"\w+(\.\w+)*:\w+", self.function) is None:
            raise ValueError(f"function is '{self.function}', expected your.module:name")
        if not is_file_name(self.name) or "/" in self.name or self.name.startswith("."):
            raise ValueError(
                f"model name '{self.name}' must be usable as a folder name: no slash or NUL, no dot first, at most "
                f"{LONGEST_NAME} bytes"
            )
        return self


class EmbeddingsConfig(Section):
    """Activations that enter the last dense layer, for slices that nobody labelled and for attribute leakage."""

    sample: int | Literal["all"] = Field(default="all", description="Images taken, drawn evenly over the groups.")
    dimensions: int = Field(
        default=256, ge=2, description="Longer embeddings are brought down to so many by a fixed random projection."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        return _at_least_one(self, self.sample)


class RobustnessConfig(Section):
    """Accuracy on corrupted copies of the images, by group."""

    corruptions: tuple[Corruption, ...] = Field(
        default=("noise", "blur", "jpeg", "brightness", "contrast"), min_length=1
    )
    severities: tuple[int, ...] = Field(default=(1, 3, 5), min_length=1, description="Of 1 to 5, ascending.")
    sample: int | Literal["all"] = Field(default=500, description="Images corrupted, drawn evenly over the groups.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(set(self.corruptions)) != len(self.corruptions):
            raise ValueError(f"corruptions names one twice: {list(self.corruptions)}")
        if list(self.severities) != sorted(set(self.severities)) or not set(self.severities) <= {1, 2, 3, 4, 5}:
            raise ValueError(f"severities must ascend within 1 to 5 without repeats, got {list(self.severities)}")
        return _at_least_one(self, self.sample)


def _at_least_one(section: Sampled, sample: int | str) -> Sampled:
    if isinstance(sample, int) and sample < 1:
        raise ValueError(f"sample must be 'all' or at least 1, got {sample}; leave the section out to measure nothing")
    return section


class ExecutionConfig(Section):
    """How the work is cut; results depend on it in the last bits, so it is part of the plan."""

    device: str = Field(default="auto", description="auto, cpu, cuda or cuda:N.")
    threads: int = Field(default=2, ge=1)
    micro_batch: int = Field(default=32, ge=1)
    shard_size: int = Field(default=512, ge=1)


class AuditConfig(Section):
    """A whole audit: the content of `audit.yaml`."""

    name: str
    data: DataConfig
    positive: str | None = Field(default=None, description="Class of the binary criteria; never guessed.")
    models: Annotated[tuple[ModelConfig, ...], Field(min_length=1)]
    explanations: ExplanationsConfig = Field(default_factory=ExplanationsConfig)
    quality: QualityConfig | None = Field(
        default=None, description="Whether maps are evidence; not measured when left out."
    )
    interventions: InterventionsConfig | None = Field(
        default=None, description="Predictions with a region hidden; not made when left out."
    )
    concepts: tuple[ConceptConfig, ...] = Field(default=(), description="Concepts for TCAV; PyTorch models only.")
    embeddings: EmbeddingsConfig | None = Field(default=None, description="Not taken when left out.")
    robustness: RobustnessConfig | None = Field(default=None, description="Not measured when left out.")
    execution: ExecutionConfig = Field(default_factory=ExecutionConfig)
    policy: str | None = None
    seed: int = 0

    @model_validator(mode="before")
    @classmethod
    def _same_groups(cls, value: Any) -> Any:
        """Training data that names no groups has those of the audit's data."""
        if not isinstance(value, dict) or not isinstance(value.get("data"), dict):
            return value
        groups = value["data"].get("groups", ())
        models = value.get("models")
        filled = [_with_groups(model, groups) for model in models] if isinstance(models, list | tuple) else models
        return {**value, "models": filled} if "models" in value else value

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [model.name for model in self.models]
        if len(set(names)) != len(names):
            raise ValueError(f"models must have different names, got {names}")
        if self.quality is not None and self.explanations.sample == 0:
            raise ValueError("quality is measured on explained images, and explanations.sample is 0")
        if self.interventions is not None:
            self._check_interventions(self.interventions)
        for concept in self.concepts:
            concept.check([attribute.name for attribute in self.data.groups])
        return self

    def _check_interventions(self, interventions: InterventionsConfig) -> None:
        """Regions that are hidden are regions of the data."""
        known = list(self.data.regions.names.values()) if self.data.regions else []
        if not known:
            raise ValueError("interventions hide regions, and data.regions names none")
        for name in interventions.regions or ():
            if name not in known:
                raise ValueError(f"interventions.regions names '{name}', allowed: {known}.{nearest(name, known)}")


def _with_groups(model: Any, groups: Any) -> Any:
    data = model.get("training_data") if isinstance(model, dict) else None
    if not isinstance(data, dict) or "groups" in data:
        return model
    return {**model, "training_data": {**data, "groups": groups}}


class NetworkConfig(Section):
    """The network that `faircam train` trains."""

    architecture: Literal["plain_cnn", "deep_cnn"] = "plain_cnn"
    head: Literal["softmax", "sigmoid"] = "softmax"
    loss: Literal["cross_entropy", "mean_squared_error"] = "cross_entropy"
    dropout: float = Field(default=0.5, ge=0, lt=1, description="deep_cnn only.")


class OptimiserConfig(Section):
    """The optimiser and the penalties on the kernels."""

    name: Literal["adam", "adamw"] = "adam"
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.0, ge=0, description="adamw only.")
    l1: float = Field(default=0.0, ge=0)
    l2: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.weight_decay and self.name != "adamw":
            raise ValueError("weight_decay needs the optimiser 'adamw'; for 'adam' use l2")
        return self


class Augmentation(Section):
    """Random changes of the training images."""

    flip: bool = False
    shift: int = Field(default=0, ge=0, description="Largest shift in pixels, both ways.")
    brightness: float = Field(default=0.0, ge=0, description="Largest change, in units of the model's range.")
    noise: float = Field(default=0.0, ge=0, description="Standard deviation of Gaussian noise.")


class ValidationConfig(Section):
    """Rows held out to see over-fitting: a share of the training rows, or named values of the split column."""

    fraction: float | None = Field(default=None, gt=0, lt=1)
    keep: tuple[str | int | float | bool, ...] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.fraction is None) == (self.keep is None):
            raise ValueError("give exactly one of 'fraction' and 'keep'")
        return self


class TrainConfig(Section):
    """A training: the content of `train.yaml`."""

    name: str
    framework: Literal["torch", "keras"]
    data: DataConfig
    validation: ValidationConfig = Field(default_factory=lambda: ValidationConfig(fraction=0.2))
    preprocessing: Preprocessing
    network: NetworkConfig = Field(default_factory=NetworkConfig)
    optimiser: OptimiserConfig = Field(default_factory=OptimiserConfig)
    epochs: int = Field(default=20, ge=1)
    batch_size: int = Field(default=32, ge=1)
    augmentation: Augmentation = Field(default_factory=Augmentation)
    early_stopping: int | None = Field(default=None, ge=1, description="Epochs without a better validation loss.")
    balance: str | None = Field(default=None, description="'label' or a group attribute to draw evenly from.")
    device: str = "auto"
    threads: int = Field(default=2, ge=1)
    seed: int = 0

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.preprocessing.output_size is None:
            raise ValueError("preprocessing needs a 'size' or a 'crop': a network has one input size")
        if self.preprocessing.layout != "NHWC":
            raise ValueError("'preprocessing.layout' has no meaning in training; it is for onnx and callable models")
        if self.validation.keep is not None and self.data.split is None:
            raise ValueError("validation.keep needs data.split, whose column it names values of")
        names = ["label", *(attribute.name for attribute in self.data.groups)]
        if self.balance is not None and self.balance not in names:
            raise ValueError(f"balance is '{self.balance}', allowed: {names}.{nearest(self.balance, names)}")
        return self
