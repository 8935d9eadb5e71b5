"""The conformance suite for methods of explanation: it checks values, on a model that can be explained and on none."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from audit.errors import FaircamError, ModelError
from audit.explanations.explainer import Batch, Explainer
from audit.explanations.maps import Maps
from audit.models.adapter import ModelAdapter
from audit.models.callable_adapter import CallableAdapter
from audit.models.cams import CAM_KINDS

__all__ = ["ExplainerFault", "check_explainer"]

_IMAGES = 5


class ExplainerFault(AssertionError):
    """A method does not keep what `audit.explanations.Explainer` promises."""


def check_explainer(explainer: Explainer, adapter: ModelAdapter, images: np.ndarray | None = None) -> list[str]:
    """Hold a method against everything that is promised of one.

    Parameters
    ----------
    explainer : Explainer
    adapter : ModelAdapter
        With a model that the method can explain.
    images : ndarray, optional
        ``(N, H, W, C)`` in the model's range, N at least 2; noise in [-1, 1] by default.

    Returns
    -------
    list of str
        Names of the checks that were made.

    Raises
    ------
    ExplainerFault
        A check failed; the message says which and by how much.
    """
    if images is None:
        noise = np.random.default_rng(7).uniform(-1, 1, (_IMAGES, *adapter.spec.input_shape))
        images = noise.astype(adapter.spec.dtype)
    checks: list[Callable[[Explainer, ModelAdapter, np.ndarray], None]] = [
        _describes_itself,
        _maps_every_image,
        _repeats,
        _stands_alone,
        _counts_its_work,
        _explains_the_target,
    ]
    if explainer.needs - {"scores"} or explainer.frameworks is not None:
        checks.append(_refuses_a_black_box)
    for check in checks:
        check(explainer, adapter, images.copy())
    return [check.__name__.removeprefix("_") for check in checks]


def _describes_itself(explainer: Explainer, adapter: ModelAdapter, images: np.ndarray) -> None:
    """Name, title and definition are there, and the model is not refused."""
    del images
    for key in ("name", "title", "definition", "provider"):
        value = getattr(explainer, key, "")
        _expect(isinstance(value, str) and bool(value.strip()), f"it has no {key}")
    _expect(explainer.name.isidentifier(), f"its name '{explainer.name}' is no identifier, which columns need")
    reason = explainer.refusal(adapter.spec)
    _expect(reason is None, f"it refuses the model: {reason}")


def _maps_every_image(explainer: Explainer, adapter: ModelAdapter, images: np.ndarray) -> None:
    """Maps are finite floats, one an image; images are left alone; unsigned maps are not negative."""
    before = images.copy()
    maps = _explained(explainer, adapter, images)
    _expect(bool((images == before).all()), "the images given were overwritten")
    _expect(maps.raw.dtype.kind == "f", f"maps are {maps.raw.dtype}")
    _expect(bool(np.isfinite(maps.raw).all()), "a map is not finite on finite images")
    _expect(explainer.signed or bool((maps.raw >= 0).all()), "maps are declared unsigned, and one is negative")
    for name, values in maps.measures.items():
        _expect(np.shape(values) == (len(images),), f"measure '{name}' has shape {np.shape(values)}")
    _expect(maps.status is None or len(maps.status) == len(images), "there is not one status an image")


def _repeats(explainer: Explainer, adapter: ModelAdapter, images: np.ndarray) -> None:
    """The same seed gives the same maps; another one changes those of a method that says that it is noisy."""
    first, again = (_explained(explainer, adapter, images, seed=3).raw for _ in range(2))
    _expect(bool((first == again).all()), "two calls with one seed differ")
    other = _explained(explainer, adapter, images, seed=4).raw
    moved = bool((first != other).any())
    _expect(
        moved == explainer.noisy, "it depends on the seed" if moved else "it is declared noisy, and no seed moves it"
    )


def _stands_alone(explainer: Explainer, adapter: ModelAdapter, images: np.ndarray) -> None:
    """An image's map does not depend on its batch mates or on its place among them."""
    whole = _explained(explainer, adapter, images).raw
    turned = _explained(explainer, adapter, images[::-1].copy()).raw[::-1]
    _close("maps of turned images", adapter, turned, whole)
    alone = _explained(explainer, adapter, images[:1]).raw
    _close("the map of one image and of a batch", adapter, alone, whole[:1])


def _counts_its_work(explainer: Explainer, adapter: ModelAdapter, images: np.ndarray) -> None:
    """Passes beyond the shared one are counted, and `least` does not promise more than is done."""
    batch = _batch(explainer, adapter, images, 0)
    before = adapter.used
    maps = explainer.explain(batch)
    least = maps.least if maps.least is not None else len(images) * explainer.least(adapter.spec)
    used = adapter.used - before
    _expect(
        least >= 0 and used >= least * (1 - 1e-9),
        f"it used {used} forward-equivalents, and says that {least} are needed",
    )


def _explains_the_target(explainer: Explainer, adapter: ModelAdapter, images: np.ndarray) -> None:
    """Targets are each image's own: those of a mixed batch are the same as alone."""
    targets = np.arange(len(images)) % len(adapter.spec.classes)
    mixed = _explained(explainer, adapter, images, targets=targets).raw
    alone = _explained(explainer, adapter, images[1:2], targets=targets[1:2]).raw
    _close("the map for the image's own target", adapter, mixed[1:2], alone)


def _refuses_a_black_box(explainer: Explainer, adapter: ModelAdapter, images: np.ndarray) -> None:
    """What needs more than scores says so of a function, with a reason."""
    spec = adapter.spec
    box = CallableAdapter(
        adapter.scores, classes=spec.classes, input_shape=spec.input_shape, head=spec.head, score=spec.score
    )
    _expect(bool(explainer.refusal(box.spec)), "it does not refuse a black box")
    try:
        explainer.explain_or_refuse(Batch.of(box, images.astype(np.float32), "predicted"))
    except ModelError:
        return
    except FaircamError as error:
        raise ExplainerFault(f"a black box: ModelError expected, {type(error).__name__} was raised") from error
    raise ExplainerFault("a black box: ModelError expected, nothing was raised")


def _batch(
    explainer: Explainer, adapter: ModelAdapter, images: np.ndarray, seed: int, targets: np.ndarray | str = "predicted"
) -> Batch:
    return Batch.of(adapter, images, targets, seed, explainer.cams or CAM_KINDS)


def _explained(
    explainer: Explainer,
    adapter: ModelAdapter,
    images: np.ndarray,
    *,
    seed: int = 0,
    targets: np.ndarray | str = "predicted",
) -> Maps:
    return explainer.explain_or_refuse(_batch(explainer, adapter, images, seed, targets))


def _close(what: str, adapter: ModelAdapter, found: np.ndarray, expected: np.ndarray) -> None:
    """Equal up to rounding, relative to the largest value."""
    tolerance = 1e-8 if adapter.spec.dtype == "float64" else 1e-3
    scale = float(np.abs(expected).max()) or 1.0
    worst = float(np.abs(found.astype(np.float64) - expected).max()) / scale
    _expect(worst <= tolerance, f"{what} differ by {worst:.1e} of the largest value")


def _expect(kept: bool, message: str) -> None:
    if not kept:
        raise ExplainerFault(message)
