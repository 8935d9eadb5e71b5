"""What a person may write in `audit.yaml` and `train.yaml`: frozen models, unknown keys refused.

Only the shape of the configuration lives here; loading images or models from it does not.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from audit.config_file import Section, load_config, parse_config
from audit.errors import nearest

__all__ = [
    "AttributeConfig",
    "AuditConfig",
    "Augmentation",
    "DataConfig",
    "ExecutionConfig",
    "ExplanationsConfig",
    "ModelConfig",
    "NetworkConfig",
    "OptimiserConfig",
    "Preprocessing",
    "RegionsConfig",
    "SplitConfig",
    "TrainConfig",
    "ValidationConfig",
    "load_config",
    "parse_config",
]

Provenance = Literal["self-reported", "perceived", "inferred", "measured", "by construction", "not stated"]
Method = Literal["saliency", "gradient_x_input", "grad_cam"]


class AttributeConfig(Section):
    """One group attribute of the data.

    A plain string in the config is short for ``{column: NAME}``.
    """

    column: str = Field(description="Column of the manifest that holds the group.")
    name: str = Field(default="", description="Name used in tables and reports; the column by default.")
    provenance: Provenance = Field(default="not stated", description="How the labels were obtained; reports repeat it.")
    bins: tuple[float, ...] | None = Field(
        default=None, description="Edges that cut a numeric column into groups, ascending."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_string(cls, value: Any) -> Any:
        return {"column": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.name:
            object.__setattr__(self, "name", self.column)
        if self.bins is not None and list(self.bins) != sorted(set(self.bins)):
            raise ValueError(f"bins must ascend without repeats, got {list(self.bins)}")
        return self


class RegionsConfig(Section):
    """Label maps that say which pixel belongs to what."""

    column: str = Field(description="Column with the path of a single-channel PNG label map.")
    names: dict[int, str] = Field(description="Name of each pixel value; 0 is outside every region.")
    should_not_matter: tuple[str, ...] = Field(
        default=(), description="Regions on which the decision ought not to rest."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in self.should_not_matter:
            if name not in self.names.values():
                raise ValueError(f"should_not_matter names '{name}', which is none of {list(self.names.values())}")
        return self


class SplitConfig(Section):
    """Which rows of the manifest to keep."""

    column: str
    keep: tuple[str | int | float | bool, ...] = Field(min_length=1)


class DataConfig(Section):
    """Images, labels and groups."""

    manifest: str | None = Field(default=None, description="CSV or Parquet file, one row an image.")
    image_folder: str | None = Field(default=None, description="Folder with one folder of images a class.")
    attributes_table: str | None = Field(
        default=None, description="CSV or Parquet with a column `image` joined to an image folder."
    )
    image: str = Field(default="image", description="Column with the image's path, relative to root.")
    root: str | None = Field(default=None, description="Folder of the images; the manifest's by default.")
    label: str = Field(default="label", description="Column with the true class.")
    id: str | None = Field(default=None, description="Column with a unique image id; the path by default.")
    groups: tuple[AttributeConfig, ...] = ()
    intersections: tuple[tuple[str, ...], ...] = ()
    cluster: str | None = Field(
        default=None, description="Column of the person or thing; its images are not independent."
    )
    regions: RegionsConfig | None = None
    split: SplitConfig | None = None
    max_pixels: int = Field(default=50_000_000, gt=0, description="Largest image accepted, in pixels.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.manifest is None) == (self.image_folder is None):
            raise ValueError("give exactly one of 'manifest' and 'image_folder'")
        names = [attribute.name for attribute in self.groups]
        if len(set(names)) != len(names):
            raise ValueError(f"group attributes must have different names, got {names}")
        for crossing in self.intersections:
            if len(crossing) < 2:
                raise ValueError(f"an intersection needs two attributes or more, got {list(crossing)}")
            for name in crossing:
                if name not in names:
                    raise ValueError(f"intersection names '{name}', which is not among the groups {names}.")
        return self


class Preprocessing(Section):
    """How a decoded image becomes the array the model sees; recorded in the run.

    The order is: colour mode, resize, crop, scale, then ``(x - mean) / std``.
    """

    size: tuple[int, int] | None = Field(default=None, description="Height and width after resizing.")
    shorter_side: int | None = Field(default=None, description="Resize so that the shorter side has this length.")
    crop: tuple[int, int] | None = Field(default=None, description="Centre crop after resizing: height, width.")
    mode: Literal["RGB", "L", "BGR"] = "RGB"
    resize: Literal["nearest", "bilinear", "bicubic", "lanczos", "box"] = "bilinear"
    scale: tuple[float, float] = Field(default=(0.0, 1.0), description="What bytes 0 and 255 become.")
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.size is not None and self.shorter_side is not None:
            raise ValueError("give one of 'size' and 'shorter_side', not both")
        if self.shorter_side is not None and self.crop is None:
            raise ValueError("'shorter_side' needs a 'crop', so that all images have one size")
        channels = 1 if self.mode == "L" else 3
        for key in ("mean", "std"):
            values = getattr(self, key)
            if values and len(values) != channels:
                raise ValueError(f"'{key}' has {len(values)} values, mode {self.mode} has {channels} channels")
        if any(value == 0 for value in self.std):
            raise ValueError("'std' holds a zero")
        return self

    @property
    def output_size(self) -> tuple[int, int] | None:
        """Height and width that every image ends with, or None where images keep their own."""
        return self.crop or self.size


class ModelConfig(Section):
    """One model under audit."""

    name: str
    framework: Literal["torch", "keras", "numpy", "memory"] = Field(
        description="memory: handed to the notebook call; not for files."
    )
    path: str | None = Field(default=None, description="Keras: .keras or .h5 file.")
    architecture: str | None = Field(
        default=None,
        description="torch: plain_cnn, deep_cnn, torchvision:NAME, or your.module:factory with --trust-code.",
    )
    arguments: dict[str, Any] = Field(default_factory=dict, description="Arguments of the architecture.")
    weights: str | None = Field(default=None, description="torch: .safetensors or a state dict; numpy: .npz.")
    preprocessing: Preprocessing = Field(default_factory=Preprocessing)
    classes: tuple[str, ...] | None = Field(
        default=None, description="The model's own classes in output order; the data's by default."
    )
    outputs: dict[str, tuple[str, ...] | Literal["rest"]] | None = Field(
        default=None, description="Which of the model's classes make up each class of the data."
    )
    head: Literal["softmax", "sigmoid"] = "softmax"
    score: Literal["auto", "logit", "probability"] = Field(
        default="auto", description="What the model's last layer gives; found in the Keras graph under auto."
    )
    layer: str | None = Field(default=None, description="Layer for Grad-CAM; found when left out.")
    training: str | None = Field(default=None, description="Folder that `faircam train` wrote for this model.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        needed = {"keras": "path", "torch": "architecture", "numpy": "weights"}.get(self.framework)
        if needed is not None and getattr(self, needed) is None:
            raise ValueError(f"framework '{self.framework}' needs the key '{needed}'")
        usable = {"keras": {"path"}, "torch": {"architecture", "weights"}, "numpy": {"weights"}}
        allowed = usable.get(self.framework, set())
        for key in ("path", "architecture", "weights"):
            if getattr(self, key) is not None and key not in allowed:
                raise ValueError(f"key '{key}' has no meaning for framework '{self.framework}'")
        if not self.name or "/" in self.name or self.name.startswith("."):
            raise ValueError(f"model name '{self.name}' must be usable as a folder name")
        return self


class ExplanationsConfig(Section):
    """Which maps to make, for which class, on how many images."""

    methods: tuple[Method, ...] = ("saliency", "gradient_x_input", "grad_cam")
    target: Literal["predicted", "label"] = "predicted"
    sample: int | Literal["all"] = Field(
        default=200, description="Images explained, stratified by group and outcome; 0 for none."
    )
    cross_check: int = Field(default=8, ge=0, description="Images also explained by captum or tf-explain.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if isinstance(self.sample, int) and self.sample < 0:
            raise ValueError(f"sample must be 'all' or at least 0, got {self.sample}")
        return self


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
    execution: ExecutionConfig = Field(default_factory=ExecutionConfig)
    policy: str | None = None
    seed: int = 0

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [model.name for model in self.models]
        if len(set(names)) != len(names):
            raise ValueError(f"models must have different names, got {names}")
        return self


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
        if self.validation.keep is not None and self.data.split is None:
            raise ValueError("validation.keep needs data.split, whose column it names values of")
        names = ["label", *(attribute.name for attribute in self.data.groups)]
        if self.balance is not None and self.balance not in names:
            raise ValueError(f"balance is '{self.balance}', allowed: {names}.{nearest(self.balance, names)}")
        return self
