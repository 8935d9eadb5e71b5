"""Testing with concept activation vectors (TCAV): does a concept move the explained score, and for whom.

Kim et al. 2018. Of captum the layer gradients are used; its own TCAV class is not: it writes files, splits images with
an unseeded generator, and gives averages over all images, from which nothing can be said of groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

import numpy as np

from audit.errors import InputError, ModelError
from audit.models.adapter import ModelAdapter, ModelSpec, predicted
from audit.models.checks import check_targets

__all__ = ["ConceptResult", "ConceptScore", "concept_scores", "refusal"]

_LEAST_IMAGES = 8
_LEAST_RANDOM = 50  # the smallest p of the rank test is then 1/51


@dataclass(frozen=True)
class ConceptScore:
    """The TCAV score of some images.

    Attributes
    ----------
    n : int
        Images whose derivatives are finite.
    nonfinite : int
        Images left out because theirs are not.
    share : float or None
        Share of the images whose score rises along the concept, mean over the runs; None without images.
    low, high : float or None
        Smallest and largest share of a run: what the choice of the concept's images does, not a confidence interval.
    random : float or None
        The same share along directions of random concepts, mean.
    derivative : float or None
        Mean derivative of the explained score along the unit direction, over images and runs.
    random_derivative : float or None
        Mean absolute value of the same along single random concepts.
    p : float or None
        Two-sided rank test of `derivative` among those of the random concepts, the concept counted once whatever the
        number of runs; None where the concept has no direction.
    t_test_p : float or None
        Welch's t-test of the shares of the runs against those of the random concepts, as in Kim et al. 2018, section
        3.5; None where neither side varies. The runs share their images, so it calls too many concepts significant.
    """

    n: int
    nonfinite: int
    share: float | None
    low: float | None
    high: float | None
    random: float | None
    derivative: float | None
    random_derivative: float | None
    p: float | None
    t_test_p: float | None


@dataclass(frozen=True)
class ConceptResult:
    """Derivatives of the explained score along a concept, image by image.

    Attributes
    ----------
    layer : str
        In whose output the directions lie.
    targets : ndarray
        ``(N,)`` class whose score is explained.
    sensitivities : ndarray
        ``(N, runs)`` derivative along the unit direction of each run.
    random : ndarray
        ``(N, R)`` the same along random concepts, R at least 50.
    accuracy : ndarray
        ``(runs,)`` share of held-out images, as many with as without the concept, that each direction tells apart.
    held_out : int
        Number of held-out images of a run.
    status : str
        ``ok``, or ``not_separable``: held-out images are told apart no better than by chance (binomial test at 0.05,
        the images of one run counted once), so there is no direction of the concept at this layer.
    """

    layer: str
    targets: np.ndarray
    sensitivities: np.ndarray
    random: np.ndarray
    accuracy: np.ndarray
    held_out: int
    status: Literal["ok", "not_separable"]

    def score(self, rows: np.ndarray | None = None) -> ConceptScore:
        """TCAV score of all images, or of those where `rows`, ``(N,)`` of bool, is true."""
        chosen = np.ones(len(self.targets), bool) if rows is None else np.asarray(rows, bool)
        finite = np.isfinite(self.sensitivities).all(axis=1) & np.isfinite(self.random).all(axis=1)
        used = chosen & finite
        n, nonfinite = int(used.sum()), int((chosen & ~finite).sum())
        if n == 0:
            return ConceptScore(0, nonfinite, None, None, None, None, None, None, None, None)
        ours, theirs = self.sensitivities[used], self.random[used]
        shares, others = ((values > 0).mean(axis=0) for values in (ours, theirs))
        derivative, chance = float(ours.mean()), np.abs(theirs.mean(axis=0))
        known = self.status == "ok"
        return ConceptScore(
            n=n,
            nonfinite=nonfinite,
            share=float(shares.mean()),
            low=float(shares.min()),
            high=float(shares.max()),
            random=float(others.mean()),
            derivative=derivative,
            random_derivative=float(chance.mean()),
            p=float((1 + (chance >= abs(derivative)).sum()) / (1 + len(chance))) if known else None,
            t_test_p=_welch(shares, others) if known else None,
        )

    def by(self, labels: np.ndarray) -> dict[str, ConceptScore]:
        """TCAV score of the images of each label, ``(N,)`` of any type, in the order of the labels."""
        names = np.asarray([str(label) for label in labels])
        return {str(name): self.score(names == name) for name in np.unique(names)}


def refusal(spec: ModelSpec, layer: str | None = None) -> str | None:
    """Why concepts cannot be tested on a model; None where they can."""
    if spec.framework != "torch":
        return (
            f"TCAV needs gradients of a layer's output, which are there for torch only, the model is {spec.framework}"
        )
    if find_spec("captum") is None:
        return "TCAV uses captum, which is not installed"
    if "gradients" not in spec.capabilities:
        return "TCAV needs gradients, which the model does not give"
    if layer is None and spec.layer is None:
        return "TCAV needs a layer, and the model has none with a spatial output; name one"
    return None


def concept_scores(
    adapter: ModelAdapter,
    images: np.ndarray,
    targets: np.ndarray | str,
    concept_images: np.ndarray,
    other_images: np.ndarray,
    layer: str | None = None,
    runs: int = 10,
    seed: int = 0,
) -> ConceptResult:
    """Derivatives of the explained score along the direction of a concept in a layer's output.

    A direction is the unit normal of a ridge regression that tells images with the concept from others. Each run fits
    one to a random half of both and judges it by the other halves. A random concept is one random set of the other
    images against another. That a score rises along a direction does not show that the model was taught the concept:
    whatever goes along with the concept in its images lies on the direction too.

    Parameters
    ----------
    adapter : ModelAdapter
        Of a PyTorch model.
    images : ndarray
        ``(N, H, W, C)`` whose scores are explained.
    targets : ndarray or 'predicted'
        ``(N,)``.
    concept_images, other_images : ndarray
        At least 8 each, ``(M, H, W, C)``, with and without the concept and alike in other ways; not among `images`.
    layer : str, optional
        That of the class activation maps where left out.
    runs : int
        At least 2.
    seed : int
        Of the halves and the random concepts.

    Returns
    -------
    ConceptResult

    Raises
    ------
    ModelError
        The model is none of PyTorch, or has no such layer.
    InputError
        There are too few images or runs.
    """
    reason = refusal(adapter.spec, layer)
    if reason is not None:
        raise ModelError(reason)
    _check(concept_images, other_images, runs)
    place = layer or adapter.spec.layer or ""
    shown, others = (
        adapter.activations(part, place).reshape(len(part), -1).astype(np.float64)
        for part in (concept_images, other_images)
    )
    rng = np.random.default_rng([seed, 4])
    half = min(len(shown), len(others)) // 2
    fitted = [_run(shown, others, half, rng) for _ in range(runs)]
    chance = [_random_direction(others, half, rng) for _ in range(max(runs, _LEAST_RANDOM))]
    chosen = check_targets(adapter.spec, targets, len(images))
    if chosen is None:
        chosen = predicted(adapter.spec, adapter.scores(images))

    from audit.explanations.captum_layers import directional_derivatives

    directions = np.stack([direction for direction, _ in fitted] + chance, axis=1)
    found = directional_derivatives(adapter, images, chosen, place, directions)
    accuracy = np.array([right for _, right in fitted])
    held_out = 2 * half
    return ConceptResult(
        layer=place,
        targets=chosen,
        sensitivities=found[:, :runs],
        random=found[:, runs:],
        accuracy=accuracy,
        held_out=held_out,
        status="ok" if _told_apart(float(accuracy.mean()), held_out) else "not_separable",
    )


def _check(concept_images: np.ndarray, other_images: np.ndarray, runs: int) -> None:
    for name, part in (("with", concept_images), ("without", other_images)):
        if len(part) < _LEAST_IMAGES:
            raise InputError(
                f"there are {len(part)} images {name} the concept, TCAV needs at least {_LEAST_IMAGES}",
                fix="give more images of both kinds",
            )
    if runs < 2:
        raise InputError(f"runs is {runs}, TCAV needs at least 2")


def _run(shown: np.ndarray, others: np.ndarray, half: int, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Direction fitted to half of the images, and the share of the others that it tells apart."""
    orders = [rng.permutation(len(part)) for part in (shown, others)]
    fit = [part[order[:half]] for part, order in zip((shown, others), orders, strict=True)]
    held = [part[order[half : 2 * half]] for part, order in zip((shown, others), orders, strict=True)]
    direction, middle = _direction(*fit)
    right = [(held[0] - middle) @ direction > 0, (held[1] - middle) @ direction < 0]
    return direction, float(np.concatenate(right).mean())


def _random_direction(others: np.ndarray, half: int, rng: np.random.Generator) -> np.ndarray:
    order = rng.permutation(len(others))
    return _direction(others[order[:half]], others[order[half : 2 * half]])[0]


def _direction(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit normal from `second` to `first` of as many rows each, ``(D,)``, and the point halfway between.

    Ridge regression of +1 and -1 in its dual form; the penalty is the mean squared length of a centred row.
    """
    middle = (first.mean(axis=0) + second.mean(axis=0)) / 2
    rows = np.concatenate([first, second]) - middle
    products = rows @ rows.T
    penalty = float(np.trace(products)) / len(rows)
    if penalty == 0:
        return np.zeros(rows.shape[1]), middle
    signs = np.repeat([1.0, -1.0], [len(first), len(second)])
    normal = rows.T @ np.linalg.solve(products + penalty * np.eye(len(rows)), signs)
    length = float(np.linalg.norm(normal))
    return (normal / length if length > 0 else normal), middle


def _told_apart(accuracy: float, held_out: int) -> bool:
    from scipy import stats

    right = int(np.floor(accuracy * held_out + 1e-9))
    return bool(stats.binomtest(right, held_out, 0.5, alternative="greater").pvalue < 0.05)


def _welch(shares: np.ndarray, others: np.ndarray) -> float | None:
    if np.ptp(shares) == 0 and np.ptp(others) == 0:
        return None
    from scipy import stats

    parts = np.array([values.var(ddof=1) / len(values) for values in (shares, others)])
    freedom = parts.sum() ** 2 / (parts**2 / [len(shares) - 1, len(others) - 1]).sum()
    return float(2 * stats.t.sf(abs(shares.mean() - others.mean()) / np.sqrt(parts.sum()), freedom))
