"""The walk over two models names the first step that differs, and stays quiet where nothing does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit.errors import InputError
from audit.explanations.parity import TOLERANCES, ParityReport, Recorded, compare, parity_report, record
from audit.explanations.parity.arrays import channel_orders, least_spearman, relative_difference
from audit.explanations.parity.layers import pair_outputs
from audit.explanations.parity.outputs import sampled
from audit.explanations.parity.weights import pair_weights
from audit.models.adapter import LayerInfo
from audit.models.loading import wrap_model
from audit.models.numpy_adapter import NumpyAdapter
from tests.models.twins import CLASSES, SHAPE, images, numpy_twin, weights


def changed(name: str, place: tuple[int, ...], by: float, dtype: str = "float64") -> NumpyAdapter:
    arrays = weights()
    arrays[name] = arrays[name].copy()
    arrays[name][place] += np.float32(by)
    return NumpyAdapter(arrays, SHAPE, CLASSES, dtype=dtype)


def stages(report: ParityReport, status: str) -> set[str]:
    return {step.stage for step in report.steps if step.status == status}


def test_relative_difference_by_hand() -> None:
    first = np.array([[1.0, -4.0], [0.0, 10.0], [0.0, 0.0]])
    second = np.array([[1.0, -3.0], [0.5, 10.0], [0.0, 0.0]])
    assert relative_difference(first, second, own_scale=True) == (0.25, 0)  # 1 of 4, against .5 of 10 and 0 of 0
    assert relative_difference(second, first, own_scale=True) == (0.25, 0)
    assert relative_difference(first, second) == (0.1, 0)  # 1 of 10
    assert relative_difference(np.zeros((1, 2)), np.array([[0.0, 1e-9]])) == (1.0, 0)
    assert relative_difference(np.array([[0.0], [np.nan]]), np.array([[0.0], [np.nan]]), own_scale=True) == (np.inf, 1)
    assert relative_difference(np.array([[0.0], [np.nan]]), np.array([[0.0], [np.nan]])) == (np.inf, 1)
    assert relative_difference(np.zeros((0, 3)), np.zeros((0, 3))) == (0.0, 0)


def test_scores_near_zero_on_one_image_are_no_difference() -> None:
    ours = record(numpy_twin(), images(), name="ours")
    scores = ours.scores.copy()
    scores[3] = [1e-5, 0, 0, 0]
    near = scores.copy()
    near[3, 0] *= 2
    assert compare(replace(ours, scores=scores), replace(ours, scores=near)).status == "agree"


def test_ranks_are_of_the_worst_row_and_undefined_where_there_are_none() -> None:
    rising, mixed = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 3.0, 2.0, 4.0])
    assert least_spearman(np.stack([rising, rising]), np.stack([rising, mixed])) == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert least_spearman(np.stack([rising, np.ones(4)]), np.stack([rising, rising])) is None
    assert least_spearman(rising[None] * np.nan, rising[None]) is None


def test_channel_orders_undo_each_other() -> None:
    last = np.arange(12.0).reshape(2, 3, 2)  # (h, w, C)
    first = last.transpose(2, 0, 1)
    orders = dict(channel_orders(12, [(2, 3, 2), (4, 3), (1, 1, 12), (12, 1, 1), (2, 3, 2)]))
    assert list(orders) == [
        "the first model flattens 2 x 3 x 2 channels first",
        "the second model flattens 2 x 3 x 2 channels first",
    ]
    np.testing.assert_array_equal(last.ravel()[next(iter(orders.values()))], first.ravel())
    np.testing.assert_array_equal(first.ravel()[list(orders.values())[1]], last.ravel())


def test_the_same_model_agrees_exactly() -> None:
    report = parity_report(numpy_twin(dtype="float64"), numpy_twin(dtype="float64"), images(dtype="float64"))
    assert report.status == "agree"
    assert report.first_difference is None
    assert {step.difference for step in report.steps} == {0.0}
    assert [step.stage for step in report.steps] == (
        ["images", "weights", "weights", "outputs", "scores", "gradients", *["maps"] * 6]
    )
    assert report.sentence == (
        "the first model and the second model agree on 7 images in images, weights, layer outputs, scores, "
        "input gradients, maps."
    )


def test_single_and_double_precision_of_one_model_agree_within_single_precision() -> None:
    report = parity_report(numpy_twin(dtype="float32"), numpy_twin(dtype="float64"), images(dtype="float64"))
    assert report.tolerances == TOLERANCES["float32"]
    assert report.status == "agree"
    assert 0 < next(step.difference or 0 for step in report.steps if step.stage == "scores") < 1e-6


@pytest.mark.parametrize(
    ("name", "place", "layer", "said"),
    [
        ("W1", (1, 4), "features", "kernel[0, 0, 1, 4]"),
        ("b1", (6,), "features", "bias[6]"),
        ("W2", (3, 2), "dense", "kernel[3, 2]"),
        ("b2", (1,), "dense", "bias[1]"),
    ],
)
def test_one_weight_is_named_at_its_layer(name: str, place: tuple[int, ...], layer: str, said: str) -> None:
    before = weights()[name][place]
    report = parity_report(numpy_twin(dtype="float64"), changed(name, place, 0.01), images(dtype="float64"))
    step = report.first_difference
    assert report.status == "differ"
    assert step is not None
    assert (step.stage, step.first, step.second, step.status) == ("weights", layer, layer, "differ")
    size = np.abs(weights()[name]).max()
    assert step.difference == pytest.approx(0.01 / size, rel=1e-4)
    assert step.note == (
        f"{said} is {before:.6g} and {np.float32(before + np.float32(0.01)):.6g}, "
        f"1 of {weights()[name].size} values differ"
    )
    assert report.sentence.startswith(f"Weights of layer {layer} differ by up to ")
    assert "(allowed: 1e-10)" in report.sentence
    assert [one.first for one in report.steps if one.stage == "weights" and one.status == "differ"] == [layer]


def test_without_the_weights_the_outputs_name_the_layer() -> None:
    ours = record(numpy_twin(dtype="float64"), images(dtype="float64"), name="ours")
    theirs = record(changed("W1", (0, 2), 0.1), images(dtype="float64"), ours.targets, name="theirs")
    report = compare(ours, theirs, start="outputs")
    step = report.first_difference
    assert step is not None
    assert (step.stage, step.first) == ("outputs", "features")
    assert stages(report, "left_out") == {"images", "weights"}
    later = compare(ours, theirs, start="scores").first_difference
    assert later is not None
    assert later.stage == "scores"
    assert later.tolerance == 1e-10


def test_a_bias_changes_the_scores_and_leaves_the_gradient() -> None:
    report = parity_report(numpy_twin(dtype="float64"), changed("b2", (1,), 0.5), images(dtype="float64"))
    assert stages(report, "differ") == {"weights", "scores"}
    assert {step.difference for step in report.steps if step.stage in ("gradients", "maps")} == {0.0}


def test_the_second_model_explains_the_classes_that_the_first_predicts() -> None:
    ours, theirs = numpy_twin(dtype="float64"), changed("b2", (1,), 100.0)
    batch = images(dtype="float64")
    assert set(theirs.gradient_pass(batch, "predicted").targets) == {1}
    report = parity_report(ours, theirs, batch)
    assert next(step for step in report.steps if step.stage == "gradients").status == "agree"


def test_images_that_differ_come_first_unless_left_out() -> None:
    batch = images(dtype="float64")
    ours = record(numpy_twin(dtype="float64"), batch, name="ours")
    theirs = record(numpy_twin(dtype="float64"), batch + 0.01, ours.targets, name="theirs")
    step = compare(ours, theirs).first_difference
    assert step is not None
    assert step.stage == "images"
    assert compare(ours, theirs).sentence.startswith("The images given to ours and theirs differ by up to ")
    smaller = replace(theirs, images=batch[:, :4])
    assert "shapes are (7, 6, 5, 3) and (7, 4, 5, 3)" in compare(ours, smaller).sentence
    with pytest.raises(InputError, match="start is 'score', allowed: .* Did you mean 'scores'"):
        compare(ours, theirs, start="score")  # type: ignore[arg-type]


def test_a_black_box_is_compared_by_its_scores_alone() -> None:
    model = numpy_twin(dtype="float32")
    box = wrap_model(model.scores, CLASSES, input_shape=SHAPE, score="logit")
    report = parity_report(model, box, images())
    assert report.status == "agree"
    assert stages(report, "not_compared") == {"weights", "outputs", "gradients", "maps"}
    assert stages(report, "agree") == {"images", "scores"}
    notes = {step.stage: step.note for step in report.steps if step.status == "not_compared"}
    assert notes["weights"].startswith("no weights are seen of ")


def test_two_kinds_of_score_are_not_compared() -> None:
    ours = record(numpy_twin(), images(), name="ours")
    theirs = replace(ours, subject=replace(ours.subject, name="theirs", score="probability"))
    report = compare(ours, theirs)
    assert report.status == "not_compared"
    assert report.sentence == (
        "ours and theirs could not be compared: the scores are of two kinds, ours a logit and theirs a probability."
    )
    assert stages(report, "not_compared") == {"scores", "gradients", "maps"}


def test_gradients_by_rank_in_single_precision() -> None:
    ours = record(numpy_twin(), images(), name="ours")
    assert ours.gradient is not None
    gradient = ours.gradient.copy()
    gradient[0, 0, 0, 0] *= 1.05
    theirs = replace(ours, gradient=gradient)
    allowed = next(step for step in compare(ours, theirs).steps if step.stage == "gradients")
    assert allowed.status == "agree"
    assert (allowed.tolerance, allowed.difference) == (
        None,
        pytest.approx(np.abs(gradient - ours.gradient).max() / np.abs(gradient[0]).max(), rel=1e-5),
    )
    strict = compare(ours, theirs, TOLERANCES["float32_shallow"]).first_difference
    assert strict is not None
    assert strict.stage == "gradients"
    upside_down = compare(ours, replace(ours, gradient=-ours.gradient)).first_difference
    assert upside_down is not None
    assert upside_down.spearman == pytest.approx(-1)
    assert "rank correlation -1.0000" in compare(ours, replace(ours, gradient=-ours.gradient)).sentence


def test_numbers_that_are_not_finite_never_agree() -> None:
    ours = record(numpy_twin(), images(), name="ours")
    scores = ours.scores.copy()
    scores[2, 1] = np.nan
    step = compare(replace(ours, scores=scores), replace(ours, scores=scores)).first_difference
    assert step is not None
    assert (step.stage, step.difference, step.note) == ("scores", np.inf, "most on image 2")


def test_a_recording_survives_the_file(tmp_path: Path) -> None:
    ours = record(numpy_twin(), images(), name="ours")
    ours.save(tmp_path / "ours.npz")
    again = Recorded.load(tmp_path / "ours.npz")
    assert again.subject == ours.subject
    assert again.layers == ours.layers
    report = compare(ours, again)
    assert {step.difference for step in report.steps} == {0.0}
    assert list(again.weights) == ["features", "dense"]
    box = wrap_model(numpy_twin().scores, CLASSES, input_shape=SHAPE, score="logit")
    record(box, images()).save(tmp_path / "box.npz")
    assert Recorded.load(tmp_path / "box.npz").gradient is None
    (tmp_path / "ours.npz").write_bytes(b"PK no archive")
    with pytest.raises(InputError, match="is no recording"):
        Recorded.load(tmp_path / "ours.npz")


def recording(held: dict[str, dict[str, np.ndarray]], kinds: dict[str, tuple[str, tuple[int, ...]]]) -> Recorded:
    """A recording of weights alone."""
    base = record(numpy_twin(), images(), name="base")
    layers = tuple(LayerInfo(name, kind, shape) for name, (kind, shape) in kinds.items())
    return replace(base, weights=held, layers=layers)


def test_branches_that_finish_in_another_order_are_paired_by_value() -> None:
    rng = np.random.default_rng(0)
    left, right, last = (rng.normal(size=(1, 1, 4, 4)) for _ in range(3))
    ours = recording({"left": {"weight": left}, "right": {"weight": right}, "last": {"weight": last}}, {})
    theirs = recording({"b": {"kernel": right}, "a": {"kernel": left}, "c": {"kernel": last}}, {})
    pairs = pair_weights(ours, theirs, 1e-6)
    assert [(pair.first, pair.second, pair.difference) for pair in pairs] == [  # type: ignore[union-attr]
        ("left", "a", 0.0),
        ("right", "b", 0.0),
        ("last", "c", 0.0),
    ]
    spoilt = left.copy()
    spoilt[0, 0, 1, 2] += 1
    theirs = recording({"b": {"kernel": right}, "a": {"kernel": spoilt}, "c": {"kernel": last}}, {})
    pairs = pair_weights(ours, theirs, 1e-6)
    assert [(pair.first, pair.second) for pair in pairs if pair.difference > 0] == [("left", "a")]  # type: ignore[union-attr]


def test_a_dense_kernel_in_another_order_is_no_difference_and_one_weight_in_it_is() -> None:
    rng = np.random.default_rng(1)
    last = rng.normal(size=(2 * 3 * 4, 5))
    first = last.reshape(2, 3, 4, 5).transpose(2, 0, 1, 3).reshape(24, 5)
    kinds = {"pool": ("MaxPool2d", (2, 3, 4)), "dense": ("Linear", (5,))}
    ours = recording({"dense": {"weight": first}}, kinds)
    (pair,) = pair_weights(ours, recording({"fc": {"kernel": last}}, {}), 1e-6)
    assert pair.difference == 0  # type: ignore[union-attr]
    assert pair.note == "the first model flattens 2 x 3 x 4 channels first"  # type: ignore[union-attr]
    spoilt = last.copy()
    spoilt[0, 3] += 0.5
    (pair,) = pair_weights(ours, recording({"fc": {"kernel": spoilt}}, {}), 1e-6)
    assert pair.difference == pytest.approx(0.5 / max(np.abs(first).max(), np.abs(spoilt).max()))  # type: ignore[union-attr]
    assert pair.note.startswith("weight[0, 3] is ")  # type: ignore[union-attr]
    assert "1 of 120 values differ" in pair.note  # type: ignore[union-attr]


def test_a_depthwise_kernel_is_that_of_a_convolution_in_groups() -> None:
    """PyTorch keeps channel c times multiplier m as output c M + m of group c."""
    kernel = np.arange(3 * 3 * 4 * 2.0).reshape(3, 3, 4, 2)
    grouped = np.stack([kernel[:, :, c, m] for c in range(4) for m in range(2)], axis=-1)[:, :, None]
    ours = recording({"conv": {"weight": grouped}}, {"conv": ("Conv2d", (5, 5, 8))})
    theirs = recording({"depth": {"kernel": kernel}}, {"depth": ("DepthwiseConv2D", (5, 5, 8))})
    (pair,) = pair_weights(ours, theirs, 1e-6)
    assert pair.difference == 0  # type: ignore[union-attr]


def test_other_sets_of_weights_are_said_and_the_walk_goes_on() -> None:
    ours = record(numpy_twin(), images(), name="ours")
    folded = {"features": {"kernel": ours.weights["features"]["kernel"]}, "dense": ours.weights["dense"]}
    report = compare(ours, replace(ours, weights=folded))
    assert report.status == "agree"
    step = next(step for step in report.steps if step.stage == "weights")
    assert step.status == "not_compared"
    assert "other shapes (2 and 2 layers with weights), as after folding" in step.note


def outputs_of(arrays: dict[str, np.ndarray], shapes: dict[str, tuple[int, ...]]) -> Recorded:
    base = record(numpy_twin(), images(), name="base")
    layers = tuple(LayerInfo(name, "layer", shapes[name]) for name in arrays)
    return replace(base, outputs={name: sampled(array) for name, array in arrays.items()}, layers=layers)


def test_outputs_find_their_layer_whatever_its_name_and_order() -> None:
    rng = np.random.default_rng(2)
    shape = (4, 3, 2)
    before, after = rng.normal(size=(2, 5, *shape))
    fused = np.maximum(before, 0)
    flat = after.transpose(0, 3, 1, 2).reshape(5, -1)
    ours = outputs_of(
        {"conv": before, "relu": fused, "other": after, "flat": flat, "alone": after + 9},
        {"conv": shape, "relu": shape, "other": shape, "flat": (24,), "alone": shape},
    )
    theirs = outputs_of({"b": after, "a": fused, "f": after.reshape(5, -1)}, {"b": shape, "a": shape, "f": (24,)})
    pairs = pair_outputs(ours, theirs, {"conv": "a"}, 1e-8)
    assert [(pair.first, pair.second, pair.difference, pair.note) for pair in pairs] == [
        ("conv", "a", 0.0, "the second has a ReLU built in"),
        ("relu", "a", 0.0, ""),
        ("other", "b", 0.0, ""),
        ("flat", "f", 0.0, "the first model flattens 4 x 3 x 2 channels first"),
        ("alone", None, None, "no layer of the second model gives this output"),
    ]


def test_a_layer_that_differs_where_the_scores_agree_is_not_counted() -> None:
    ours = record(numpy_twin(), images(), name="ours")
    theirs = replace(ours, outputs={**ours.outputs, "features": ours.outputs["features"] * 2 + 1})
    report = compare(ours, theirs)
    assert report.status == "agree"
    step = next(step for step in report.steps if step.first == "features" and step.stage == "outputs")
    assert step.status == "not_compared"
    assert step.note == "differs, yet the scores agree: the layers hold other intermediate values"
    assert step.difference is not None
    assert step.difference > 0.1


def test_large_outputs_are_kept_at_the_same_positions() -> None:
    output = np.arange(2 * 100 * 100 * 64.0).reshape(2, 100, 100, 64)
    kept = sampled(output)
    assert kept.shape == (2, 1024, 64)
    np.testing.assert_array_equal(kept, sampled(output))
    assert len(np.unique(kept[0, :, 0])) == 1024
    assert sampled(np.zeros((1, 8, 8, 60_000))).shape == (1, 16, 60_000)
    assert sampled(np.zeros((3, 10))).shape == (3, 1, 10)


def plain(dtype: str = "float64") -> tuple[Any, Any]:
    """The plain CNN in both frameworks behind the seam, and the Keras model to spoil."""
    pytest.importorskip("torch")
    pytest.importorskip("tensorflow")
    from tests.models.moved import built_in

    pair = built_in("plain_cnn")
    return pair, pair.adapters(dtype, micro_batch=4)  # type: ignore[arg-type]


@pytest.mark.torch
@pytest.mark.tensorflow
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_same_network_in_both_frameworks_agrees(dtype: str) -> None:
    from tests.models.moved import noise

    pair, (ours, theirs) = plain(dtype)
    report = parity_report(ours, theirs, noise(4, pair.shape, dtype))
    assert report.sentence.startswith("torch and keras agree on 4 images")
    weighed = [(step.first, step.second, step.difference) for step in report.steps if step.stage == "weights"]
    assert weighed == [("conv1", "conv1", 0.0), ("conv2", "conv2", 0.0), ("dense", "dense", 0.0)]
    given = [(step.first, step.second, step.status) for step in report.steps if step.stage == "outputs"]
    names = ["conv1", "relu1", "pool1", "conv2", "relu2", "pool2", "flatten", "dense"]
    assert given == [(name, name, "agree") for name in names]


@pytest.mark.torch
@pytest.mark.tensorflow
@pytest.mark.parametrize("layer", ["conv2", "dense"])
def test_one_weight_of_another_framework_is_named(layer: str) -> None:
    from tests.models.moved import noise

    pair, (_, before) = plain()
    batch = noise(4, pair.shape, "float64")
    loud = int(before.embeddings(batch).min(axis=0).argmax())  # an input of the dense layer that no image leaves at 0
    place = (1, 2, 5, 40) if layer == "conv2" else (loud, 2)
    kernel = pair.keras.get_layer(layer).kernel
    array = kernel.numpy()
    array[place] += 0.25
    kernel.assign(array)
    report = parity_report(*pair.adapters("float64", micro_batch=4), batch)
    step = report.first_difference
    assert step is not None
    assert (step.stage, step.first, step.second) == ("weights", layer, layer)
    assert step.note.startswith(f"weight{list(place)} is ")
    assert f"1 of {array.size} values differ" in step.note
    assert report.sentence.startswith(f"Weights of layer {layer} differ")
    outputs = next(step for step in report.steps if step.stage == "outputs" and step.status == "differ")
    assert outputs.first == layer


@pytest.mark.torch
@pytest.mark.tensorflow
def test_one_weight_of_a_branch_of_a_deep_network_is_named() -> None:
    """The shortcut of a block finishes after the layers beside it, in another order in each framework."""
    pytest.importorskip("torchvision")
    pytest.importorskip("tensorflow")
    from tests.models.moved import noise, resnet18

    pair = resnet18()
    batch = noise(2, pair.shape, "float32")
    ours, theirs = pair.adapters("float32", micro_batch=2)
    same = parity_report(ours, theirs, batch)
    assert same.status == "agree", same.sentence
    assert sum(step.stage == "weights" for step in same.steps) == 41
    compared = [step for step in same.steps if step.stage == "outputs" and step.status == "agree"]
    assert len(compared) == sum(step.stage == "outputs" for step in same.steps)
    kernel = pair.keras.get_layer("layer2_0_downsample_0").kernel
    array = kernel.numpy()
    array[0, 0, 17, 99] += 0.5
    kernel.assign(array)
    first = record(ours, batch, name="ours")
    second = record(theirs, batch, first.targets, name="theirs")
    for start, stage in (("images", "weights"), ("outputs", "outputs")):
        step = compare(first, second, start=start).first_difference  # type: ignore[arg-type]
        assert step is not None
        assert (step.stage, step.first, step.second) == (stage, "layer2.0.downsample.0", "layer2_0_downsample_0")


@pytest.mark.torch
@pytest.mark.tensorflow
def test_a_folded_epsilon_is_said_to_change_nothing_else() -> None:
    pytest.importorskip("torchvision")
    pytest.importorskip("tensorflow")
    from tests.models.moved import mobilenet_v2, noise

    pair = mobilenet_v2("float32")
    report = parity_report(*pair.adapters("float32", micro_batch=2), noise(2, pair.shape, "float32"))
    assert report.first_difference is not None
    assert (report.first_difference.first, report.first_difference.second) == ("features.0.1", "bn_Conv1")
    assert {step.stage for step in report.steps if step.status == "differ"} == {"weights"}
    assert report.sentence.endswith("; to leave the weights out, start at the outputs.")
