"""An ONNX graph behind the seam: a black box that gives scores through ONNX Runtime, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from audit.errors import ModelError
from audit.models.adapter import ModelSpec
from audit.models.black_box import Layout, check_rows, in_layout, score_kind
from audit.models.checks import check_outputs, noise_images
from audit.models.chunked import ChunkedAdapter
from audit.models.onnx_graph import find_input, find_output, image_shape

__all__ = ["OnnxAdapter", "reason"]

_NO_MEMORY = ("Failed to allocate memory", "bad_alloc", "bad allocation", "out of memory", "ALLOC_FAILED")
_LONGEST = 300


class OnnxAdapter(ChunkedAdapter):
    """A graph of one image input that gives ``(N, K)`` scores in float32.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
        See `audit.models.onnx_loading.open_session`.
    classes : sequence of str
        In output order.
    input_shape : tuple of int or None
        ``(H, W, C)``, whatever the layout; height and width None where the graph fixes them.
    layout : str
        ``NCHW`` or ``NHWC``: order of the dimensions of the graph's input; held against it, never guessed.
    head : str
        ``softmax`` or ``sigmoid``.
    score : str
        ``auto`` refuses numbers that look like probabilities; declare ``probability`` where the graph ends in a
        softmax or a sigmoid: it cannot be cut before it.
    micro_batch : int
        Images that pass at once; the graph's own number where it fixes its batch, and a short batch is then filled up
        with blank images.
    parameters : int
        Number of parameters, which a session does not tell.
    where : str, optional
        Name of the model, for errors.

    Raises
    ------
    ModelError
        The graph takes or gives something else than declared, or fails on noise.
    """

    def __init__(
        self,
        session: Any,
        *,
        classes: Sequence[str],
        input_shape: tuple[int | None, int | None, int],
        layout: Layout,
        head: Literal["softmax", "sigmoid"] = "softmax",
        score: Literal["auto", "logit", "probability"] = "auto",
        micro_batch: int = 32,
        parameters: int = 0,
        where: str | None = None,
    ) -> None:
        source = find_input(session.get_inputs(), where=where)
        self._session = session
        self._input = source.name
        self._output = find_output(session.get_outputs(), where=where).name
        self._layout: Layout = layout
        self._where = where
        self._outputs: int | None = None
        shape = image_shape(source.shape, input_shape, layout, where=where)
        self._batch = source.shape[0] if source.shape and isinstance(source.shape[0], int) else None
        self._fixed_shape = self._batch is not None
        self.micro_batch = micro_batch if self._batch is None else self._batch
        self._layers = []
        noise = noise_images(shape)
        scores = np.concatenate(self._in_chunks(len(noise), lambda rows: self._scores(noise[rows])))
        self._outputs = scores.shape[1]
        self._scores(noise[:1])  # a batch that is fixed somewhere inside the graph shows here
        check_outputs(tuple(classes), head, self._outputs, where=where)
        self._spec = ModelSpec(
            framework="onnx",
            input_shape=shape,
            classes=tuple(classes),
            head=head,
            outputs=self._outputs,
            score=score_kind(scores, head, score, where=where),
            layer=None,
            device=_device(session),
            parameters=parameters,
            capabilities=frozenset({"scores"}),
        )

    def close(self) -> None:
        """Let go of the session."""
        self._session = None

    def _scores(self, images: np.ndarray) -> np.ndarray:
        count = len(images)
        batch = in_layout(images, self._layout)
        if self._batch is not None and count < self._batch:
            batch = np.concatenate([batch, np.zeros((self._batch - count, *batch.shape[1:]), batch.dtype)])
        try:
            (scores,) = self._session.run([self._output], {self._input: batch})
        except Exception as error:
            if self._short_of_memory(error):
                raise
            height, width, channels = images.shape[1:]
            raise ModelError(
                f"cannot take {len(batch)} images of {height} x {width} x {channels} in layout {self._layout}: "
                f"{reason(error)}",
                where=self._where,
                fix="check `size:`, `mode:` and `layout:` of the model's preprocessing, and that it was exported for "
                "any number of images",
            ) from error
        scores = np.asarray(scores, dtype=np.float32)
        check_rows(scores, len(batch), self._outputs, where=self._where)
        return scores[:count]

    def _short_of_memory(self, error: Exception) -> bool:
        """Whether fewer images at once may help; of a fixed batch there are never fewer."""
        return self._batch is None and (
            isinstance(error, MemoryError) or any(sign in str(error) for sign in _NO_MEMORY)
        )


def reason(error: Exception) -> str:
    """What ONNX Runtime says, in one line, without its error numbers and source lines."""
    said = " ".join(str(error).split())
    said = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : (?:Load model from .*? failed:)?", "", said)
    said = re.sub(r"/\S*onnxruntime\S*\.(?:cc|h):\d+ .*?\) (?=[A-Z])", "", said)
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]} ..."


def _device(session: Any) -> str:
    if session.get_providers()[0] != "CUDAExecutionProvider":
        return "cpu"
    return f"cuda:{session.get_provider_options()['CUDAExecutionProvider'].get('device_id', 0)}"
