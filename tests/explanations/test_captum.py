"""Our maps against captum's on the same modules: every deterministic method that both have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from audit.explanations import Batch, build
from audit.explanations.crosscheck import CrossCheck, cross_check
from audit.models.cams import CAM_KINDS
from audit.models.loading import wrap_model
from tests.models.twins import images

torch = pytest.importorskip("torch")
pytest.importorskip("captum")
nn = torch.nn
pytestmark = pytest.mark.torch

EXACT = ("saliency", "gradient_x_input", "grad_cam", "hires_cam", "occlusion", "smooth_grad")
ALL = (*EXACT, "integrated_gradients")
SMALL = (16, 20, 3)


class Reuses(nn.Module):  # type: ignore[misc, name-defined]
    """One ReLU for every layer, and a functional one; ends in a softmax of its own where asked."""

    def __init__(self, outputs: int = 4) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
        self.conv2 = nn.Conv2d(8, 6, 3, padding=1)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.fc = nn.Linear(6 * 8 * 10, outputs)

    def forward(self, x: Any) -> Any:
        x = self.pool(self.relu(self.conv1(x)))
        return self.fc(torch.relu(self.relu(self.conv2(x))).flatten(1))


def built(name: str, shape: tuple[int, int, int], **arguments: Any) -> Any:
    """A network with weights, biases and running statistics that are not those of a fresh one."""
    from audit.models.torch_networks import build as build_network

    torch.manual_seed(0)
    module = build_network(name, num_classes=arguments.pop("classes", 4), input_shape=list(shape), **arguments)
    module.train()
    module(torch.randn(32, shape[2], *shape[:2]) * 2 + 1)
    return module.eval()


def resnet() -> Any:
    torchvision = pytest.importorskip("torchvision")
    torch.manual_seed(0)
    module = torchvision.models.resnet18(weights=None, num_classes=4)
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.bias.uniform_(-0.3, 0.3)
                part.running_mean.uniform_(-0.3, 0.3)
    return module


def reuses(outputs: int = 4) -> Any:
    torch.manual_seed(0)
    return Reuses(outputs)


def batch_of(module: Any, shape: tuple[int, int, int], n: int = 3, classes: str = "abcd", **options: Any) -> Batch:
    adapter = wrap_model(module, tuple(classes), input_shape=shape, dtype=options.pop("dtype", "float64"), **options)
    batch = images(n, adapter.spec.dtype, shape)
    return Batch.of(adapter, batch, np.arange(n) % len(classes), seed=5, cams=CAM_KINDS)


def checks(batch: Batch, methods: Any = ALL) -> list[CrossCheck]:
    explainers = build(methods)
    maps = {name: list(explainer.explain(batch).raw) for name, explainer in explainers.items()}
    return cross_check(batch.adapter, batch.images, batch.targets, maps, explainers, batch.seed)


NETWORKS = {
    "plain": lambda: (built("plain_cnn", SMALL), SMALL),
    "deep": lambda: (built("deep_cnn", (32, 40, 3)), (32, 40, 3)),
    "reused": lambda: (reuses(), SMALL),
    "softmax": lambda: (nn.Sequential(reuses(), nn.Softmax(dim=1)), SMALL),
}


@pytest.mark.parametrize("network", list(NETWORKS))
def test_equal_in_double_precision(network: str) -> None:
    """Within 1e-8 of the largest value; 1e-6 for integrated gradients, whose weights captum has in single precision."""
    module, shape = NETWORKS[network]()
    training = module.training
    found = checks(batch_of(module, shape))
    assert [check.method for check in found] == [method for method in ALL for _ in range(3)]
    for check in found:
        assert (check.status, check.provider) == ("ok", "captum"), check.note
        assert check.max_difference < (1e-6 if check.method == "integrated_gradients" else 1e-8), check
        assert check.spearman is None or check.spearman > 1 - 1e-9  # none where a map is zero everywhere
    assert sum(check.spearman is None for check in found) < 4
    assert module.training is training


def test_equal_in_double_precision_on_resnet18() -> None:
    settings = [
        *EXACT[:4],
        {"name": "integrated_gradients", "steps": 2, "max_steps": 6},
        {"name": "occlusion", "window": 16},
    ]
    found = checks(batch_of(resnet(), (32, 32, 3), n=2), [*settings, {"name": "smooth_grad", "copies": 3}])
    for check in found:
        assert check.status == "ok", check.note
        assert check.max_difference < (1e-6 if check.method == "integrated_gradients" else 1e-8), check
    assert len(found) == 14


def test_one_sigmoid_output_explains_both_classes() -> None:
    found = checks(batch_of(reuses(1), SMALL, classes="ab", head="sigmoid"))
    for check in found:
        assert check.status == "ok", check.note
        assert check.max_difference < (1e-6 if check.method == "integrated_gradients" else 1e-8), check


@pytest.mark.parametrize(
    "settings",
    [
        {"name": "occlusion", "window": 5, "stride": 3, "fill": "zero"},
        {"name": "occlusion", "window": 18, "stride": 2},
        {"name": "integrated_gradients", "steps": 3, "baseline": 0.8, "max_steps": 21, "tolerance": 1e-9, "floor": 0},
        {"name": "integrated_gradients", "steps": 5, "tolerance": 0.02},
        {"name": "smooth_grad", "copies": 4, "level": 0.3},
    ],
)
def test_with_our_settings(settings: dict[str, Any]) -> None:
    """Windows that are cut off at the edge; a baseline; three rules on 1, 2 and 4 parts of the path, averaged."""
    batch = batch_of(built("plain_cnn", SMALL), SMALL)
    if settings.get("max_steps") == 21:
        (explainer,) = build([settings]).values()
        assert explainer.explain(batch).measures["steps"].tolist() == [21, 21, 21]
    for check in checks(batch, [settings]):
        assert check.status == "ok", check.note
        assert check.max_difference < (1e-6 if check.method == "integrated_gradients" else 1e-8), check


@pytest.mark.parametrize("network", list(NETWORKS))
def test_every_class_activation_map_from_captums_activations_and_gradients(network: str) -> None:
    """Grad-CAM++ and LayerCAM are not in captum; what they are made of is."""
    from captum.attr import LayerActivation, LayerGradientXActivation

    module, shape = NETWORKS[network]()
    batch = batch_of(module, shape)
    adapter: Any = batch.adapter
    with adapter.ready() as ready:
        inputs, targets = adapter.tensor(batch.images), torch.from_numpy(batch.targets)
        layer = ready.get_submodule(batch.layer)
        gradients = LayerGradientXActivation(ready, layer, multiply_by_inputs=False).attribute(inputs, targets)
        gradient, activation = (
            part.detach().numpy() for part in (gradients, LayerActivation(ready, layer).attribute(inputs))
        )
    rising = np.maximum(gradient, 0)
    weights = {
        "grad_cam": gradient.mean(axis=(2, 3), keepdims=True),
        "hires_cam": gradient,
        "layer_cam": rising,
        "grad_cam_pp": (rising / (2 + rising * activation.sum(axis=(2, 3), keepdims=True))).sum(
            axis=(2, 3), keepdims=True
        ),
    }
    for kind, weight in weights.items():
        expected = np.maximum((weight * activation).sum(axis=1), 0)
        found = build([kind])[kind].explain(batch).raw
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10 * max(expected.max(), 1e-300))


def test_single_precision_on_resnet18() -> None:
    for check in checks(batch_of(resnet(), (64, 64, 3), n=2, dtype="float32"), EXACT[:4]):
        assert check.spearman is None or check.spearman > 0.999
        assert check.method not in ("grad_cam", "hires_cam") or check.max_difference < 1e-4


def test_a_wrong_map_is_noticed() -> None:
    batch = batch_of(reuses(), SMALL, n=1)
    for method in ALL:
        (explainer,) = build([method]).values()
        wrong = explainer.explain(batch).raw[:, ::-1]
        (check,) = cross_check(batch.adapter, batch.images, batch.targets, {method: list(wrong)}, seed=5)
        assert check.max_difference > 0.1


def test_what_captum_cannot_check_is_said() -> None:
    batch = batch_of(reuses(), SMALL, n=1)
    maps = {name: [np.ones((2, 2))] for name in ("smooth_grad", "rise", "deep_lift")}
    found = cross_check(batch.adapter, batch.images, batch.targets, maps, build(["rise", "deep_lift"]))
    assert [check.status for check in found] == ["not_measured"] * 3
    notes = {check.method: check.note for check in found}
    assert notes["smooth_grad"].startswith("the seed of our noise is not given")
    assert notes["rise"].startswith("captum is not asked for the method 'rise', only for: saliency, ")
    assert notes["deep_lift"] == "'deep_lift' is captum's own and cannot check itself"


def test_no_layer_is_said() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(960, 4))
    adapter = wrap_model(module, tuple("abcd"), input_shape=SMALL)
    assert adapter.spec.layer is None
    fake = {"grad_cam": [np.ones((2, 2))]}
    (check,) = cross_check(adapter, images(1, shape=SMALL), np.array([0]), fake)
    assert (check.status, check.note) == ("not_measured", "the model has no layer for Grad-CAM")
