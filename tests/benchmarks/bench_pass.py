"""How long one gradient pass takes, as ratios against named rivals and against the least possible.

Plain script: ``python tests/benchmarks/bench_pass.py --repeats 5``. Each framework runs in a process of
its own; contestants take turns, so that whatever else the machine does falls on all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
SIZE = 224
CLASSES = tuple(str(index) for index in range(1000))
METHODS = ("saliency", "gradient_x_input", "grad_cam")


def main() -> None:
    """Run both frameworks, or the one named, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7, help="rounds; medians are taken over them")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=sorted(CONTESTS), help="one framework")
    parser.add_argument("--inside", choices=sorted(CONTESTS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        print(json.dumps(CONTESTS[options.inside](options)))
        return
    print(f"{'framework':<11}{'rival':<62}{'seconds':>9}{'ours':>9}{'ratio':>8}  target")
    for framework in [options.only] if options.only else CONTESTS:
        for line in _table(framework, _in_process(framework, options)):
            print(line, flush=True)


def _in_process(framework: str, options: argparse.Namespace) -> dict[str, list[float]]:
    command = [sys.executable, __file__, "--inside", framework]
    for name in ("repeats", "batch", "threads"):
        command += [f"--{name}", str(getattr(options, name))]
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "KERAS_BACKEND": "tensorflow",
        "CUDA_VISIBLE_DEVICES": "",
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{framework}: {done.stderr[-2000:]}")
    found: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def _table(framework: str, seconds: dict[str, list[float]]) -> list[str]:
    ours = statistics.median(seconds["ours"])
    lines = []
    for name, values in seconds.items():
        if name == "ours":
            continue
        rival = statistics.median(values)
        least = name.startswith("bound")
        ratio = ours / rival if least else rival / ours
        target = "at most 1.15 x the bound" if least else f"at least {TARGETS[framework]} x faster"
        lines.append(f"{framework:<11}{name:<62}{rival:>9.3f}{ours:>9.3f}{ratio:>8.2f}  {target}")
    return lines


def _rounds(contestants: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each contestant, taking turns; one round before is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    names = list(contestants)
    for round_ in range(repeats + 1):
        for name in names[round_ % len(names) :] + names[: round_ % len(names)]:
            started = time.perf_counter()
            contestants[name]()
            if round_:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def _images(batch: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(batch, SIZE, SIZE, 3)).astype(np.float32)


def bench_torch(options: argparse.Namespace) -> dict[str, list[float]]:
    """ResNet-18 with random weights: one pass against captum's four calls."""
    import torch
    import torchvision
    from captum.attr import InputXGradient, LayerGradCam, Saliency

    from audit.explanations import Batch, build
    from audit.models.loading import wrap_model

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = torchvision.models.resnet18(weights=None).eval().requires_grad_(False)
    images = _images(options.batch)
    tensor = torch.from_numpy(images).permute(0, 3, 1, 2)  # channels last, the faster layout, for captum too
    adapter = wrap_model(model, CLASSES, input_shape=(SIZE, SIZE, 3), micro_batch=options.batch)

    def ours() -> list[np.ndarray | None]:
        batch = Batch.of(adapter, images, "predicted")
        return [method.explain(batch).raw for method in build(METHODS).values()]

    def captum() -> list[np.ndarray]:
        with torch.no_grad():
            target = model(tensor).argmax(dim=1)
        saliency = Saliency(model).attribute(tensor.clone().requires_grad_(), target).amax(dim=1)
        product = InputXGradient(model).attribute(tensor.clone().requires_grad_(), target).sum(dim=1)
        cam = LayerGradCam(model, model.layer4).attribute(
            tensor.clone().requires_grad_(), target, relu_attributions=True
        )[:, 0]
        return [map_.detach().numpy() for map_ in (saliency, product, cam)]

    def bound(layout: torch.memory_format) -> None:
        inputs = tensor.clone(memory_format=layout).requires_grad_()
        scores = model(inputs)
        chosen = scores.detach().argmax(dim=1, keepdim=True)
        torch.autograd.grad(scores.gather(1, chosen).sum(), inputs)

    _same(ours(), captum())
    return _rounds(
        {
            "ours": ours,
            "captum: prediction, Saliency, InputXGradient, LayerGradCam": captum,
            "bound: forward and backward, channels last": lambda: bound(torch.channels_last),
            "bound: forward and backward, contiguous": lambda: bound(torch.contiguous_format),
        },
        options.repeats,
    )


def bench_keras(options: argparse.Namespace) -> dict[str, list[float]]:
    """MobileNetV2 with random weights: one pass against Keras `predict` and tf-explain."""
    import keras
    import tensorflow as tf
    from tf_explain.core.grad_cam import GradCAM
    from tf_explain.core.vanilla_gradients import VanillaGradients

    from audit.explanations import Batch, build
    from audit.models.loading import wrap_model

    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    warnings.simplefilter("ignore")
    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNetV2(weights=None, classifier_activation=None)
    images = _images(options.batch)
    tensor = tf.constant(images)
    adapter = wrap_model(model, CLASSES, micro_batch=options.batch)
    layer = adapter.spec.layer or ""

    def ours() -> list[np.ndarray | None]:
        batch = Batch.of(adapter, images, "predicted")
        return [method.explain(batch).raw for method in build(METHODS).values()]

    def tf_explain() -> list[np.ndarray]:
        target = int(model.predict(images, verbose=0).argmax(axis=1)[0])  # it takes one class a batch
        gradient = VanillaGradients.compute_gradients(tensor, model, tf.constant(target)).numpy()
        outputs, weights = GradCAM.get_gradients_and_filters(model, tensor, layer, target, False)
        cams = np.stack([cam.numpy() for cam in GradCAM.generate_ponderated_output(outputs, weights)])
        return [np.abs(gradient).max(axis=-1), (gradient * images).sum(axis=-1), np.maximum(cams, 0)]

    @tf.function(input_signature=[tf.TensorSpec(tensor.shape, tf.float32)], autograph=False)
    def least(inputs: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(inputs)
            scores = model(inputs, training=False)
            explained = tf.reduce_max(scores, axis=1)
        return tape.gradient(explained, inputs)

    _same([map_[:1] for map_ in ours() if map_ is not None], [map_[:1] for map_ in tf_explain()])
    return _rounds(
        {
            "ours": ours,
            "Keras predict, tf-explain VanillaGradients and GradCAM": tf_explain,
            "bound: forward and backward, one tf.function": lambda: least(tensor).numpy(),
        },
        options.repeats,
    )


def _same(ours: list[np.ndarray | None], theirs: list[np.ndarray]) -> None:
    """A rival that computes something else is no rival."""
    for mine, other in zip(ours, theirs, strict=True):
        assert mine is not None
        agreement = np.corrcoef(mine.ravel(), other.ravel())[0, 1]
        if agreement < 0.999:  # in float32 single pixels may differ, where a ReLU or a maximum ties
            raise SystemExit(f"maps correlate at {agreement:.4f} only")


CONTESTS = {"torch": bench_torch, "tensorflow": bench_keras}
TARGETS = {"torch": 2.5, "tensorflow": 4.0}

if __name__ == "__main__":
    main()
