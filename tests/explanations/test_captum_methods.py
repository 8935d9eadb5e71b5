"""captum's rules against their own definition, in matrices; and networks that they do not follow."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from audit.errors import ModelError
from audit.explanations import Batch, build, explainers
from audit.explanations.maps import Maps
from audit.models.loading import wrap_model
from tests.explanations.matrices import Layered
from tests.models.twins import images, numpy_twin

torch = pytest.importorskip("torch")
pytest.importorskip("captum")
nn = torch.nn
F = nn.functional
pytestmark = pytest.mark.torch

SHAPE = (8, 8, 3)
TARGETS = np.array([0, 1, 2, 3])


def plain(bias: bool = True, inplace: bool = False) -> Any:
    torch.manual_seed(4)
    layers = [
        nn.Conv2d(3, 5, 3, padding=1, bias=bias),
        nn.ReLU(inplace=inplace),
        nn.MaxPool2d(2),
        nn.Conv2d(5, 6, 3, padding=1, bias=bias),
        nn.ReLU(inplace=inplace),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(24, 4, bias=bias),
    ]
    return nn.Sequential(*layers).double()


def batch_of(module: Any, n: int = 4, outputs: int = 4, dtype: str = "float64", **options: Any) -> Batch:
    classes = tuple("abcdefgh"[: max(outputs, 2)])
    adapter = wrap_model(module, classes, input_shape=SHAPE, dtype=dtype, **options)
    targets = np.arange(n) % len(classes)
    return Batch.of(adapter, images(n, dtype, SHAPE), targets, seed=9)


def drawn(module: Any, method: str, n: int = 4, outputs: int = 4, **settings: Any) -> Maps:
    (explainer,) = build([{"name": method, **settings}]).values()
    return explainer.explain_or_refuse(batch_of(module, n, outputs))


def close(found: np.ndarray, expected: np.ndarray, tolerance: float = 1e-10) -> None:
    assert found.shape == expected.shape
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


class Residual(nn.Module):  # type: ignore[misc, name-defined]
    """A block whose ReLU shares its input with a skip, before and after; every activation a module of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.relu1, self.relu2 = nn.ReLU(inplace=True), nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.fc = nn.Linear(4 * 16, 4)
        self.norm.running_mean.uniform_(-1, 1)
        self.norm.running_var.uniform_(0.5, 2)

    def forward(self, x: Any) -> Any:
        before = self.norm(self.conv1(x))
        after = self.conv2(self.relu1(before.clone())) + before
        return self.fc(self.pool(self.relu2(after)).flatten(1) / 2)


class Shared(nn.Module):  # type: ignore[misc, name-defined]
    """Its first ReLU is given the very tensor that the skip adds."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()
        self.fc = nn.Linear(4 * 64, 4)

    def forward(self, x: Any) -> Any:
        before = self.conv1(x)
        return self.fc(self.relu2(self.conv2(self.relu1(before)) + before).flatten(1))


class Functional(nn.Module):  # type: ignore[misc, name-defined]
    """ReLU and flattening as functions."""

    def __init__(self, inner: Any = F.relu) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(4 * 64, 4)
        self.inner = inner

    def forward(self, x: Any) -> Any:
        return self.fc(self.relu(self.conv2(self.inner(self.conv1(x)))).flatten(1))


class Reused(nn.Module):  # type: ignore[misc, name-defined]
    """One ReLU for both layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(4 * 64, 4)

    def forward(self, x: Any) -> Any:
        return self.fc(self.relu(self.conv2(self.relu(self.conv1(x)))).flatten(1))


class Guided(torch.autograd.Function):  # type: ignore[misc]
    """A ReLU with the gradient of guided backpropagation."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        (x,) = ctx.saved_tensors
        return gradient.clamp(min=0) * (x > 0)


class GuidedReLU(nn.Module):  # type: ignore[misc, name-defined]
    def forward(self, x: Any) -> Any:
        return Guided.apply(x)


def guided(module: Any, n: int = 4) -> np.ndarray:
    """The same network with every ReLU replaced by one whose gradient is the guided one."""
    other = copy.deepcopy(module).double().eval()
    for name, part in list(other.named_modules(remove_duplicate=False)):
        if isinstance(part, nn.ReLU):
            other.set_submodule(name, GuidedReLU())
    inputs = torch.from_numpy(images(n, "float64", SHAPE)).permute(0, 3, 1, 2).requires_grad_()
    scores = other(inputs)
    scores[torch.arange(n), torch.arange(n) % 4].sum().backward()
    return np.asarray(inputs.grad.abs().amax(dim=1).numpy())


# --- DeepLift


def unpooled() -> Any:
    torch.manual_seed(2)
    return nn.Sequential(
        nn.Conv2d(3, 5, 3, padding=1), nn.ReLU(), nn.Conv2d(5, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 4)
    ).double()


@pytest.mark.parametrize(("module", "baseline"), [(plain, 0.0), (unpooled, 0.4)])
def test_deep_lift_is_the_rescale_rule(module: Any, baseline: float) -> None:
    """Pooling a flat image ties, and where its numbers are rounded, so does which pixel is the largest."""
    found = drawn(module(), "deep_lift", baseline=baseline)
    layered = Layered(module(), SHAPE)
    expected = [layered.deep_lift(x, baseline, t) for x, t in zip(images(4, "float64", SHAPE), TARGETS, strict=True)]
    close(found.raw, np.stack(expected))
    assert found.measures["completeness"].max() < 1e-12
    assert [found.status_of(index) for index in range(4)] == ["ok"] * 4


@pytest.mark.parametrize("network", [Residual, Shared])
def test_deep_lift_is_complete_where_a_relu_shares_its_input(network: Any) -> None:
    torch.manual_seed(0)
    found = drawn(network().double(), "deep_lift", baseline=0.3)
    assert found.measures["completeness"].max() < 1e-12


def test_deep_lift_of_a_linear_network_is_gradient_times_difference() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(72, 4)).double()
    batch = batch_of(module)
    found = build([{"name": "deep_lift", "baseline": 0.5}])["deep_lift"].explain(batch)
    close(found.raw, ((batch.images - 0.5) * batch.gradients.input_gradient).sum(axis=3))


def test_what_deep_lift_loses_shows_as_not_converged(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second line of defence: networks that are refused, run all the same."""
    monkeypatch.setattr("audit.explanations.captum_backend.refuse", lambda *_: None)
    torch.manual_seed(0)
    overlapping = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(3, 1), nn.Flatten(), nn.Linear(64, 4)
    ).double()
    for module in (Functional().double(), overlapping):
        found = drawn(module, "deep_lift", baseline=0.3)
        assert found.measures["completeness"].min() > 0.01
        assert [found.status_of(index) for index in range(4)] == ["not_converged"] * 4


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (Functional(), r"it computes Relu outside of the modules that captum has a rule for \(ReLU, ELU,"),
        (Functional(lambda x: x * torch.sigmoid(x)), "it computes (Sigmoid, )?Mul of 2 activations"),
        (Functional(lambda x: 1 / (x + 9)), "it computes (Div by an activation|Reciprocal|Mul, Reciprocal) outside"),
        (Reused(), "it runs 'relu' more than once"),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.SiLU(), nn.Flatten(), nn.Linear(144, 4)), "it computes Silu outside"),
        (
            nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(3, 1), nn.Flatten(), nn.Linear(64, 4)),
            "the windows of '2' overlap",
        ),
        (
            nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 4)),
            "it computes NativeGroupNorm outside",
        ),
    ],
)
def test_networks_that_deep_lift_does_not_follow_are_refused(module: Any, reason: str) -> None:
    with pytest.raises(ModelError, match=f"DeepLift by captum is not possible on this network: {reason}"):
        drawn(module, "deep_lift")


# --- guided backpropagation


def residual() -> Any:
    torch.manual_seed(0)
    return Residual()


def resnet() -> Any:
    torchvision = pytest.importorskip("torchvision")
    torch.manual_seed(0)
    return torchvision.models.resnet18(weights=None, num_classes=4)


@pytest.mark.parametrize("module", [plain, residual, Shared, Reused, resnet, lambda: plain(inplace=True)])
def test_guided_backpropagation_equals_relus_with_that_gradient(module: Any) -> None:
    network = module()
    close(drawn(network, "guided_backpropagation", n=2).raw, guided(network, n=2))


def test_guided_backpropagation_by_matrices() -> None:
    layered = Layered(plain(), SHAPE)
    expected = [layered.guided(x, t) for x, t in zip(images(4, "float64", SHAPE), TARGETS, strict=True)]
    close(drawn(plain(), "guided_backpropagation").raw, np.stack(expected))


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (Functional(), "it computes Relu outside of nn.ReLU modules, where captum changes no gradient"),
        (Functional(nn.ReLU6()), "it computes Hardtanh outside of nn.ReLU"),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(144, 4)), "it has no nn.ReLU module"),
    ],
)
def test_networks_that_guided_backpropagation_does_not_follow_are_refused(module: Any, reason: str) -> None:
    with pytest.raises(ModelError, match=f"Guided backpropagation by captum is not possible on this network: {reason}"):
        drawn(module, "guided_backpropagation")


# --- LRP


@pytest.mark.parametrize(("epsilon", "gamma"), [(1e-9, 0.0), (0.1, 0.0), (1e-6, 0.25), (0.01, 1.0)])
def test_lrp_by_matrices(epsilon: float, gamma: float) -> None:
    layered = Layered(plain(), SHAPE)
    batch = images(4, "float64", SHAPE)
    expected = np.stack([layered.lrp(x, t, epsilon, gamma) for x, t in zip(batch, TARGETS, strict=True)])
    close(drawn(plain(), "lrp", epsilon=epsilon, gamma=gamma).raw, expected, 1e-9)


def built(name: str, shape: tuple[int, int, int]) -> Any:
    from audit.models.torch_networks import build as build_network

    torch.manual_seed(0)
    module = build_network(name, num_classes=4, input_shape=list(shape)).double()
    module(torch.randn(16, 3, *shape[:2]).double() * 2 + 1)  # running statistics of something
    return module


def test_lrp_of_the_plain_cnn_by_matrices() -> None:
    module = built("plain_cnn", SHAPE)
    batch = images(2, "float64", SHAPE)
    expected = np.stack([Layered(module, SHAPE).lrp(x, t, 1e-6, 0.25) for x, t in zip(batch, (0, 1), strict=True)])
    close(drawn(module, "lrp", n=2).raw, expected, 1e-9)


def test_the_deep_cnn_is_followed() -> None:
    shape = (32, 32, 3)
    adapter = wrap_model(built("deep_cnn", shape), tuple("abcd"), input_shape=shape, dtype="float64")
    batch = Batch.of(adapter, images(2, "float64", shape), np.array([1, 3]))
    assert explainers()["deep_lift"]().explain(batch).measures["completeness"].max() < 1e-12
    expected = explainers()["gradient_x_input"]().explain(batch).raw
    close(build([{"name": "lrp", "gamma": 0, "epsilon": 1e-12}])["lrp"].explain(batch).raw, expected, 1e-8)
    assert np.isfinite(explainers()["lrp"]().explain(batch).raw).all()


@pytest.mark.parametrize("gamma", [0.0, 0.25])
def test_lrp_keeps_relevance_where_there_is_no_bias(gamma: float) -> None:
    found = drawn(plain(bias=False), "lrp", gamma=gamma, epsilon=1e-12)
    assert np.abs(found.measures["absorbed"]).max() < 1e-8
    scores = batch_of(plain(bias=False)).gradients.explained
    np.testing.assert_allclose(found.raw.sum(axis=(1, 2)), scores, rtol=1e-8)


def test_lrp_without_gamma_is_gradient_x_input() -> None:
    batch = batch_of(plain())
    expected = explainers()["gradient_x_input"]().explain(batch).raw
    close(drawn(plain(), "lrp", gamma=0, epsilon=1e-12).raw, expected, 1e-8)


def normalised() -> Any:
    torch.manual_seed(1)
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.4),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 4),
    ).double()  # fmt: skip
    module[1].running_mean.uniform_(-1, 1)
    module[1].running_var.uniform_(0.5, 2)
    nn.init.uniform_(module[1].weight, -1, 1)
    nn.init.uniform_(module[1].bias, -1, 1)
    return module


def test_batch_normalisation_is_folded() -> None:
    module = normalised().eval()
    fused = torch.nn.utils.fusion.fuse_conv_bn_eval(module[0], module[1])
    batch = images(4, "float64", SHAPE)
    layered = Layered(nn.Sequential(fused, *module[2:]), SHAPE)
    expected = np.stack([layered.lrp(x, t, 0.01, 0.25) for x, t in zip(batch, TARGETS, strict=True)])
    close(drawn(normalised(), "lrp", epsilon=0.01).raw, expected, 1e-9)


def test_lrp_passes_functional_relu_and_flattening() -> None:
    torch.manual_seed(0)
    module = Functional().double()
    other = nn.Sequential(
        module.conv1, nn.ReLU(), module.conv2, nn.ReLU(), nn.Flatten(), module.fc
    )  # the same in modules
    close(drawn(module, "lrp").raw, drawn(other, "lrp").raw)


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (Residual(), "it computes Add of 2 activations, (Div, )?View|it computes .*Add of 2 activations"),
        (
            nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU(), nn.Flatten(), nn.Linear(144, 4)),
            "'1' is of type GELU, and there are rules for Conv2d, Linear, BatchNorm2d",
        ),
        (Functional(lambda x: F.max_pool2d(x, 1)), "it computes MaxPool2DWithIndices outside of modules"),
    ],
)
def test_networks_that_lrp_does_not_follow_are_refused(module: Any, reason: str) -> None:
    with pytest.raises(ModelError, match=f"LRP by captum is not possible on this network: ({reason})"):
        drawn(module, "lrp")


# --- GradientSHAP


def test_gradient_shap_of_a_linear_network_is_exact_without_noise() -> None:
    torch.manual_seed(0)
    batch = batch_of(nn.Sequential(nn.Flatten(), nn.Linear(192, 4)).double())
    found = build([{"name": "gradient_shap", "level": 0, "baseline": 0.2, "samples": 20}])["gradient_shap"]
    maps = found.explain(batch)
    close(maps.raw, ((batch.images - 0.2) * batch.gradients.input_gradient).sum(axis=3))
    assert maps.measures["completeness"].max() < 1e-12


def test_gradient_shap_comes_near_integrated_gradients() -> None:
    batch = batch_of(plain())
    path = build([{"name": "integrated_gradients", "steps": 64}])["integrated_gradients"].explain(batch).raw
    errors = [
        np.abs(
            build([{"name": "gradient_shap", "level": 0, "samples": count}])["gradient_shap"].explain(batch).raw - path
        )
        for count in (16, 1024)
    ]
    assert errors[1].mean() < 0.3 * errors[0].mean()  # 1/8 on average, were it not for kinks
    assert errors[1].max() < 0.1 * np.abs(path).max()


# --- KernelSHAP and LIME


class Additive(nn.Module):  # type: ignore[misc, name-defined]
    """Probabilities that are linear in the pixels."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.weight = nn.Parameter(torch.randn(3, 8, 8).double() / 2000)

    def forward(self, x: Any) -> Any:
        value = 0.5 + (x * self.weight).sum(dim=(1, 2, 3))
        return torch.stack([value, 1 - value], dim=1)


def additive_batch() -> Batch:
    adapter = wrap_model(Additive(), ("a", "b"), input_shape=SHAPE, dtype="float64", score="probability")
    return Batch.of(adapter, images(3, "float64", SHAPE), np.array([0, 1, 0]), seed=9)


def by_cell(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(pixels.reshape(len(pixels), 4, 2, 4, 2).sum(axis=(2, 4)))


def additive_values(batch: Batch, hidden: np.ndarray) -> np.ndarray:
    """What each of 4 x 4 cells adds to the probability of the target."""
    weight = Additive().weight.detach().numpy().transpose(1, 2, 0)
    sign = np.where(batch.targets == 0, 1, -1)[:, None, None]
    return by_cell(sign * ((batch.images - hidden) * weight).sum(axis=3))


def test_kernel_shap_of_a_sum_is_its_terms() -> None:
    batch = additive_batch()
    found = build([{"name": "kernel_shap", "cells": 4, "samples": 64, "fill": "mean"}])["kernel_shap"].explain(batch)
    close(found.raw, additive_values(batch, batch.images.mean(axis=(1, 2), keepdims=True)), 1e-4)
    assert found.measures["completeness"].max() < 1e-4
    assert found.measures["fit"].min() > 1 - 1e-6


def test_kernel_shap_of_two_cells_that_need_each_other_shares_evenly() -> None:
    """v(S) = product of two of the four cells: Shapley values 1/2, 1/2, 0, 0."""

    class Both(nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            value = (x[:, 0, 0, 0] * x[:, 0, 0, 7])[:, None]
            return torch.cat([value, 1 - value], dim=1)

    adapter = wrap_model(Both(), ("a", "b"), input_shape=SHAPE, dtype="float64", score="probability")
    batch = Batch.of(adapter, np.ones((1, *SHAPE)), np.array([0]), seed=1)
    settings = {"name": "kernel_shap", "cells": 2, "samples": 2000, "fill": "zero"}
    found = build([settings])["kernel_shap"].explain(batch)
    np.testing.assert_allclose(found.raw, [[[0.5, 0.5], [0.0, 0.0]]], atol=0.04)


def test_lime_is_a_weighted_ridge_regression_of_its_samples() -> None:
    from sklearn.linear_model import Ridge

    batch = additive_batch()
    settings = {"cells": 4, "samples": 100, "fill": "zero", "width": 0.3, "ridge": 0.7}
    found = build([{"name": "lime", **settings}])["lime"].explain(batch)
    with torch.random.fork_rng():
        torch.manual_seed(9)
        shown = np.concatenate([torch.bernoulli(torch.full((1, 16), 0.5)).numpy() for _ in range(100)])
    terms = additive_values(batch, np.zeros(1)).reshape(3, 16)
    weights = np.exp(-((1 - np.sqrt(shown.mean(axis=1))) ** 2) / (2 * 0.3**2))
    for index in range(3):
        values = (0.5 + shown @ terms[index]).astype(np.float32)  # captum keeps them in single precision
        line = Ridge(alpha=0.7).fit(shown.astype(float), values.astype(float), sample_weight=weights)
        close(found.raw[index].ravel(), line.coef_, 1e-5)
        explained = line.score(shown.astype(float), values.astype(float), sample_weight=weights)
        assert found.measures["fit"][index] == pytest.approx(explained, abs=1e-5)


def test_a_grid_that_does_not_divide_the_image() -> None:
    from audit.explanations.captum_surrogates import grid

    np.testing.assert_array_equal(grid((3, 5), 2), [[0, 0, 0, 1, 1], [0, 0, 0, 1, 1], [2, 2, 2, 3, 3]])
    np.testing.assert_array_equal(grid((2, 3), 9), [[0, 1, 2], [3, 4, 5]])


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(ModelError.__mro__[1], match="samples is 50; 6 x 6 cells need at least 72"):
        build([{"name": "lime", "samples": 50}])


# --- what all of them have in common

ALL = ("deep_lift", "guided_backpropagation", "lrp", "gradient_shap", "kernel_shap", "lime")


@pytest.mark.parametrize("method", ALL)
def test_alone_or_in_company_in_any_micro_batch(method: str) -> None:
    settings: dict[str, Any] = {"cells": 3, "samples": 40} if method in ("kernel_shap", "lime") else {}
    (explainer,) = build([{"name": method, **settings}]).values()
    module = plain()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    own = {name: set(vars(part)) for name, part in module.named_modules()}
    whole = batch_of(module)
    draws = (torch.random.get_rng_state(), np.random.get_state()[1].copy())  # noqa: NPY002 - captum draws from it
    found = explainer.explain(whole)
    assert torch.equal(torch.random.get_rng_state(), draws[0])
    np.testing.assert_array_equal(np.random.get_state()[1], draws[1])  # noqa: NPY002
    small = batch_of(module, micro_batch=3)
    np.testing.assert_allclose(explainer.explain(small).raw, found.raw, rtol=0, atol=1e-12)
    alone = Batch.of(whole.adapter, whole.images[2:3], whole.targets[2:3], seed=9)
    np.testing.assert_allclose(explainer.explain(alone).raw, found.raw[2:3], rtol=0, atol=1e-12)
    other = Batch.of(whole.adapter, whole.images, whole.targets, seed=10)
    assert np.array_equal(explainer.explain(other).raw, found.raw) is not explainer.noisy
    assert module.training  # and nothing of captum is left in it
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert all(parameter.requires_grad for parameter in module.parameters())
    assert {name: set(vars(part)) for name, part in module.named_modules()} == own
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())


@pytest.mark.parametrize("method", ALL)
def test_a_softmax_at_the_end_is_passed_by(method: str) -> None:
    """Methods of the score see the score; those of the probability see the same probability."""
    settings: dict[str, Any] = {"cells": 3, "samples": 40} if method in ("kernel_shap", "lime") else {}
    ended = nn.Sequential(*plain(), nn.Softmax(dim=1))
    close(drawn(ended, method, **settings).raw, drawn(plain(), method, **settings).raw)


@pytest.mark.parametrize("method", ["deep_lift", "lrp", "guided_backpropagation"])
def test_one_sigmoid_output_explains_both_classes(method: str) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 1, bias=False)).double()
    adapter = wrap_model(module, ("no", "yes"), input_shape=SHAPE, dtype="float64", head="sigmoid")
    image = np.repeat(images(1, "float64", SHAPE), 2, axis=0)
    (explainer,) = build([method]).values()
    found = explainer.explain(Batch.of(adapter, image, np.array([0, 1])))
    if method == "guided_backpropagation":  # not odd in the score; both by the outside implementation
        assert not np.allclose(found.raw[0], found.raw[1])
    else:
        close(found.raw[0], -found.raw[1])
    if method == "deep_lift":
        assert found.measures["completeness"].max() < 1e-12


class Tight(nn.Module):  # type: ignore[misc, name-defined]
    """Has memory for four images."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = plain()

    def forward(self, x: Any) -> Any:
        if len(x) > 4:
            raise torch.OutOfMemoryError
        return self.inner(x)


def test_short_memory_halves_the_micro_batch() -> None:
    batch = batch_of(Tight(), micro_batch=4)
    found = explainers()["deep_lift"]().explain(batch)
    assert batch.adapter.micro_batch == 2  # an image and its baseline go through together
    np.testing.assert_allclose(found.raw, drawn(plain(), "deep_lift").raw, rtol=0, atol=1e-14)


@pytest.mark.parametrize("method", ALL)
def test_passes_are_counted(method: str) -> None:
    (explainer,) = build([method]).values()
    batch = batch_of(plain(), n=8)
    before = batch.adapter.used
    explainer.explain(batch)
    used = batch.adapter.used - before
    least = 8 * explainer.least(batch.spec)
    assert least <= used <= least + 8  # a trace of the network, the baseline, or one pass of hidden images


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning", "ignore:`torch.jit:DeprecationWarning")
def test_other_frameworks_and_compiled_modules_are_refused() -> None:
    twin = numpy_twin()
    for method in ALL:
        reason = explainers()[method]().refusal(twin.spec)
        assert reason is not None
        assert reason.endswith("for torch only, the model is numpy")
        with pytest.raises(ModelError, match="there is a sound implementation of"):
            explainers()[method]().explain_or_refuse(Batch.of(twin, images(1), "predicted"))
    scripted = torch.jit.script(plain().float())
    with pytest.raises(ModelError, match=r"is compiled \(TorchScript\), so captum cannot set hooks"):
        explainers()["deep_lift"]().explain(batch_of(scripted, dtype="float32"))
