"""PyTorch modules behind the seam, against the NumPy twin, and left as they came."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from audit.errors import ModelError
from audit.models.loading import wrap_model
from audit.testing import check_adapter
from tests.models.twins import CLASSES, SHAPE, images, numpy_twin, torch_twin

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")
nn = torch.nn
pytestmark = pytest.mark.torch


def wrap(module: Any, **options: Any) -> Any:
    return wrap_model(module, CLASSES, **({"input_shape": SHAPE} | options))


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-5)])
@pytest.mark.parametrize(("outputs", "head"), [(4, "softmax"), (1, "sigmoid")])
def test_equals_the_numpy_twin(outputs: int, head: str, dtype: str, tolerance: float) -> None:
    ours = numpy_twin(outputs, head=head, dtype=dtype)
    module = torch_twin(outputs).double() if dtype == "float64" else torch_twin(outputs)
    adapter = wrap_model(module, ours.spec.classes, input_shape=SHAPE, head=head, dtype=dtype, micro_batch=3)
    for target in ("predicted", np.arange(7) % len(ours.spec.classes)):
        mine = adapter.gradient_pass(images(dtype=dtype), target, ["1"])
        exact = ours.gradient_pass(images(dtype=dtype), target, ["features"])
        np.testing.assert_array_equal(mine.targets, exact.targets)
        for found, expected in (
            (mine.scores, exact.scores),
            (mine.explained, exact.explained),
            (mine.input_gradient, exact.input_gradient),
            (mine.cams["1"].grad_cam, exact.cams["features"].grad_cam),
        ):
            assert found.dtype == dtype
            np.testing.assert_allclose(found, expected, atol=tolerance * np.abs(expected).max())


class Net(nn.Module):  # type: ignore[misc, name-defined]
    """Functional and reused ReLU, an in-place one, dropout and batch normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3, padding=1)
        self.bn = nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, 5, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(5, 4)

    def forward(self, x: Any) -> Any:
        x = self.relu(self.bn(self.conv1(x)))
        x = torch.nn.functional.max_pool2d(x, 2)
        x = self.relu(self.conv2(torch.relu(x)))
        return self.fc(self.drop(x.mean(dim=(2, 3))))


def net() -> Any:
    torch.manual_seed(0)
    return Net()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_keeps_the_seam(dtype: str) -> None:
    assert "cams" in check_adapter(wrap(net(), dtype=dtype, micro_batch=2))
    assert "cams" in check_adapter(wrap(torch_twin(), dtype=dtype))


def test_a_reused_layer_counts_where_it_ran_last() -> None:
    adapter = wrap(net())
    assert adapter.spec.layer == "relu"
    assert {layer.name: layer.shape for layer in adapter.layers()}["relu"] == (3, 2, 5)
    assert adapter.gradient_pass(images(), "predicted", ["relu"]).cams["relu"].grad_cam.shape == (7, 3, 2)


def test_a_layer_whose_output_is_changed_in_place_gives_its_own_activation() -> None:
    """The activation before the in-place ReLU, not after it: the weighted sum differs where it is negative."""
    module = net()
    adapter = wrap(module, dtype="float64", layer="conv2")
    x = torch.from_numpy(images(dtype="float64")).permute(0, 3, 1, 2)
    double = adapter.module.eval()
    hidden = torch.relu(torch.nn.functional.max_pool2d(torch.relu(double.bn(double.conv1(x))), 2))
    before = double.conv2(hidden)
    target = adapter.gradient_pass(images(dtype="float64"), "predicted", ["conv2"])
    weight = double.fc.weight[torch.from_numpy(target.targets)][:, :, None, None]
    gradient = weight * (before > 0) / before[0, 0].numel()
    expected = (gradient.mean(dim=(2, 3), keepdim=True) * before).sum(dim=1)
    np.testing.assert_allclose(target.cams["conv2"].grad_cam, expected.detach().numpy(), atol=1e-12)


def test_a_module_in_memory_is_left_as_it_came() -> None:
    module = net()
    module.fc.weight.requires_grad_(False)
    module.drop.eval()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    adapter = wrap(module)
    adapter.gradient_pass(images(), "predicted", ["relu"])
    adapter.scores(images())
    adapter.close()
    assert module.training
    assert not module.drop.training
    frozen = [name for name, parameter in module.named_parameters() if not parameter.requires_grad]
    assert frozen == ["fc.weight"]
    assert all(parameter.grad is None for parameter in module.parameters())
    assert not any(part._forward_hooks for part in module.modules())
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())


def test_a_pass_that_fails_also_leaves_the_module_as_it_came() -> None:
    module = net()
    adapter = wrap(module)
    module.fc.forward = lambda _x: 1 / 0
    with pytest.raises(ZeroDivisionError):
        adapter.gradient_pass(images(), "predicted", ["relu"])
    assert module.training
    assert all(parameter.requires_grad for parameter in module.parameters())
    assert not any(part._forward_hooks for part in module.modules())


def test_a_module_that_overwrites_its_input_harms_nobody() -> None:
    class Scales(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.inner = torch_twin()

        def forward(self, x: Any) -> Any:
            return self.inner(x.mul_(2))

    given = images()
    kept = given.copy()
    done = wrap(Scales()).gradient_pass(given, "predicted")
    np.testing.assert_array_equal(given, kept)
    doubled = numpy_twin().gradient_pass(2 * given, "predicted")
    np.testing.assert_allclose(done.input_gradient, 2 * doubled.input_gradient, atol=1e-5)


def test_read_only_images_are_fine() -> None:
    given = images()
    given.flags.writeable = False
    wrap(torch_twin()).gradient_pass(given, "predicted")


@pytest.mark.parametrize("end", [nn.Softmax(dim=1), nn.LogSoftmax(dim=1)])
def test_a_softmax_module_at_the_end_is_cut_off(end: Any) -> None:
    plain, ended = wrap(torch_twin()), wrap(nn.Sequential(torch_twin(), end))
    assert ended.spec.score == "logit"
    mine, expected = (model.gradient_pass(images(), "predicted") for model in (ended, plain))
    np.testing.assert_array_equal(mine.scores, expected.scores)
    np.testing.assert_array_equal(mine.input_gradient, expected.input_gradient)


def test_a_sigmoid_module_at_the_end_is_cut_off() -> None:
    model = nn.Sequential(torch_twin(1), nn.Sigmoid())
    adapter = wrap_model(model, ("no", "yes"), input_shape=SHAPE, head="sigmoid")
    np.testing.assert_allclose(adapter.scores(images()), numpy_twin(1, head="sigmoid").scores(images()), rtol=1e-5)
    with pytest.raises(ModelError, match="declare `head: sigmoid`"):
        wrap_model(nn.Sequential(torch_twin(), nn.Sigmoid()), CLASSES, input_shape=SHAPE)


class Soft(nn.Module):  # type: ignore[misc, name-defined]
    def __init__(self) -> None:
        super().__init__()
        self.inner = torch_twin()

    def forward(self, x: Any) -> Any:
        return self.inner(x).softmax(dim=1)


def test_probabilities_that_cannot_be_cut_must_be_declared() -> None:
    with pytest.raises(ModelError, match="declare `score: probability`"):
        wrap(Soft())
    adapter = wrap(Soft(), score="probability")
    assert adapter.spec.score == "probability"
    check_adapter(adapter)


def test_one_logit_that_lies_between_0_and_1_by_chance_is_no_probability() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(90, 1))
    with torch.no_grad():
        module[1].weight.fill_(0.01)
        module[1].bias.fill_(0.5)
    adapter = wrap_model(module, ("no", "yes"), input_shape=SHAPE, head="sigmoid")
    assert adapter.spec.score == "logit"


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("resnet18", "layer4"),
        ("mobilenet_v2", "features"),
        ("vgg11", "features.19"),
        ("squeezenet1_0", "classifier.2"),
    ],
)
def test_layer_choice_on_known_networks(name: str, layer: str) -> None:
    module = torchvision.models.get_model(name, weights=None, num_classes=4)
    assert wrap(module, input_shape=(64, 64, 3)).spec.layer == layer


@pytest.mark.parametrize(("name", "layer"), [("plain_cnn", "relu2"), ("deep_cnn", "relu3")])
def test_layer_choice_on_our_networks(name: str, layer: str) -> None:
    from audit.models import torch_networks

    module = torch_networks.build(name, num_classes=4, input_shape=[32, 32, 3])
    assert wrap(module, input_shape=(32, 32, 3)).spec.layer == layer


def test_errors_say_what_is_wrong() -> None:
    with pytest.raises(ModelError, match="cannot take images of 6 x 5 x 1"):
        wrap(torch_twin(), input_shape=(6, 5, 1))
    with pytest.raises(ModelError, match="has 4 outputs, but 2 classes"):
        wrap_model(torch_twin(), ("a", "b"), input_shape=SHAPE)
    with pytest.raises(ModelError, match=r"gave \(4, 8, 6, 5\) for 4 images"):
        wrap(torch_twin()[:2])
    with pytest.raises(ModelError, match="has no layer 'conv3'.*Did you mean 'conv"):
        wrap(net(), layer="conv3")
    with pytest.raises(ModelError, match="Grad-CAM needs"):
        wrap(net(), layer="fc")
    with pytest.raises(ModelError, match=r"input_shape=\(H, W, C\)"):
        wrap_model(torch_twin(), CLASSES)


def test_a_layer_beside_the_way_to_the_scores_is_refused() -> None:
    class Beside(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.inner = torch_twin()
            self.beside = nn.Conv2d(3, 2, 1)

        def forward(self, x: Any) -> Any:
            self.beside(x)
            return self.inner(x)

    with pytest.raises(ModelError, match="do not depend on beside"):
        wrap(Beside()).gradient_pass(images(), "predicted", ["beside"])


def test_what_cannot_be_differentiated_has_scores_and_embeddings_only() -> None:
    class Detached(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.inner = torch_twin()

        def forward(self, x: Any) -> Any:
            return self.inner(x.detach())

    adapter = wrap(Detached())
    assert adapter.spec.capabilities == {"scores", "embeddings"}
    with pytest.raises(ModelError, match="no gradients"):
        adapter.gradient_pass(images(), "predicted")


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning", "ignore:`torch.jit:DeprecationWarning")
def test_a_scripted_module_has_scores_and_gradients() -> None:
    adapter = wrap(torch.jit.script(torch_twin()))
    np.testing.assert_allclose(
        adapter.gradient_pass(images(), "predicted").input_gradient,
        numpy_twin().gradient_pass(images(), "predicted").input_gradient,
        atol=1e-5,
    )
