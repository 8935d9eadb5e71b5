"""Our maps against captum's on the same modules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from audit.explanations.crosscheck import cross_check
from audit.explanations.methods import METHODS
from audit.models.loading import wrap_model
from tests.models.twins import images

torch = pytest.importorskip("torch")
pytest.importorskip("captum")
nn = torch.nn
pytestmark = pytest.mark.torch


class Reuses(nn.Module):  # type: ignore[misc, name-defined]
    """One ReLU for every layer, and a functional one; ends in a softmax of its own where asked."""

    def __init__(self, outputs: int = 4) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
        self.conv2 = nn.Conv2d(8, 6, 3, padding=1)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.fc = nn.Linear(6 * 8 * 8, outputs)

    def forward(self, x: Any) -> Any:
        x = self.pool(self.relu(self.conv1(x)))
        return self.fc(torch.relu(self.relu(self.conv2(x))).flatten(1))


def checks(module: Any, classes: str, dtype: str = "float64", **options: Any) -> list[Any]:
    torch.manual_seed(1)
    shape = (16, 16, 3)
    adapter = wrap_model(module, tuple(classes), input_shape=shape, dtype=dtype, **options)
    batch = images(4, dtype, shape)
    layer = adapter.spec.layer
    done = adapter.gradient_pass(batch, np.arange(4) % len(classes), [layer] if layer else [])
    drawn = {name: method.maps(done, batch, layer) for name, method in METHODS.items()}
    return cross_check(adapter, batch, done.targets, {k: list(v) for k, v in drawn.items() if v is not None})


@pytest.mark.parametrize("softmax", [False, True])
def test_equal_in_double_precision(softmax: bool) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(Reuses(), nn.Softmax(dim=1)) if softmax else Reuses()
    found = checks(module, "abcd")
    assert len(found) == 12
    for check in found:
        assert (check.status, check.provider) == ("ok", "captum")
        assert check.max_difference < 1e-8
        assert check.spearman is None or check.spearman > 1 - 1e-9  # none where a map is zero everywhere
    assert sum(check.spearman is None for check in found) < 3
    assert module.training


def test_one_sigmoid_output_explains_both_classes() -> None:
    torch.manual_seed(0)
    for check in checks(Reuses(1), "ab", head="sigmoid"):
        assert check.status == "ok"
        assert check.max_difference < 1e-8


def test_single_precision_on_resnet18() -> None:
    torchvision = pytest.importorskip("torchvision")
    torch.manual_seed(0)
    module = torchvision.models.resnet18(weights=None, num_classes=4)
    adapter = wrap_model(module, tuple("abcd"), input_shape=(64, 64, 3))
    batch = images(2, shape=(64, 64, 3))
    done = adapter.gradient_pass(batch, "predicted", ["layer4"])
    drawn = {name: list(method.maps(done, batch, "layer4")) for name, method in METHODS.items()}
    for check in cross_check(adapter, batch, done.targets, drawn):
        assert check.spearman is None or check.spearman > 0.999
        assert check.method != "grad_cam" or check.max_difference < 1e-4


def test_a_wrong_map_is_noticed() -> None:
    torch.manual_seed(0)
    adapter = wrap_model(Reuses(), tuple("abcd"), input_shape=(16, 16, 3))
    batch = images(1, shape=(16, 16, 3))
    done = adapter.gradient_pass(batch, np.array([0]))
    wrong = METHODS["saliency"].maps(done, batch, None)[:, ::-1]
    (check,) = cross_check(adapter, batch, done.targets, {"saliency": list(wrong)})
    assert check.max_difference > 0.1


def test_no_layer_is_said() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(768, 4))
    adapter = wrap_model(module, tuple("abcd"), input_shape=(16, 16, 3))
    assert adapter.spec.layer is None
    fake = {"grad_cam": [np.ones((2, 2))]}
    (check,) = cross_check(adapter, images(1, shape=(16, 16, 3)), np.array([0]), fake)
    assert (check.status, check.note) == ("not_measured", "the model has no layer for Grad-CAM")
