"""What every method of explanation is: a small frozen configuration that turns a batch into raw maps.

The methods themselves are in `gradient_methods`, `path_methods`, `perturbation_methods` and the modules of the
providers; `registry` finds one by its name.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from audit.config_file import Section
from audit.errors import InputError, ModelError
from audit.explanations.maps import Maps
from audit.explanations.targets import target_probabilities
from audit.models.adapter import CamKind, GradientPass, ModelAdapter, ModelSpec, predicted

__all__ = ["Batch", "Explainer"]


@dataclass(frozen=True)
class Batch:
    """Images that are explained together, and the pass that the methods share.

    Attributes
    ----------
    adapter : ModelAdapter
    images : ndarray
        ``(N, H, W, C)`` as the model sees them.
    targets : ndarray
        ``(N,)`` class that is explained.
    scores : ndarray
        ``(N, K)`` of the whole images.
    seed : int
        Of noise and masks, which are the same for every image, model and framework.
    shared : GradientPass or None
        One forward and backward pass with the maps of the layer; None for a black box.
    """

    adapter: ModelAdapter
    images: np.ndarray
    targets: np.ndarray
    scores: np.ndarray
    seed: int = 0
    shared: GradientPass | None = None

    @staticmethod
    def of(
        adapter: ModelAdapter,
        images: np.ndarray,
        targets: np.ndarray | str,
        seed: int = 0,
        cams: tuple[CamKind, ...] = ("grad_cam",),
    ) -> Batch:
        """Resolve the targets, and make the shared pass where the model has gradients."""
        spec = adapter.spec
        if "gradients" in spec.capabilities:
            layers = (spec.layer,) if spec.layer and cams else ()
            done = adapter.gradient_pass(images, targets, layers, cams or ("grad_cam",))
            return Batch(adapter, images, done.targets, done.scores, seed, done)
        scores = adapter.scores(images)
        chosen = predicted(spec, scores) if isinstance(targets, str) else np.asarray(targets)
        return Batch(adapter, images, chosen, scores, seed)

    @property
    def spec(self) -> ModelSpec:
        """Of the model."""
        return self.adapter.spec

    @property
    def gradients(self) -> GradientPass:
        """The shared pass.

        Raises
        ------
        ModelError
            The model is a black box.
        """
        if self.shared is None:
            raise ModelError("gives scores but no gradients, so only methods that need none apply")
        return self.shared

    @property
    def layer(self) -> str:
        """Layer of the class activation maps.

        Raises
        ------
        ModelError
            The model has none.
        """
        if self.spec.layer is None:
            raise ModelError("has no layer with a spatial output, which class activation maps need")
        return self.spec.layer

    @cached_property
    def probability(self) -> np.ndarray:
        """``(N,)`` float64 probability of the target on the whole image."""
        return target_probabilities(self.spec, self.scores[:, None], self.targets)[:, 0]


class Explainer(Section):
    """One way to explain a decision; its fields are its settings.

    A plug-in derives from it, sets the class variables and is registered under the entry point group
    ``faircam.explainers``.

    Attributes
    ----------
    name : str
        Name in configurations and tables.
    title : str
        Name in reports.
    definition : str
        What exactly is computed, with its source.
    signed : bool
        Whether negative values occur and mean evidence against the target.
    needs : frozenset of str
        Capabilities that a model must have.
    frameworks : frozenset of str or None
        Frameworks in which there is a sound implementation; all where None.
    needs_layer : bool
        Whether it looks at a layer rather than at the image.
    cams : tuple of str
        Class activation maps that the shared pass must give.
    noisy : bool
        Whether maps depend on the seed.
    provider : str
        Package whose implementation runs: ``faircam``, ``captum`` or ``tf-explain``.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    definition: ClassVar[str]
    signed: ClassVar[bool] = False
    needs: ClassVar[frozenset[str]] = frozenset({"gradients"})
    frameworks: ClassVar[frozenset[str] | None] = None
    needs_layer: ClassVar[bool] = False
    cams: ClassVar[tuple[CamKind, ...]] = ()
    noisy: ClassVar[bool] = False
    provider: ClassVar[str] = "faircam"

    def refusal(self, spec: ModelSpec) -> str | None:
        """Why a model cannot be explained this way; None where it can."""
        if self.frameworks is not None and spec.framework not in self.frameworks:
            known = " and ".join(sorted(self.frameworks))
            return f"there is a sound implementation of {self.title} for {known} only, the model is {spec.framework}"
        missing = sorted(self.needs - spec.capabilities)
        if missing:
            return f"{self.title} needs {' and '.join(missing)}, which the model does not give"
        if self.needs_layer and spec.layer is None:
            return f"{self.title} needs a layer with a spatial output, and the model has none"
        return None

    @abstractmethod
    def explain(self, batch: Batch) -> Maps:
        """Raw maps of a batch."""

    def least(self, spec: ModelSpec) -> float:
        """Least forward-equivalents that an image costs beyond the shared pass; 0 where that suffices."""
        del spec
        return 0.0

    def explain_or_refuse(self, batch: Batch) -> Maps:
        """Raw maps of a batch, after checking that the model can be explained this way.

        Raises
        ------
        ModelError
            It cannot.
        """
        reason = self.refusal(batch.spec)
        if reason is not None:
            raise ModelError(reason)
        maps = self.explain(batch)
        if maps.raw.ndim != 3 or len(maps.raw) != len(batch.images):
            raise InputError(
                f"method '{self.name}' gave maps of shape {maps.raw.shape} for {len(batch.images)} images, "
                "expected (N, h, w)"
            )
        return maps
