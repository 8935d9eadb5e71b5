"""Conformance suites for plug-ins: what an adapter must do, checked on values.

Call `check_adapter` from a test of your own; it needs no test framework.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from audit.errors import FaircamError, InputError, ModelError
from audit.models.adapter import Copies, GradientPass, ModelAdapter, predicted, probabilities
from audit.models.cams import CAM_KINDS

__all__ = ["AdapterFault", "check_adapter"]

_IMAGES = 5


class AdapterFault(AssertionError):
    """An adapter does not keep what the seam promises."""


def check_adapter(adapter: ModelAdapter, images: np.ndarray | None = None) -> list[str]:
    """Hold an adapter against everything that the seam promises.

    Parameters
    ----------
    adapter : ModelAdapter
        With a model loaded.
    images : ndarray, optional
        ``(N, H, W, C)`` in the model's range, N at least 2; noise in [-1, 1] by default. Flat regions
        tie in pooling, where gradients are not unique: give images with noise.

    Returns
    -------
    list of str
        Names of the checks that were made; those that need gradients are left out for a black box.

    Raises
    ------
    AdapterFault
        A check failed; the message says which and by how much.
    """
    if images is None:
        noise = np.random.default_rng(7).uniform(-1, 1, (_IMAGES, *adapter.spec.input_shape))
        images = noise.astype(adapter.spec.dtype)
    checks = [_scores, _heads, _masks, _refuses_bad_images, _refuses_bad_masks]
    if "gradients" in adapter.spec.capabilities:
        checks += [_explains, _predicts, _slopes, _batches, _sums, _refuses_bad_targets]
    else:
        checks.append(_refuses_gradients)
    if "layers" in adapter.spec.capabilities:
        checks += [_names_layers, _cams, _activates, _refuses_unknown_layers]
    if "weights" in adapter.spec.capabilities:
        checks += [_shuffles]
    checks.append(_embeds if "embeddings" in adapter.spec.capabilities else _refuses_embeddings)
    for check in checks:
        check(adapter, images.copy())
    return [check.__name__.removeprefix("_") for check in checks]


def _scores(adapter: ModelAdapter, images: np.ndarray) -> None:
    """Scores have a row an image, repeat bit for bit, leave the images alone, exist for no images."""
    spec, before = adapter.spec, images.copy()
    scores = adapter.scores(images)
    _expect(scores.shape == (len(images), spec.outputs), f"scores have shape {scores.shape}")
    _expect(str(scores.dtype) == spec.dtype, f"scores are {scores.dtype}, declared {spec.dtype}")
    _expect(bool((scores == adapter.scores(images)).all()), "scores differ between two calls")
    _expect(bool((images == before).all()), "the images given were overwritten")
    _close("scores of one image and of a batch", adapter, adapter.scores(images[:1]), scores[:1])
    _expect(adapter.scores(images[:0]).shape == (0, spec.outputs), "no images must give no scores")


def _heads(adapter: ModelAdapter, images: np.ndarray) -> None:
    """Probabilities lie in [0, 1], and sum to 1 where they must."""
    spec = adapter.spec
    values = probabilities(spec, adapter.scores(images))
    _expect(values.shape == (len(images), len(spec.classes)), f"probabilities have shape {values.shape}")
    _expect(bool(((values >= 0) & (values <= 1)).all()), "probabilities leave [0, 1]: is `score` right?")
    if spec.head == "softmax" or spec.outputs == 1:
        _expect(bool(np.allclose(values.sum(axis=1), 1, atol=1e-4)), "probabilities do not sum to 1")


def _explains(adapter: ModelAdapter, images: np.ndarray) -> None:
    """The explained score is the target's, and all of a pass has the declared type and shape."""
    spec = adapter.spec
    for target in range(len(spec.classes)):
        done = adapter.gradient_pass(images, np.full(len(images), target))
        _close("scores of a pass and alone", adapter, done.scores, adapter.scores(images))
        _close("the explained score", adapter, done.explained, _explained(adapter, done.scores, target))
        _expect(done.input_gradient.shape == images.shape, f"gradient has shape {done.input_gradient.shape}")
        _expect(str(done.input_gradient.dtype) == spec.dtype, f"gradient is {done.input_gradient.dtype}")
    empty = adapter.gradient_pass(images[:0], "predicted")
    _expect(empty.input_gradient.shape == images[:0].shape, "no images must give no gradients")


def _predicts(adapter: ModelAdapter, images: np.ndarray) -> None:
    """The target `predicted` equals the predicted classes given as targets."""
    resolved = adapter.gradient_pass(images, "predicted")
    given = adapter.gradient_pass(images, predicted(adapter.spec, adapter.scores(images)))
    _expect(bool((resolved.targets == given.targets).all()), "'predicted' is not the predicted class")
    _expect(resolved.targets.dtype == np.int64, f"targets are {resolved.targets.dtype}")
    _close("gradients for 'predicted'", adapter, resolved.input_gradient, given.input_gradient)


def _slopes(adapter: ModelAdapter, images: np.ndarray) -> None:
    """The gradient is the slope of the explained score, by central differences along it."""
    targets = np.arange(len(images)) % len(adapter.spec.classes)
    gradient = adapter.gradient_pass(images, targets).input_gradient.astype(np.float64)
    length = np.sqrt((gradient**2).sum(axis=(1, 2, 3), keepdims=True))
    _expect(bool((length > 0).all()), "the gradient is zero everywhere")
    step, tolerance = (1e-5, 1e-3) if adapter.spec.dtype == "float64" else (1e-2, 5e-2)
    ahead, behind = (
        adapter.gradient_pass((images + sign * step * gradient / length).astype(images.dtype), targets)
        for sign in (1, -1)
    )
    slope = (ahead.explained.astype(np.float64) - behind.explained) / (2 * step)
    worst = float(np.abs(slope / length.ravel() - 1).max())
    _expect(worst <= tolerance, f"gradient and finite difference differ by {worst:.1e} of the slope")


def _batches(adapter: ModelAdapter, images: np.ndarray) -> None:
    """An image's gradient and map do not depend on its batch mates or its place among them."""
    layers = _cam_layers(adapter)
    whole = adapter.gradient_pass(images, "predicted", layers)
    turned = adapter.gradient_pass(images[::-1], "predicted", layers)
    for index in range(len(images)):
        alone = adapter.gradient_pass(images[index : index + 1], "predicted", layers)
        for other, place in ((whole, index), (turned, len(images) - 1 - index)):
            _same_row(adapter, alone, other, place)


def _masks(adapter: ModelAdapter, images: np.ndarray) -> None:
    """Scores of masked images are those of images masked outside; a full mask changes nothing."""
    rng = np.random.default_rng(11)
    masks = rng.integers(0, 2, (3, *adapter.spec.input_shape[:2])).astype(np.float32)
    masks[0] = 1
    fill = images[::-1].mean(axis=(1, 2), keepdims=True)
    found = adapter.masked_scores(images, masks, fill)
    _expect(found.shape == (len(images), 3, adapter.spec.outputs), f"masked scores have shape {found.shape}")
    for place, mask in enumerate(masks[..., None].astype(images.dtype)):
        outside = adapter.scores((mask * images + (1 - mask) * fill).astype(images.dtype))
        _close("a masked score", adapter, found[:, place], outside)
    own = adapter.masked_scores(images, np.broadcast_to(masks, (len(images), *masks.shape)), fill)
    _close("scores with a mask for each image", adapter, own, found)
    _close("scores with masks of bools", adapter, adapter.masked_scores(images, masks > 0, fill), found)
    _expect(adapter.masked_scores(images[:0], masks, fill[:0]).shape[:2] == (0, 3), "no images must give no scores")


def _sums(adapter: ModelAdapter, images: np.ndarray) -> None:
    """A sum over copies is the sum of the gradients at them."""
    rng = np.random.default_rng(13)
    shape = adapter.spec.input_shape
    copies = Copies(
        weights=np.array([0.5, -1.0, 2.0]),
        scales=np.array([1.0, 0.4, 0.7]),
        baseline=rng.uniform(-1, 1, shape),
        offsets=rng.normal(0, 0.1, (3, *shape)),
    )
    targets = np.arange(len(images)) % len(adapter.spec.classes)
    found = adapter.gradient_sum(images, targets, copies)
    expected = np.zeros(images.shape)
    for place, weight in enumerate(copies.weights):
        scale = copies.scales[place] if copies.scales is not None else 1.0
        copy = scale * images + (1 - scale) * np.asarray(copies.baseline) + np.asarray(copies.offsets)[place]
        done = adapter.gradient_pass(copy.astype(images.dtype), targets)
        expected += weight * done.input_gradient
        _close("the score at a copy", adapter, found.explained[:, place], done.explained)
    _close("a sum of gradients", adapter, found.total, expected)
    bare = adapter.gradient_sum(images, targets, Copies(np.ones(1)))
    _close("the sum over one copy", adapter, bare.total, adapter.gradient_pass(images, targets).input_gradient)


def _activates(adapter: ModelAdapter, images: np.ndarray) -> None:
    """Activations have the shape that the layer declares."""
    for layer in adapter.layers()[-3:]:
        found = adapter.activations(images, layer.name)
        _expect(found.shape == (len(images), *layer.shape), f"activations of '{layer.name}' are {found.shape}")
        _close("an activation alone", adapter, adapter.activations(images[:1], layer.name), found[:1])


def _shuffles(adapter: ModelAdapter, images: np.ndarray) -> None:
    """Shuffled weights change the scores, keep their values and come back bit for bit, after an error too."""
    before, scores = adapter.weights(), adapter.scores(images)
    layer = list(before)[-1]
    try:
        with adapter.randomised([layer], seed=1):
            shuffled = adapter.weights()
            _expect(bool((adapter.scores(images) != scores).any()), "shuffled weights give the same scores")
            raise KeyError(layer)
    except KeyError:
        pass
    for name, arrays in before.items():
        for key, array in arrays.items():
            same = np.array_equal(array, shuffled[name][key])
            _expect(name == layer or same, f"'{name}' was shuffled, only '{layer}' was asked for")
            kept = np.array_equal(np.sort(array, axis=None), np.sort(shuffled[name][key], axis=None))
            _expect(kept, f"the values of '{name}' were changed, not shuffled")
    again = adapter.weights()
    _expect(
        all(
            np.array_equal(array, again[name][key]) for name, arrays in before.items() for key, array in arrays.items()
        ),
        "weights did not come back",
    )
    _expect(bool((adapter.scores(images) == scores).all()), "scores differ after the weights came back")
    _refuses("a layer without weights", ModelError, lambda: _enter(adapter, "no such layer"))


def _enter(adapter: ModelAdapter, layer: str) -> None:
    with adapter.randomised([layer], seed=1):
        pass


def _refuses_bad_masks(adapter: ModelAdapter, images: np.ndarray) -> None:
    height, width = adapter.spec.input_shape[:2]
    fill = np.zeros(adapter.spec.input_shape, images.dtype)
    small, loud = np.ones((1, height - 1, width)), np.full((1, height, width), 2.0)
    _refuses("masks of another size", InputError, lambda: adapter.masked_scores(images, small, fill))
    _refuses("masks beyond 1", InputError, lambda: adapter.masked_scores(images, loud, fill))


def _names_layers(adapter: ModelAdapter, images: np.ndarray) -> None:  # noqa: ARG001
    """Layer names are unique, and the declared layer is one of them."""
    names = [layer.name for layer in adapter.layers()]
    _expect(len(set(names)) == len(names), "layer names repeat")
    layer = adapter.spec.layer
    _expect(layer is None or layer in names, f"the declared layer '{layer}' is none of {names}")


def _cams(adapter: ModelAdapter, images: np.ndarray) -> None:
    """Grad-CAM has its layer's size, and is the same whichever other layers are asked for."""
    spatial = [layer for layer in adapter.layers() if len(layer.shape) == 3][-2:]
    names = [layer.name for layer in spatial]
    together = _pass_or_none(adapter, images, names)
    if together is None:
        return
    for layer in spatial:
        for kind in CAM_KINDS:
            cam = together.cams[layer.name].maps[kind]
            _expect(cam.shape == (len(images), *layer.shape[:2]), f"{kind} of '{layer.name}' is {cam.shape}")
            _expect(str(cam.dtype) == adapter.spec.dtype, f"{kind} is {cam.dtype}")
        cam = together.cams[layer.name].grad_cam
        alone = adapter.gradient_pass(images, "predicted", [layer.name])
        _close(f"Grad-CAM of '{layer.name}' alone", adapter, alone.cams[layer.name].grad_cam, cam)
        _close("gradients with a layer", adapter, alone.input_gradient, together.input_gradient)
    _expect(not adapter.gradient_pass(images, "predicted").cams, "layers are given that nobody asked for")


def _embeds(adapter: ModelAdapter, images: np.ndarray) -> None:
    """Embeddings have a row an image and the declared length, and do not depend on batch mates or place."""
    spec = adapter.spec
    _expect(spec.embedding_layer is not None, "embeddings are given, and the layer they enter is not named")
    vectors = adapter.embeddings(images)
    _expect(vectors.shape == (len(images), spec.embedding_size), f"embeddings have shape {vectors.shape}")
    _expect(str(vectors.dtype) == spec.dtype, f"embeddings are {vectors.dtype}, declared {spec.dtype}")
    _expect(bool((vectors == adapter.embeddings(images)).all()), "embeddings differ between two calls")
    _close("embeddings of turned images", adapter, adapter.embeddings(images[::-1])[::-1], vectors)
    for index in range(len(images)):
        alone = adapter.embeddings(images[index : index + 1])
        _close("the embedding of one image and of a batch", adapter, alone, vectors[index : index + 1])
    scores = adapter.scores(images)
    told = bool((scores != scores[0]).any())
    _expect(not told or bool((vectors != vectors[0]).any()), "embeddings are all alike, and scores are not")
    _expect(adapter.embeddings(images[:0]).shape == (0, spec.embedding_size), "no images must give no embeddings")
    _refuses("bytes", InputError, lambda: adapter.embeddings(np.zeros(images.shape, np.uint8)))


def _refuses_embeddings(adapter: ModelAdapter, images: np.ndarray) -> None:
    _expect(adapter.spec.embedding_size == 0, "a length of embeddings is declared that are not given")
    _refuses("embeddings that are not there", ModelError, lambda: adapter.embeddings(images))


def _refuses_bad_images(adapter: ModelAdapter, images: np.ndarray) -> None:
    _refuses("a lone image", InputError, lambda: adapter.scores(images[0]))
    _refuses("images of another size", InputError, lambda: adapter.scores(images[:, 1:]))
    _refuses("bytes", InputError, lambda: adapter.scores(np.zeros(images.shape, np.uint8)))


def _refuses_bad_targets(adapter: ModelAdapter, images: np.ndarray) -> None:
    n, classes = len(images), len(adapter.spec.classes)
    _refuses("too few targets", InputError, lambda: adapter.gradient_pass(images, np.zeros(n - 1, int)))
    _refuses("an unknown class", InputError, lambda: adapter.gradient_pass(images, np.full(n, classes)))
    _refuses("a misspelt target", InputError, lambda: adapter.gradient_pass(images, "predict"))


def _refuses_unknown_layers(adapter: ModelAdapter, images: np.ndarray) -> None:
    _refuses("no such layer", ModelError, lambda: adapter.gradient_pass(images, "predicted", ["no such layer"]))


def _refuses_gradients(adapter: ModelAdapter, images: np.ndarray) -> None:
    _refuses("gradients of a black box", ModelError, lambda: adapter.gradient_pass(images, "predicted"))


def _cam_layers(adapter: ModelAdapter) -> tuple[str, ...]:
    return () if adapter.spec.layer is None else (adapter.spec.layer,)


def _pass_or_none(adapter: ModelAdapter, images: np.ndarray, names: list[str]) -> GradientPass | None:
    """The pass, or None where one of the layers lies beside the way to the scores."""
    try:
        return adapter.gradient_pass(images, "predicted", names, CAM_KINDS)
    except ModelError:
        return None


def _explained(adapter: ModelAdapter, scores: np.ndarray, target: int) -> np.ndarray:
    if adapter.spec.outputs > 1:
        return scores[:, target]
    if target == 1:
        return scores[:, 0]
    return -scores[:, 0] if adapter.spec.score == "logit" else 1 - scores[:, 0]


def _same_row(adapter: ModelAdapter, alone: GradientPass, whole: GradientPass, place: int) -> None:
    _close("the gradient in a batch", adapter, whole.input_gradient[place], alone.input_gradient[0])
    for name, layer in alone.cams.items():
        _close("Grad-CAM in a batch", adapter, whole.cams[name].grad_cam[place], layer.grad_cam[0])


def _close(what: str, adapter: ModelAdapter, found: np.ndarray, expected: np.ndarray) -> None:
    """Equal up to rounding, relative to the largest value."""
    tolerance = 1e-9 if adapter.spec.dtype == "float64" else 1e-4
    scale = float(np.abs(expected).max()) or 1.0
    worst = float(np.abs(found.astype(np.float64) - expected).max()) / scale
    _expect(worst <= tolerance, f"{what} differs by {worst:.1e} of the largest value")


def _refuses(what: str, kind: type[FaircamError], call: Callable[[], object]) -> None:
    try:
        call()
    except kind:
        return
    raise AdapterFault(f"{what}: {kind.__name__} expected, nothing was raised")


def _expect(kept: bool, message: str) -> None:
    if not kept:
        raise AdapterFault(message)
