"""The same network in PyTorch and Keras: scores, gradients and maps agree within the documented tolerances."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from audit.models.loading import wrap_model
from tests.models.twins import images

pytest.importorskip("torch")
pytest.importorskip("keras")
pytest.importorskip("tensorflow")
pytestmark = [pytest.mark.torch, pytest.mark.tensorflow]

SHAPE = (32, 32, 3)


def pair(architecture: str, head: str, dtype: str) -> tuple[Any, Any]:
    import torch

    from audit.models import torch_networks, transfer
    from audit.models.networks import NetworkArguments

    torch.manual_seed(0)
    arguments = NetworkArguments(num_classes=2, input_shape=SHAPE, head=head)
    ours = torch_networks.build(architecture, **arguments.as_dict())
    theirs = transfer.convert(ours, "keras", architecture, arguments)
    options: dict[str, Any] = {"head": head, "dtype": dtype, "micro_batch": 4, "input_shape": SHAPE}
    return wrap_model(ours, ("no", "yes"), **options), wrap_model(theirs, ("no", "yes"), **options)


@pytest.mark.parametrize(
    ("dtype", "scores", "cams", "gradients"), [("float64", 1e-10, 1e-8, 1e-8), ("float32", 1e-5, 1e-4, 1e-4)]
)
@pytest.mark.parametrize("architecture", ["plain_cnn", "deep_cnn"])
@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
def test_both_frameworks_agree(
    architecture: str, head: str, dtype: str, scores: float, cams: float, gradients: float
) -> None:
    ours, theirs = pair(architecture, head, dtype)
    assert ours.spec.layer == theirs.spec.layer
    batch = images(6, dtype, SHAPE)
    layer = ours.spec.layer
    for target in (np.arange(6) % 2, "predicted"):
        mine, other = (adapter.gradient_pass(batch, target, [layer]) for adapter in (ours, theirs))
        np.testing.assert_array_equal(mine.targets, other.targets)
        for found, expected, tolerance in (
            (mine.scores, other.scores, scores),
            (mine.cams[layer].grad_cam, other.cams[layer].grad_cam, cams),
            (mine.input_gradient, other.input_gradient, gradients),
        ):
            np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())
