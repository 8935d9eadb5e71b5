"""A second opinion: our maps against those of an independent package, image by image.

PyTorch models go through captum, Keras models through tf-explain; what cannot be checked is
returned as not measured, with the reason.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal, NamedTuple

import numpy as np

from audit.errors import FaircamError
from audit.explanations.explainer import Explainer
from audit.models.adapter import ModelAdapter

__all__ = ["CrossCheck", "Opinion", "cross_check"]


class Opinion(NamedTuple):
    """What a provider computed for one image.

    Attributes
    ----------
    raw : ndarray
        ``(h, w)`` map in our definition of the method.
    note : str
        What of the package was called, and what had to be corrected.
    """

    raw: np.ndarray
    note: str


@dataclass(frozen=True)
class CrossCheck:
    """How far two implementations of one method differ on one image.

    Attributes
    ----------
    method : str
        Name of the method.
    provider : str
        The other package; ``none`` where there is none for the framework.
    image_index : int
        Row of the image among those given.
    max_difference : float or None
        Largest absolute difference over the largest absolute value of our map.
    spearman : float or None
        Rank correlation of the two maps; None where one of them is constant.
    status : str
        ``ok``, ``undefined`` (our map is zero everywhere or not finite) or ``not_measured``.
    note : str
        What was called and corrected, or why it was not measured.
    """

    method: str
    provider: str
    image_index: int
    max_difference: float | None
    spearman: float | None
    status: Literal["ok", "undefined", "not_measured"]
    note: str


class _Provider(NamedTuple):
    name: str
    package: str
    module: str


_PROVIDERS = {
    "torch": _Provider("captum", "captum", "audit.explanations.captum_provider"),
    "keras": _Provider("tf-explain", "tf_explain", "audit.explanations.tf_explain_provider"),
}

Explain = Callable[[np.ndarray, int], Opinion]


def cross_check(
    adapter: ModelAdapter,
    images: np.ndarray,
    targets: np.ndarray,
    maps: Mapping[str, Sequence[np.ndarray]],
    explainers: Mapping[str, Explainer] | None = None,
    seed: int | None = None,
) -> list[CrossCheck]:
    """Compare our maps with an independent implementation on the same model.

    Parameters
    ----------
    adapter : ModelAdapter
        The model audited.
    images : ndarray
        ``(N, H, W, C)``, as the model saw them.
    targets : ndarray
        ``(N,)`` class that each map explains.
    maps : mapping of str to sequence of ndarray
        Our raw maps by method, one an image.
    explainers : mapping of str to Explainer, optional
        Our methods by name, whose settings the other implementation gets too; those left out have the defaults.
    seed : int, optional
        Of the noise in our maps; without it methods that draw noise are not measured.

    Returns
    -------
    list of CrossCheck
        One for each method and image, also where nothing could be measured.
    """
    provider = _PROVIDERS.get(adapter.spec.framework)
    if provider is None:
        reason = f"no independent implementation for the framework '{adapter.spec.framework}'"
        return [_unmeasured("none", method, i, reason) for method in maps for i in range(len(images))]
    if find_spec(provider.package) is None:
        reason = f"{provider.name} is not installed"
        return [_unmeasured(provider.name, method, i, reason) for method in maps for i in range(len(images))]
    settings = explainers or {}
    found: list[CrossCheck] = []
    for method, ours in maps.items():

        def opened(method: str = method) -> AbstractContextManager[Explain]:
            module = importlib.import_module(provider.module)
            context: AbstractContextManager[Explain] = module.opened(adapter, method, settings.get(method), seed)
            return context

        found += _checked(provider.name, method, opened, (images, targets, ours))
    return found


def _checked(
    provider: str,
    method: str,
    opened: Callable[[], AbstractContextManager[Explain]],
    data: tuple[np.ndarray, np.ndarray, Sequence[np.ndarray]],
) -> list[CrossCheck]:
    images, targets, ours = data
    found: list[CrossCheck] = []
    try:
        with opened() as explain:
            for index, (target, raw) in enumerate(zip(targets, ours, strict=True)):
                opinion = explain(images[index : index + 1], int(target))
                found.append(_compared(provider, method, index, raw, opinion))
    except Exception as error:  # whatever the other package fails with is said, not hidden
        reason = str(error) if isinstance(error, FaircamError) else _failure(provider, error)
        found += [_unmeasured(provider, method, i, reason) for i in range(len(found), len(images))]
    return found


def _failure(name: str, error: Exception) -> str:
    return f"{name} failed: {type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _compared(provider: str, method: str, index: int, ours: np.ndarray, opinion: Opinion) -> CrossCheck:
    if opinion.raw.shape != ours.shape:
        reason = f"{provider} gave a map of {opinion.raw.shape}, ours is {ours.shape}"
        return _unmeasured(provider, method, index, reason)
    largest = float(np.abs(ours).max())
    difference = float(np.abs(ours.astype(np.float64) - opinion.raw).max())
    if not np.isfinite(largest) or (largest == 0 and difference > 0):
        note = f"{opinion.note}; our map is {'zero everywhere' if largest == 0 else 'not finite'}"
        return CrossCheck(method, provider, index, None, None, "undefined", note)
    relative = difference / largest if largest else 0.0
    return CrossCheck(method, provider, index, relative, _spearman(ours, opinion.raw), "ok", opinion.note)


def _spearman(ours: np.ndarray, theirs: np.ndarray) -> float | None:
    from scipy.stats import rankdata

    ranks = [rankdata(raw.ravel()) for raw in (ours, theirs)]
    if any(np.ptp(rank) == 0 for rank in ranks):
        return None
    return float(np.corrcoef(*ranks)[0, 1])


def _unmeasured(provider: str, method: str, index: int, reason: str) -> CrossCheck:
    return CrossCheck(method, provider, index, None, None, "not_measured", reason)
