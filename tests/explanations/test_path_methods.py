"""SmoothGrad and integrated gradients on models whose gradients along the path are known in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from audit.errors import ConfigError
from audit.explanations import Batch, build
from audit.explanations.maps import Maps
from audit.models.numpy_adapter import NumpyAdapter
from tests.models.twins import images, numpy_twin

SHAPE = (4, 5, 3)


def linear(head: Any = "softmax", outputs: int = 3) -> NumpyAdapter:
    """Biases so large that no ReLU is ever shut."""
    rng = np.random.default_rng(8)
    weights = {
        "W1": rng.normal(size=(3, 6)),
        "b1": np.full(6, 100.0),
        "W2": rng.normal(size=(6, outputs)),
        "b2": rng.normal(size=outputs),
    }
    classes = ("a", "b", "c")[: max(outputs, 2)]
    return NumpyAdapter(weights, SHAPE, classes, dtype="float64", head=head)


def run(adapter: Any, method: str, n: int = 4, seed: int = 3, **settings: Any) -> tuple[Batch, Maps]:
    targets = np.arange(n) % len(adapter.spec.classes)
    batch = Batch.of(adapter, images(n, adapter.spec.dtype, adapter.spec.input_shape), targets, seed)
    (explainer,) = build([{"name": method, **settings}]).values()
    return batch, explainer.explain_or_refuse(batch)


@pytest.mark.parametrize(("head", "outputs"), [("softmax", 3), ("sigmoid", 1)])
@pytest.mark.parametrize("baseline", [0.0, 0.7])
def test_integrated_gradients_of_a_linear_model_are_exact(head: str, outputs: int, baseline: float) -> None:
    batch, found = run(linear(head, outputs), "integrated_gradients", baseline=baseline, steps=2)
    expected = ((batch.images - baseline) * batch.gradients.input_gradient).sum(axis=3)
    np.testing.assert_allclose(found.raw, expected, rtol=0, atol=1e-13)
    assert found.measures["completeness"].max() < 1e-12
    np.testing.assert_array_equal(found.measures["steps"], 2)
    assert [found.status_of(index) for index in range(4)] == ["ok"] * 4


@pytest.mark.parametrize("level", [0.1, 1.0])
def test_smooth_grad_of_a_linear_model_is_saliency(level: float) -> None:
    batch, found = run(linear(), "smooth_grad", level=level, copies=3)
    np.testing.assert_allclose(found.raw, np.abs(batch.gradients.input_gradient).max(axis=3), rtol=1e-12)


def test_passes_are_counted_and_least_is_what_was_used() -> None:
    for method, settings, rows in (
        ("smooth_grad", {"copies": 7}, 14),
        ("integrated_gradients", {"steps": 5}, 10),
    ):
        adapter = linear()
        before = adapter.used
        batch, found = run(adapter, method, **settings)
        baseline = 1 if method == "integrated_gradients" else 0
        assert adapter.used - before == 4 * 2 + 4 * rows + baseline  # the shared pass, the copies, the baseline
        (explainer,) = build([{"name": method, **settings}]).values()
        assert explainer.least(batch.spec) == rows
        assert found.least in (None, 4 * rows)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 32, "max_steps": 16}, r"max_steps is 16, less than steps \(32\)"),
        ({"steps": 1}, "'steps': Input should be greater than or equal to 2 .got 1."),
        ({"tolerance": 0}, "'tolerance': Input should be greater than 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build([{"name": "integrated_gradients", **settings}])


# --- models that are not linear, in PyTorch


def curved(function: Any) -> tuple[Any, np.ndarray]:
    """Scores ``sum_i w_ki f(x_i)`` of class k, and the weights of the class of each of four images."""
    torch = pytest.importorskip("torch")
    from audit.models.loading import wrap_model

    class Curved(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.from_numpy(np.random.default_rng(2).normal(size=(3, 60))))

        def forward(self, x: Any) -> Any:
            return function(x).permute(0, 2, 3, 1).flatten(1) @ self.weight.T

    module = Curved()
    adapter = wrap_model(module, ("a", "b", "c"), input_shape=SHAPE, dtype="float64", score="logit")
    weight = module.weight.detach().numpy().reshape(3, *SHAPE)
    return adapter, weight[np.arange(4) % 3]


@pytest.mark.torch
@pytest.mark.parametrize("baseline", [0.0, -0.5])
def test_a_quadratic_model_takes_two_nodes(baseline: float) -> None:
    """The gradient 2wx is linear along the path: w (x + b) (x - b), exactly."""
    adapter, weight = curved(lambda x: x**2)
    batch, found = run(adapter, "integrated_gradients", steps=2, baseline=baseline)
    np.testing.assert_allclose(found.raw, (weight * (batch.images**2 - baseline**2)).sum(axis=3), atol=1e-12)
    assert found.measures["completeness"].max() < 1e-12
    np.testing.assert_array_equal(found.measures["steps"], 2)


@pytest.mark.torch
def test_n_nodes_are_exact_to_degree_2n() -> None:
    """Gauss-Legendre with n nodes integrates the gradient's degree 2n - 1; one degree more is not exact."""
    for power, exact in ((6, True), (7, False)):
        adapter, weight = curved(lambda x, power=power: x**power)
        batch, found = run(adapter, "integrated_gradients", steps=3, max_steps=3)
        error = np.abs(found.raw - (weight * batch.images**power).sum(axis=3)).max() / np.abs(found.raw).max()
        assert bool(error < 1e-12) is exact


@pytest.mark.torch
def test_smooth_grad_of_a_quadratic_model_shifts_by_the_mean_noise() -> None:
    adapter, weight = curved(lambda x: x**2)
    batch, found = run(adapter, "smooth_grad", copies=5, level=0.2, seed=6)
    noise = np.random.default_rng([6, 1]).normal(size=(5, *SHAPE)).mean(axis=0)
    span = batch.images.max(axis=(1, 2, 3)) - batch.images.min(axis=(1, 2, 3))
    shifted = batch.images + 0.2 * span[:, None, None, None] * noise
    np.testing.assert_allclose(found.raw, np.abs(2 * weight * shifted).max(axis=3), atol=1e-12)


def rule(x: np.ndarray, panels: int, steps: int, slope: Any) -> np.ndarray:
    """Mean slope between 0 and x by a composite rule, node by node."""
    place, weight = np.polynomial.legendre.leggauss(steps)
    total = np.zeros_like(x)
    for panel in range(panels):
        for one, share in zip(place, weight, strict=True):
            total += share / (2 * panels) * slope(((one + 1) / 2 + panel) / panels * x)
    return total


@pytest.mark.torch
def test_further_rules_are_averaged_by_their_nodes_until_the_sum_is_exact() -> None:
    """A kink at 0.3, which no rule meets; tolerances that are met after one, two, three rules and never."""
    adapter, weight = curved(lambda x: (x - 0.3).abs())
    steps, seen = 4, set()
    for tolerance in (10.0, 0.05, 0.02, 1e-9):
        batch, found = run(adapter, "integrated_gradients", steps=steps, max_steps=28, tolerance=tolerance, floor=0.0)
        x = batch.images
        difference = (weight * (np.abs(x - 0.3) - 0.3)).sum(axis=(1, 2, 3))
        rules = [rule(x, panels, steps, lambda at: np.sign(at - 0.3)) for panels in (1, 2, 4)]
        means = [rules[0], (rules[0] + 2 * rules[1]) / 3, (rules[0] + 2 * rules[1] + 4 * rules[2]) / 7]
        drawn = [weight * x * mean for mean in means]
        errors = np.stack([np.abs(one.sum(axis=(1, 2, 3)) - difference) / np.abs(difference) for one in drawn])
        for index in range(4):
            met = errors[:, index] <= tolerance
            last = int(np.argmax(met)) if met.any() else 2
            seen.add((last, bool(met.any())))
            np.testing.assert_allclose(found.raw[index], drawn[last][index].sum(axis=2), atol=1e-12)
            assert found.measures["steps"][index] == steps * (2 ** (last + 1) - 1)
            assert found.status_of(index) == ("ok" if met.any() else "not_converged")
            assert found.measures["completeness"][index] == pytest.approx(errors[last, index], rel=1e-9)
    assert {(0, True), (1, True), (2, False)} <= seen


@pytest.mark.torch
def test_an_image_without_finite_gradients_is_named_alone() -> None:
    """The slope of a root is infinite at 0, in one pixel of one image."""
    adapter, _ = curved(lambda x: x.abs().sqrt())
    batch = images(3, "float64", SHAPE)
    batch[1, 2, 2, 0] = 0
    shared = Batch.of(adapter, batch, np.array([0, 1, 2]))
    for method in ("saliency", "gradient_x_input", "integrated_gradients"):
        found = build([method])[method].explain(shared)
        assert found.status_of(1) == "nonfinite"
        assert {found.status_of(0), found.status_of(2)} <= {"ok", "not_converged"}
        assert np.isfinite(found.raw[[0, 2]]).all()


def test_float32_keeps_its_type() -> None:
    adapter = numpy_twin()
    for method in ("smooth_grad", "integrated_gradients"):
        assert run(adapter, method)[1].raw.dtype == np.float32
