"""Networks moved by hand give the same scores, maps and gradients in both frameworks: the table of `explanations.md`.

Errors are the largest difference over the largest value, of the worst image. Double precision proves that the moving
is right; single precision shows what arithmetic leaves of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from scipy.stats import spearmanr

from audit.models.adapter import Copies, GradientPass, ModelAdapter
from audit.models.cams import CAM_KINDS
from tests.models.moved import PAIRS, Pair, Precision, mobilenet_v2, noise

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")
pytest.importorskip("keras")
pytest.importorskip("tensorflow")
pytestmark = [pytest.mark.torch, pytest.mark.tensorflow]

DEEP = ("resnet18", "mobilenet_v2")
IMAGES = 4


@dataclass(frozen=True)
class Limits:
    """Largest errors allowed; of the deep networks in single precision the gradients' ranks count instead."""

    scores: float
    cams: float
    gradients: float | None
    spearman: float = 0.999


def limits(name: str, dtype: Precision) -> Limits:
    if dtype == "float64":
        return Limits(1e-10, 1e-8, 1e-8)
    return Limits(1e-5, 1e-4, None if name in DEEP else 1e-4)


@cache
def moved(name: str, dtype: Precision) -> tuple[Pair, ModelAdapter, ModelAdapter]:
    pair = PAIRS[name](dtype)
    return (pair, *pair.adapters(dtype, micro_batch=IMAGES))


def error(found: np.ndarray, expected: np.ndarray) -> float:
    axes = tuple(range(1, expected.ndim))
    return float((np.abs(found - expected).max(axes) / np.abs(expected).max(axes)).max())


def ranks(found: np.ndarray, expected: np.ndarray) -> float:
    """Spearman of signed values, of the worst image."""
    pairs = zip(found, expected, strict=True)
    return min(float(spearmanr(one.ravel(), other.ravel()).statistic) for one, other in pairs)


def agree(found: np.ndarray, expected: np.ndarray, allowed: Limits) -> None:
    """Gradients agree, element by element or by rank."""
    assert np.abs(expected).max() > 0
    if allowed.gradients is not None:
        assert error(found, expected) < allowed.gradients
    assert ranks(found, expected) >= allowed.spearman


def passes(name: str, dtype: Precision) -> tuple[GradientPass, GradientPass, str, str]:
    pair, ours, theirs = moved(name, dtype)
    images = noise(IMAGES, pair.shape, dtype)
    targets = np.arange(IMAGES) % len(pair.classes)
    results = []
    for adapter in (ours, theirs):
        assert adapter.spec.layer is not None
        results.append(adapter.gradient_pass(images, targets, [adapter.spec.layer], CAM_KINDS))
    return (results[0], results[1], str(ours.spec.layer), str(theirs.spec.layer))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", PAIRS)
def test_one_pass(name: str, dtype: Precision) -> None:
    allowed = limits(name, dtype)
    mine, other, layer, their_layer = passes(name, dtype)
    assert mine.scores.dtype == other.scores.dtype == dtype
    assert error(mine.scores, other.scores) < allowed.scores
    largest = np.abs(other.scores).max(axis=1)
    assert (np.abs(mine.explained - other.explained) / largest).max() < allowed.scores
    for kind in CAM_KINDS:
        ours, theirs = (result.cams[at].maps[kind] for result, at in ((mine, layer), (other, their_layer)))
        assert ours.shape == theirs.shape
        assert ours.shape[1] != ours.shape[2]  # height and width cannot change places unseen
        assert error(ours, theirs) < allowed.cams, kind
    agree(mine.input_gradient, other.input_gradient, allowed)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", PAIRS)
def test_sums_over_copies(name: str, dtype: Precision) -> None:
    """A path from a grey baseline, as integrated gradients take it, with noise from NumPy that both share."""
    pair, ours, theirs = moved(name, dtype)
    points, weights = np.polynomial.legendre.leggauss(3)
    rng = np.random.default_rng(13)
    copies = Copies(
        weights=weights / 2,
        scales=(points + 1) / 2,
        baseline=np.full(pair.shape, 0.1),
        offsets=rng.normal(0, 0.05, (3, *pair.shape)),
    )
    images, targets = noise(2, pair.shape, dtype, seed=9), np.array([1, 0])
    mine, other = (adapter.gradient_sum(images, targets, copies) for adapter in (ours, theirs))
    assert error(mine.explained, other.explained) < 10 * limits(name, dtype).scores  # of one class, maybe a small score
    agree(mine.total, other.total, limits(name, dtype))


@pytest.mark.filterwarnings("ignore:TF32 acceleration on top of oneDNN")  # the switch sets it in passing
@pytest.mark.parametrize("name", ["plain_cnn", "deep_cnn", "resnet18"])
def test_without_the_kernels_that_both_frameworks_share(name: str) -> None:
    """Both may call oneDNN, and would then agree for no reason of ours: PyTorch computes without it."""
    with_them = passes(name, "float32")[0]
    with torch.backends.mkldnn.flags(enabled=False):
        mine, other, layer, their_layer = passes(name, "float32")
    assert not np.array_equal(mine.input_gradient, with_them.input_gradient)  # other kernels did run
    allowed = limits(name, "float32")
    assert error(mine.scores, other.scores) < allowed.scores
    assert error(mine.cams[layer].grad_cam, other.cams[their_layer].grad_cam) < allowed.cams
    agree(mine.input_gradient, other.input_gradient, allowed)


@pytest.mark.parametrize(
    ("fold", "shape"), [(False, (97, 65, 3)), (True, (96, 64, 3))], ids=["epsilon left alone", "even sides"]
)
def test_the_traps_are_real(fold: bool, shape: tuple[int, int, int]) -> None:
    """Without folding, and where TensorFlow pads one side only, the same weights give other scores."""
    pair = mobilenet_v2("float32", fold=fold, shape=shape)
    images = noise(2, shape, "float32")
    mine, other = (adapter.scores(images) for adapter in pair.adapters("float32", micro_batch=2))
    assert error(mine, other) > 0.01
