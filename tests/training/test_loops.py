"""Both training loops: they learn, see the same batches, stop early, and hold penalties and losses to hand values."""

from __future__ import annotations

import dataclasses
import importlib
from typing import Any

import numpy as np
import pytest

from audit.config import NetworkConfig, OptimiserConfig
from audit.errors import InputError, ModelError
from audit.models.networks import Arrays
from audit.models.transfer import to_arrays
from audit.training.batches import Batches
from audit.training.recipe import predict_classes, train_arrays
from audit.training.settings import EpochRecord, TrainingData, TrainingSettings

# TensorFlow's tensors predate the copy keyword of NumPy 2; Keras converts them inside `get_weights` and `fit`.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
FRAMEWORKS = [pytest.param("torch", marks=pytest.mark.torch), pytest.param("keras", marks=pytest.mark.tensorflow)]


def tiny(classes: int = 2, count: int = 96, size: int = 12) -> TrainingData:
    """Noise with a bright patch whose place is the class."""
    generator = np.random.default_rng(5)
    labels = np.arange(count) % classes
    images = generator.normal(0, 0.3, (count, size, size, 1)).astype(np.float32)
    for label in range(classes):
        images[labels == label, 3 * label : 3 * label + 3, 2:10] += 1
    names = tuple(f"class {number}" for number in range(classes))
    return TrainingData(images[24:], labels[24:], images[:24], labels[:24], names)


def settings(framework: Any, **changes: Any) -> TrainingSettings:
    plain = TrainingSettings(framework, epochs=4, batch_size=16, device="cpu", threads=1, seed=3)
    return dataclasses.replace(plain, **changes)


def trained(framework: Any, data: TrainingData, **changes: Any) -> tuple[tuple[EpochRecord, ...], Arrays, Any]:
    chosen = settings(framework, **changes)
    result = train_arrays(chosen, data)
    return result.fit.history, to_arrays(result.model, chosen.network.architecture, chosen.arguments(data)), result


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(
    ("network", "classes"),
    [
        (NetworkConfig(), 2),
        (NetworkConfig(head="sigmoid"), 2),
        (NetworkConfig(head="sigmoid"), 3),
        (NetworkConfig(loss="mean_squared_error"), 3),
        (NetworkConfig(head="sigmoid", loss="mean_squared_error"), 2),
        (NetworkConfig(architecture="deep_cnn", dropout=0.2), 3),
    ],
)
def test_learns_a_task_that_can_be_learned(framework: Any, network: NetworkConfig, classes: int) -> None:
    data = tiny(classes, size=12 if network.architecture == "plain_cnn" else 32)
    faster = OptimiserConfig(learning_rate=3e-3)
    history, _, result = trained(framework, data, network=network, epochs=12, optimiser=faster)
    assert len(history) == 12
    assert history[-1].loss < 0.5 * history[0].loss
    predicted = predict_classes(framework, result.model, data.val_images)
    assert (predicted == data.val_labels).mean() == pytest.approx(history[-1].val_accuracy, abs=1e-6)
    assert history[-1].val_accuracy > 0.9


@pytest.mark.torch
@pytest.mark.tensorflow
@pytest.mark.parametrize(
    "network",
    [NetworkConfig(), NetworkConfig(head="sigmoid"), NetworkConfig(loss="mean_squared_error")],
)
@pytest.mark.parametrize(
    "optimiser",
    [
        OptimiserConfig(),
        OptimiserConfig(name="adamw", weight_decay=0.5),
        OptimiserConfig(l1=1e-2, l2=1e-2),
    ],
)
def test_both_frameworks_take_the_same_path(network: NetworkConfig, optimiser: OptimiserConfig) -> None:
    """Same first weights, same batches, same loss, same update: after one epoch still the same network."""
    data = tiny(2, 64)
    both = [trained(name, data, epochs=2, network=network, optimiser=optimiser) for name in ("torch", "keras")]
    for one, other in zip(both[0][0], both[1][0], strict=True):
        assert one.loss == pytest.approx(other.loss, rel=1e-3)
        assert one.val_loss == pytest.approx(other.val_loss, rel=1e-3)
    for name, array in both[0][1].items():
        difference = np.abs(array - both[1][1][name])
        # a weight whose gradient is near Adam's epsilon may step either way: a few in a thousand, no more
        assert np.quantile(difference, 0.995) < 1e-3, name
        assert difference.mean() < 1e-4, name


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_loop_asks_for_every_batch_of_every_epoch(framework: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int, float]] = []
    original = Batches.batch

    def watch(self: Batches, epoch: int, place: int) -> Any:
        images, wanted = original(self, epoch, place)
        seen.append((epoch, place, float(images.sum())))
        return images, wanted

    monkeypatch.setattr(Batches, "batch", watch)
    trained(framework, tiny(), epochs=3)
    in_order = [entry[:2] for entry in seen[-15:]]
    assert in_order == [(epoch, place) for epoch in range(3) for place in range(5)]
    assert len({entry[2] for entry in seen[-15:]}) == 15


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_early_stopping_keeps_the_best_epoch(framework: Any) -> None:
    """Validation labels are all wrong, so every epoch after the first is worse: two more, and the first is kept."""
    data = tiny()
    wrong = dataclasses.replace(data, val_labels=1 - data.val_labels)
    history, arrays, result = trained(framework, wrong, epochs=9, early_stopping=2)
    assert [record.epoch for record in history] == [1, 2, 3]
    assert result.fit.best_epoch == 1
    _, after_one, _ = trained(framework, wrong, epochs=1)
    for name, array in arrays.items():
        assert array == pytest.approx(after_one[name], abs=1e-5), name


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_penalties_shrink_the_kernels_and_stand_in_the_loss(framework: Any) -> None:
    data = tiny()
    free, plain, _ = trained(framework, data)
    for penalty in ("l1", "l2"):
        history, arrays, _ = trained(framework, data, optimiser=OptimiserConfig(**{penalty: 0.02}))
        assert history[0].loss > free[0].loss + 0.02
        assert np.abs(arrays["conv2/kernel"]).sum() < 0.9 * np.abs(plain["conv2/kernel"]).sum()


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_losses_equal_hand_values(framework: Any) -> None:
    loop: Any = importlib.import_module(f"audit.training.{framework}_loop")
    logits = np.array([[0.0, np.log(3.0)], [0.0, 0.0]], dtype=np.float32)
    wanted = np.array([[0, 1], [1, 0]], dtype=np.float32)
    if framework == "torch":
        import torch

        logits, wanted = torch.from_numpy(logits), torch.from_numpy(wanted)  # type: ignore[assignment]

    def value(head: str, loss: str) -> float:
        return float(np.mean(np.asarray(loop.objective(logits, wanted, head, loss))))

    # softmax gives (1/4, 3/4) and (1/2, 1/2); sigmoid gives (1/2, 3/4) and (1/2, 1/2)
    assert value("softmax", "cross_entropy") == pytest.approx((np.log(4 / 3) + np.log(2)) / 2)
    assert value("softmax", "mean_squared_error") == pytest.approx((1 / 16 + 1 / 4) / 2)
    assert value("sigmoid", "cross_entropy") == pytest.approx((3 * np.log(2) + np.log(4 / 3)) / 4)
    assert value("sigmoid", "mean_squared_error") == pytest.approx((3 * 0.25 + 1 / 16) / 4)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_balance_reaches_the_loop(framework: Any) -> None:
    """99 to 1 against the patch: drawn evenly, the rare class is still learned."""
    data = tiny(2, 124)
    keep = np.concatenate([np.flatnonzero(data.labels == 0), np.flatnonzero(data.labels == 1)[:3]])
    rare = dataclasses.replace(data, images=data.images[keep], labels=data.labels[keep], balance=data.labels[keep])
    history, _, _ = trained(framework, rare, epochs=8, optimiser=OptimiserConfig(learning_rate=3e-3))
    assert history[-1].val_accuracy > 0.9


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_same_seed_gives_the_same_network(framework: Any) -> None:
    network = NetworkConfig(architecture="deep_cnn")
    first, second = (trained(framework, tiny(size=32), epochs=2, network=network)[1] for _ in range(2))
    for name, array in first.items():
        assert array == pytest.approx(second[name], abs=1e-5), name


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_unknown_devices_are_refused(framework: Any) -> None:
    with pytest.raises(InputError, match="allowed: auto, cpu, cuda, cuda:N"):
        trained(framework, tiny(), device="tpu")
    with pytest.raises(InputError, match="device is 'cuda:99'"):
        trained(framework, tiny(), device="cuda:99")


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_loss_that_is_not_finite_is_an_error(framework: Any) -> None:
    with pytest.raises(ModelError, match="not finite after epoch"):
        trained(framework, tiny(), epochs=9, optimiser=OptimiserConfig(learning_rate=1e30))
