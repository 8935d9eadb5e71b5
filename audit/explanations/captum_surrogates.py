"""captum's KernelSHAP and LIME on the cells of a regular grid: a linear model of what hiding cells does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from captum._utils.models.model import Model
from captum.attr import KernelShap
from captum.attr import Lime as CaptumLime

from audit.explanations.captum_backend import seeded
from audit.explanations.captum_networks import as_torch
from audit.explanations.explainer import Batch
from audit.explanations.targets import target_probabilities
from audit.models.torch_adapter import TorchAdapter

__all__ = ["Surrogates", "grid", "kernel_shap", "lime"]


class Surrogates(NamedTuple):
    """Linear models of some images.

    Attributes
    ----------
    coefficients : ndarray
        ``(N, r, c)`` float64, by cell.
    fit : ndarray
        ``(N,)`` weighted share of the variance of the probabilities that the linear model explains, at most 1; NaN
        where they do not vary. The two ends, which KernelSHAP weights a millionfold, count like any other sample.
    """

    coefficients: np.ndarray
    fit: np.ndarray


def grid(size: tuple[int, int], cells: int) -> np.ndarray:
    """``(H, W)`` number of each pixel's cell, row by row; at most `cells` along each side."""
    rows, columns = (np.arange(length) * min(cells, length) // length for length in size)
    return np.asarray(rows[:, None] * (columns[-1] + 1) + columns)


def kernel_shap(batch: Batch, cells: int, samples: int, fill: np.ndarray) -> Surrogates:
    """Shapley values of the cells for the target's probability, by least squares over random sets of cells.

    Parameters
    ----------
    batch : Batch
    cells, samples : int
    fill : ndarray
        What shows where a cell is hidden; broadcast to the images.
    """

    def explain(forward: Callable[[torch.Tensor], torch.Tensor]) -> tuple[Any, _Linear]:
        method = KernelShap(forward)
        method.interpretable_model = _Linear(0.0)  # captum's own is fitted in single precision, weights to 10^6
        return method, method.interpretable_model

    return _surrogates(batch, cells, samples, fill, explain)


def lime(batch: Batch, cells: int, samples: int, fill: np.ndarray, kernel: tuple[float, float]) -> Surrogates:
    """Coefficients of a ridge regression of the target's probability on which of the cells are shown.

    Parameters
    ----------
    batch : Batch
    cells, samples : int
    fill : ndarray
        What shows where a cell is hidden; broadcast to the images.
    kernel : tuple of float
        Width of the kernel that weights a sample by its cosine distance to the whole image, and ridge penalty.
    """
    width, penalty = kernel

    def close(_image: Any, _changed: Any, shown: torch.Tensor, **_more: object) -> torch.Tensor:
        distance = 1 - shown.double().mean().sqrt()
        return torch.exp(-(distance**2) / (2 * width**2))[None]

    def explain(forward: Callable[[torch.Tensor], torch.Tensor]) -> tuple[Any, _Linear]:
        model = _Linear(penalty)
        return CaptumLime(forward, interpretable_model=model, similarity_func=close), model

    return _surrogates(batch, cells, samples, fill, explain)


def _surrogates(
    batch: Batch,
    cells: int,
    samples: int,
    fill: np.ndarray,
    explain: Callable[[Callable[[torch.Tensor], torch.Tensor]], tuple[Any, _Linear]],
) -> Surrogates:
    adapter = as_torch(batch.adapter)
    images = np.ascontiguousarray(batch.images, dtype=batch.spec.dtype)
    fills = np.broadcast_to(np.asarray(fill, images.dtype), images.shape)
    numbers = grid((images.shape[1], images.shape[2]), cells)
    places = (1 + numbers[-1, 0] // (numbers[0, -1] + 1), numbers[0, -1] + 1)
    found = np.zeros((len(images), *places))
    fit = np.zeros(len(images))
    for index in range(len(images)):
        method, model = explain(_forward(adapter, batch.targets[index : index + 1]))
        inputs, hidden = (adapter.tensor(part[index : index + 1]) for part in (images, fills))
        mask = torch.from_numpy(numbers).to(inputs.device)[None, None]
        with seeded(batch.seed, inputs.device), torch.no_grad():
            method.attribute(
                inputs,
                hidden,
                feature_mask=mask,
                n_samples=samples,
                perturbations_per_eval=adapter.micro_batch,
                return_input_shape=False,
            )
        found[index], fit[index] = model.coefficients.reshape(places), model.fitted
    return Surrogates(found, fit)


def _forward(adapter: TorchAdapter, target: np.ndarray) -> Callable[[torch.Tensor], torch.Tensor]:
    """The target's probability, through the seam: it counts the passes and halves micro-batches."""

    def forward(inputs: torch.Tensor) -> torch.Tensor:
        scores = adapter.scores(inputs.permute(0, 2, 3, 1).cpu().numpy())
        return torch.from_numpy(target_probabilities(adapter.spec, scores[None], target)[0])

    return forward


class _Linear(Model):  # type: ignore[misc]
    """Weighted ridge regression with a free constant, in double precision."""

    def __init__(self, penalty: float) -> None:
        self.penalty = penalty
        self.coefficients = np.zeros(0)
        self.fitted = np.nan

    def fit(self, train_data: Iterator[Any], **_more: object) -> None:
        shown, values, weights = (
            np.concatenate([part.double().cpu().numpy() for part in parts]) for parts in zip(*train_data, strict=True)
        )
        share = weights / weights.sum()
        middle, level = share @ shown, share @ values
        roots = np.sqrt(weights)[:, None]
        rows = roots * (shown - middle)
        penalty = np.sqrt(self.penalty) * np.eye(shown.shape[1])
        wanted = np.append(roots[:, 0] * (values - level), np.zeros(len(penalty)))
        self.coefficients = np.linalg.lstsq(np.concatenate([rows, penalty]), wanted)[0]
        rest = values - level - (shown - middle) @ self.coefficients
        self.fitted = _explained(rest, values, np.minimum(weights, 1))

    def representation(self) -> torch.Tensor:
        return torch.from_numpy(self.coefficients)[None]

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return x.double() @ torch.from_numpy(self.coefficients)


def _explained(rest: np.ndarray, values: np.ndarray, weights: np.ndarray) -> float:
    centred = values - np.average(values, weights=weights)
    whole = float(weights @ centred**2)
    return 1 - float(weights @ rest**2) / whole if whole > 0 else float("nan")
