"""ONNX graphs behind the seam: layouts, batches, kinds of scores, and what is refused with which words."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit.config import ExecutionConfig, ModelConfig
from audit.errors import InputError, ModelError
from audit.models.adapter import predicted, probabilities
from audit.models.loading import load_model
from audit.testing import check_adapter
from tests.models.twins import CLASSES, SHAPE, images, numpy_twin

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from tests.models import onnx_models as graphs  # noqa: E402 - after the check that onnx is there

Changes = dict[str, Any]


def load(folder: Path, path: str = "m.onnx", *, layout: str = "NCHW", device: str = "cpu", **keys: Any) -> Any:
    preprocessing = {"size": list(SHAPE[:2]), "layout": layout} | keys.pop("preprocessing", {})
    settings = {"name": "box", "framework": "onnx", "path": path, "preprocessing": preprocessing}
    execution = ExecutionConfig(device=device, micro_batch=keys.pop("micro_batch", 4), threads=keys.pop("threads", 1))
    return load_model(ModelConfig.model_validate(settings | keys), folder, CLASSES, execution)


def soft(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values.astype(np.float64))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("batch", ["N", 1, 3, 7, 16])
def test_both_layouts_with_any_batch(tmp_path: Path, layout: str, batch: int | str) -> None:
    graphs.save(tmp_path, graphs.twin(layout, batch=batch))
    adapter = load(tmp_path, layout=layout)
    np.testing.assert_allclose(adapter.scores(images()), numpy_twin().scores(images()), atol=1e-5)
    assert adapter.micro_batch == (4 if batch == "N" else batch)
    done = set(check_adapter(adapter))
    assert done >= {"scores", "heads", "refuses_bad_images", "refuses_gradients", "refuses_embeddings"}


def test_what_is_known_of_it(tmp_path: Path) -> None:
    graphs.save(tmp_path, graphs.twin())
    adapter = load(tmp_path, threads=2)
    spec = adapter.spec
    assert (spec.framework, spec.device, spec.layer, spec.capabilities) == ("onnx", "cpu", None, {"scores"})
    assert (spec.input_shape, spec.outputs, spec.score, spec.dtype) == (SHAPE, 4, "logit", "float32")
    assert spec.parameters == graphs.PARAMETERS == 68
    assert adapter._session.get_session_options().intra_op_num_threads == 2
    assert adapter.layers() == []
    adapter.close()


def test_a_fixed_batch_is_filled_up_and_counted_whole(tmp_path: Path) -> None:
    graphs.save(tmp_path, graphs.twin(batch=5))
    adapter = load(tmp_path)
    before = adapter.used
    adapter.scores(images(7))
    assert adapter.used - before == 10


def test_masks_apply_to_a_black_box(tmp_path: Path) -> None:
    graphs.save(tmp_path, graphs.twin(batch=3))
    masks = np.random.default_rng(0).random((5, *SHAPE[:2])).astype(np.float32)
    fill = np.array([0.5, -0.5, 0.0], np.float32)
    batch = images(2)
    blended = masks[None, ..., None] * batch[:, None] + (1 - masks[None, ..., None]) * fill
    expected = numpy_twin().scores(blended.reshape(-1, *SHAPE).astype(np.float32)).reshape(2, 5, 4)
    np.testing.assert_allclose(load(tmp_path).masked_scores(batch, masks, fill), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [["N", 3, "h", "w"], [None, None, None, None], None])
def test_free_dimensions_take_what_preprocessing_makes(tmp_path: Path, shape: Any) -> None:
    graphs.save(tmp_path, graphs.twin(shape=shape))
    np.testing.assert_allclose(load(tmp_path).scores(images()), numpy_twin().scores(images()), atol=1e-5)
    with pytest.raises(ModelError, match="needs one image size, and the graph fixes none"):
        load(tmp_path, preprocessing={"size": None})


def test_the_graph_gives_the_size_that_preprocessing_leaves_open(tmp_path: Path) -> None:
    graphs.save(tmp_path, graphs.twin())
    assert load(tmp_path, preprocessing={"size": None}).spec.input_shape == SHAPE
    with pytest.raises(ModelError, match=r"takes \(N, 3, 6, 5\), which is NCHW.*Fix: declare `layout: NCHW`"):
        load(tmp_path, layout="NHWC", preprocessing={"size": None})


@pytest.mark.parametrize(("real", "declared"), [("NCHW", "NHWC"), ("NHWC", "NCHW")])
def test_a_contradicted_layout_says_which_to_declare(tmp_path: Path, real: str, declared: str) -> None:
    graphs.save(tmp_path, graphs.twin(real))
    with pytest.raises(ModelError, match=f"which is {real}, and the declared layout is {declared}.*`layout: {real}`"):
        load(tmp_path, layout=declared)


def test_an_image_of_three_by_three_by_three_follows_the_declaration(tmp_path: Path) -> None:
    graphs.save(tmp_path, graphs.twin("NCHW", size=(3, 3)))
    batch = images(4, shape=(3, 3, 3))
    declared = load(tmp_path, preprocessing={"size": [3, 3]}).scores(batch)
    other = load(tmp_path, layout="NHWC", preprocessing={"size": [3, 3]}).scores(batch.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(declared, other)


def test_a_wrong_layout_that_the_graph_does_not_fix_is_found_by_trying(tmp_path: Path) -> None:
    graphs.save(tmp_path, graphs.twin(shape=[None] * 4))
    with pytest.raises(ModelError, match=r"cannot take 4 images of 6 x 5 x 3 in layout NHWC: .*Fix: check"):
        load(tmp_path, layout="NHWC")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"preprocessing": {"size": [9, 9]}}, r"takes \(N, 3, 6, 5\), preprocessing makes 9 x 9 x 3 .*layout NCHW"),
        ({"preprocessing": {"mode": "L"}}, r"takes \(N, 3, 6, 5\), preprocessing makes 6 x 5 x 1 "),
        ({"classes": ["a", "b"]}, "box: has 4 outputs, but 2 classes are declared"),
        ({"score": "probability"}, r"box: gives numbers from -\d+\S* to \d+\S*, which are no probabilities"),
        ({"device": "cuda"}, "device 'cuda' is not there: this ONNX Runtime has .*CPUExecutionProvider"),
        ({"device": "tpu"}, "allowed: auto, cpu, cuda"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, keys: Changes, message: str) -> None:
    graphs.save(tmp_path, graphs.twin())
    with pytest.raises(ModelError, match=message):
        load(tmp_path, **keys)


def test_a_softmax_in_the_graph_must_be_declared(tmp_path: Path) -> None:
    graphs.save(tmp_path, graphs.twin(end="Softmax"))
    for score in ("auto", "logit"):
        with pytest.raises(ModelError, match="between 0 and 1 where logits are expected.*`score: probability`"):
            load(tmp_path, score=score)
    adapter = load(tmp_path, score="probability")
    logits = numpy_twin().scores(images())
    assert adapter.spec.score == "probability"
    np.testing.assert_allclose(probabilities(adapter.spec, adapter.scores(images())), soft(logits), atol=1e-6)
    np.testing.assert_array_equal(predicted(adapter.spec, adapter.scores(images())), logits.argmax(axis=1))


def test_sigmoids_are_no_softmax(tmp_path: Path) -> None:
    graphs.save(tmp_path, graphs.twin(end="Sigmoid"))
    with pytest.raises(ModelError, match="add up to .* probabilities of a softmax to 1.*`head: sigmoid`"):
        load(tmp_path, score="probability")
    spec = load(tmp_path, score="probability", head="sigmoid").spec
    assert (spec.outputs, spec.score, spec.head) == (4, "probability", "sigmoid")


def test_one_sigmoid_output_stands_for_two_classes(tmp_path: Path) -> None:
    graphs.save(tmp_path, graphs.twin(outputs=1, end="Sigmoid"))
    keys = {"head": "sigmoid", "classes": ["no", "yes"]}
    adapter = load(tmp_path, score="probability", **keys)
    p = 1 / (1 + np.exp(-numpy_twin(1, head="sigmoid").scores(images()).astype(np.float64)))
    expected = np.concatenate([1 - p, p], axis=1)
    np.testing.assert_allclose(probabilities(adapter.spec, adapter.scores(images())), expected, atol=1e-6)
    with pytest.raises(ModelError, match="where logits are expected"):
        load(tmp_path, **keys)


def test_a_not_finite_image_leaves_the_others_alone(tmp_path: Path) -> None:
    for name, batch in (("free", "N"), ("fixed", 4)):
        graphs.save(tmp_path, graphs.twin(batch=batch, end="Softmax"), f"{name}.onnx")
        adapter = load(tmp_path, f"{name}.onnx", score="probability")
        clean = images(6)
        dirty = clean.copy()
        dirty[2, 0, 0, 0] = np.nan
        dirty[4] = np.inf
        found, expected = adapter.scores(dirty), adapter.scores(clean)
        assert np.isnan(found[2]).all()
        assert np.isnan(found[4]).all()
        np.testing.assert_array_equal(found[[0, 1, 3, 5]], expected[[0, 1, 3, 5]])


def test_double_precision_images_are_taken_as_float32(tmp_path: Path) -> None:
    graphs.save(tmp_path, graphs.twin())
    adapter = load(tmp_path)
    scores = adapter.scores(images(dtype="float64"))
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(scores, adapter.scores(images(dtype="float64").astype(np.float32)))
    with pytest.raises(InputError, match="channels last"):
        adapter.scores(images().transpose(0, 3, 1, 2))


def test_the_only_output_that_can_be_scores_is_taken(tmp_path: Path) -> None:
    also = [graphs.tensor("x2", ["N", 8, *SHAPE[:2]]), graphs.tensor("best", ["N"], onnx.TensorProto.INT64)]
    content = graphs.twin(also=also)
    content.graph.node.append(onnx.helper.make_node("ArgMax", ["logits"], ["best"], axis=1, keepdims=0))
    content.graph.output.insert(0, content.graph.output.pop())  # the label first, as scikit-learn's exporter has it
    graphs.save(tmp_path, content)
    np.testing.assert_allclose(load(tmp_path).scores(images()), numpy_twin().scores(images()), atol=1e-5)


def test_two_outputs_that_can_be_scores_are_listed(tmp_path: Path) -> None:
    graphs.save(tmp_path, graphs.twin(also=[graphs.tensor("features", ["N", 8])]))
    listed = r"more than one of them is: logits \(N, 4\) tensor\(float\), features \(N, 8\) tensor\(float\)"
    with pytest.raises(ModelError, match=listed):
        load(tmp_path)


def test_one_output_of_another_rank_is_refused(tmp_path: Path) -> None:
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    shape = ["N", 3, *SHAPE[:2]]
    graphs.save(tmp_path, graphs.model([node], [graphs.tensor("x", shape)], [graphs.tensor("y", shape)]))
    with pytest.raises(ModelError, match=r"one row of scores an image, gave \(4, 3, 6, 5\) for 4 images"):
        load(tmp_path)


def test_whole_number_outputs_are_no_scores(tmp_path: Path) -> None:
    node = onnx.helper.make_node("ArgMax", ["x"], ["y"], axis=1)
    given = graphs.tensor("y", ["N", 1, *SHAPE[:2]], onnx.TensorProto.INT64)
    graphs.save(tmp_path, graphs.model([node], [graphs.tensor("x", ["N", 3, *SHAPE[:2]])], [given]))
    with pytest.raises(ModelError, match=r"none of them is: y \(N, 1, 6, 5\) tensor\(int64\)"):
        load(tmp_path)


def test_several_inputs_are_listed(tmp_path: Path) -> None:
    content = graphs.twin()
    content.graph.input.append(graphs.tensor("age", ["N", 1]))
    graphs.save(tmp_path, content)
    with pytest.raises(
        ModelError, match=r"takes 2 inputs, .* takes one: x \(N, 3, 6, 5\) tensor\(float\), age \(N, 1\)"
    ):
        load(tmp_path)


@pytest.mark.parametrize("kind", ["DOUBLE", "FLOAT16", "UINT8"])
def test_inputs_of_another_type_are_refused(tmp_path: Path, kind: str) -> None:
    content = graphs.twin()
    content.graph.node.insert(0, onnx.helper.make_node("Cast", ["raw"], ["x"], to=onnx.TensorProto.FLOAT))
    content.graph.input.pop()
    content.graph.input.append(graphs.tensor("raw", ["N", 3, *SHAPE[:2]], getattr(onnx.TensorProto, kind)))
    graphs.save(tmp_path, content)
    with pytest.raises(ModelError, match=r"the input 'raw' is tensor\(\w+\), allowed: tensor\(float\)"):
        load(tmp_path)


def test_an_input_of_another_rank_is_refused(tmp_path: Path) -> None:
    flat = onnx.helper.make_node("Flatten", ["x"], ["y"])
    graphs.save(tmp_path, graphs.model([flat], [graphs.tensor("x", ["N", 90])], [graphs.tensor("y", ["N", 90])]))
    with pytest.raises(ModelError, match=r"the input has shape \(N, 90\), a batch of images has four dimensions"):
        load(tmp_path)


def test_a_batch_that_the_graph_fixes_without_saying_so_is_found_by_trying(tmp_path: Path) -> None:
    content = graphs.twin()
    content.graph.node[3].CopyFrom(onnx.helper.make_node("Reshape", ["x3", "one"], ["features"]))
    content.graph.initializer.append(onnx.numpy_helper.from_array(np.array([4, 8]), "one"))
    graphs.save(tmp_path, content)
    with pytest.raises(ModelError, match=r"cannot take 1 images of 6 x 5 x 3 .*exported for any number of images"):
        load(tmp_path)


def test_an_operator_of_a_library_is_refused(tmp_path: Path) -> None:
    node = onnx.helper.make_node("Theirs", ["x"], ["y"], domain="their.own")
    inputs, outputs = [graphs.tensor("x", ["N", 3, *SHAPE[:2]])], [graphs.tensor("y", ["N", 4])]
    graphs.save(tmp_path, graphs.model([node], inputs, outputs))
    with pytest.raises(
        ModelError, match=r"their\.own:Theirs.*libraries of custom operators run code and are not loaded"
    ):
        load(tmp_path)


def test_an_opset_of_the_future_is_refused_in_one_line(tmp_path: Path) -> None:
    content = graphs.twin()
    content.ir_version = 99
    graphs.save(tmp_path, content)
    with pytest.raises(
        ModelError, match=r"^box: 'm\.onnx' cannot be loaded by ONNX Runtime \S+: Unsupported model IR"
    ) as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_graph_without_its_end_is_refused(tmp_path: Path) -> None:
    content = graphs.twin()
    content.graph.node.pop()
    graphs.save(tmp_path, content)
    with pytest.raises(ModelError, match=r"cannot be loaded by ONNX Runtime .*output \(logits\) does not exist"):
        load(tmp_path)


class Short:
    """A session that has memory for two images at once."""

    def __init__(self, session: Any, message: str) -> None:
        self._session = session
        self._message = message

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, outputs: Any, feeds: dict[str, np.ndarray]) -> Any:
        if len(feeds["x"]) > 2:
            raise RuntimeError(self._message)
        return self._session.run(outputs, feeds)


@pytest.mark.parametrize("message", ["Failed to allocate memory for requested buffer of size 9", "std::bad_alloc"])
def test_memory_that_is_short_halves_the_micro_batch(tmp_path: Path, message: str) -> None:
    graphs.save(tmp_path, graphs.twin())
    adapter = load(tmp_path, micro_batch=16)
    expected = adapter.scores(images())
    adapter._session = Short(adapter._session, message)
    np.testing.assert_allclose(adapter.scores(images()), expected, atol=1e-6)
    assert adapter.micro_batch == 2


def test_a_fixed_batch_cannot_be_halved(tmp_path: Path) -> None:
    graphs.save(tmp_path, graphs.twin(batch=5))
    adapter = load(tmp_path)
    adapter._session = Short(adapter._session, "Failed to allocate memory")
    with pytest.raises(ModelError, match="cannot take 5 images .*Failed to allocate memory"):
        adapter.scores(images())


def test_devices_become_providers() -> None:
    from audit.models.onnx_loading import choose_providers

    cpu, cuda = "CPUExecutionProvider", "CUDAExecutionProvider"
    assert choose_providers("auto", [cpu]) == choose_providers("cpu", [cuda, cpu]) == [cpu]
    for device, index in (("auto", "0"), ("cuda", "0"), ("cuda:3", "3")):
        (name, options), last = choose_providers(device, [cuda, cpu])
        assert (name, options["device_id"], options["use_tf32"], last) == (cuda, index, "0", cpu)
    for device in ("cuda:x", "gpu", "cuda:"):
        with pytest.raises(ModelError, match=f"device '{device}' is unknown"):
            choose_providers(device, [cuda, cpu])


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"layer": "conv"}, "key 'layer' has no meaning for framework 'onnx'"),
        ({"weights": "w.npz"}, "key 'weights' has no meaning"),
        ({"arguments": {"a": 1}}, "key 'arguments' has no meaning"),
        ({"path": None}, "framework 'onnx' needs the key 'path'"),
        ({"framework": "keras"}, "'preprocessing.layout' has no meaning for framework 'keras'"),
        ({"preprocessing": {"layout": "HWC"}}, "NCHW"),
    ],
)
def test_keys_that_do_not_belong_are_refused(keys: Changes, message: str) -> None:
    settings = {"name": "box", "framework": "onnx", "path": "m.onnx", "preprocessing": {"layout": "NCHW"}}
    with pytest.raises(ValueError, match=message):
        ModelConfig.model_validate(settings | keys)


def test_without_onnxruntime_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ModelError, match=r"needs onnxruntime, .*pip install 'faircam\[onnx\]'"):
        load(tmp_path)


def test_an_onnx_model_brings_in_no_other_framework(tmp_path: Path) -> None:
    path = graphs.save(tmp_path, graphs.twin())
    code = (
        "import json, sys\nfrom pathlib import Path\n"
        "from audit.config import ExecutionConfig, ModelConfig\nfrom audit.models.loading import load_model\n"
        "early = 'onnxruntime' in sys.modules\n"
        f"made = {{'size': [6, 5], 'layout': 'NCHW'}}\n"
        f"config = ModelConfig(name='m', framework='onnx', path={str(path)!r}, preprocessing=made)\n"
        "load_model(config, Path(), tuple('abcd'), ExecutionConfig(device='cpu'))\n"
        "print(json.dumps([early, sorted({name.split('.')[0] for name in sys.modules})]))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    early, loaded = json.loads(done.stdout)
    assert not early
    assert "onnxruntime" in loaded
    assert not {"torch", "tensorflow", "keras", "onnx", "streamlit", "matplotlib"} & set(loaded)
