"""The batches of a training, in NumPy: order, even drawing and augmentation, all from the seed.

Both loops take their batches from here, so that both frameworks see the same pixels in the same order.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from audit.config import Augmentation
from audit.training.settings import Images, Integers

__all__ = ["Batches", "augment"]


class Batches:
    """The batches of every epoch; a batch depends on the seed, the epoch and its place alone.

    Parameters
    ----------
    images : ndarray of float32, (N, H, W, C)
    targets : ndarray of float32, (N, outputs)
    batch_size : int
        The last batch of an epoch may be smaller.
    seed : int
    augmentation : Augmentation
    balance : ndarray of int64, (N,), optional
        Keys to draw evenly from: an epoch still has N images, equally many of each key (to one image), the rarer
        ones repeated.
    """

    def __init__(
        self,
        images: Images,
        targets: Images,
        *,
        batch_size: int,
        seed: int,
        augmentation: Augmentation | None = None,
        balance: Integers | None = None,
    ) -> None:
        self._images = images
        self._targets = targets
        self._batch_size = batch_size
        self._seed = seed
        self._augmentation = augmentation or Augmentation()
        self._members = None if balance is None else [np.flatnonzero(balance == key) for key in np.unique(balance)]
        self._order: tuple[int, Integers] | None = None

    def __len__(self) -> int:
        return math.ceil(len(self._images) / self._batch_size)

    def order(self, epoch: int) -> Integers:
        """Positions of an epoch's images, in the order in which they are seen."""
        if self._order is not None and self._order[0] == epoch:
            return self._order[1]
        generator = np.random.default_rng([self._seed, 1, epoch])
        order = self._even(generator) if self._members else np.arange(len(self._images))
        order = generator.permutation(order)
        self._order = (epoch, order)
        return order

    def _even(self, generator: np.random.Generator) -> Integers:
        """Equally many positions of each key, each member as often as any other (to one)."""
        members = self._members or []
        count, more = divmod(len(self._images), len(members))
        favoured = generator.permutation(len(members))[:more]
        drawn = []
        for key, places in enumerate(members):
            wanted = count + int(key in favoured)
            rounds = [generator.permutation(places) for _ in range(math.ceil(wanted / len(places)))]
            drawn.append(np.concatenate([places[:0], *rounds])[:wanted])
        return np.concatenate(drawn)

    def batch(self, epoch: int, place: int) -> tuple[Images, Images]:
        """One batch of an epoch (from 0): images and targets."""
        start = place * self._batch_size
        chosen = self.order(epoch)[start : start + self._batch_size]
        generator = np.random.default_rng([self._seed, 2, epoch, place])
        return augment(self._images[chosen], self._augmentation, generator), self._targets[chosen]


def augment(images: Images, augmentation: Augmentation, generator: np.random.Generator) -> Images:
    """Change images at random: mirror, shift (edge pixels repeated), brighten, add noise, in this order.

    Parameters
    ----------
    images : ndarray of float32, (N, H, W, C)
        Not changed.
    augmentation : Augmentation
    generator : numpy.random.Generator

    Returns
    -------
    ndarray of float32, (N, H, W, C)
    """
    count, height, width, _ = images.shape
    if augmentation.flip or augmentation.shift:
        rows = np.broadcast_to(np.arange(height), (count, height))
        columns = np.broadcast_to(np.arange(width), (count, width))
        if augmentation.flip:
            mirrored = generator.integers(0, 2, (count, 1)) == 1
            columns = np.where(mirrored, columns[:, ::-1], columns)
        if augmentation.shift:
            reach = augmentation.shift
            rows = _moved(rows, generator.integers(-reach, reach + 1, (count, 1)))
            columns = _moved(columns, generator.integers(-reach, reach + 1, (count, 1)))
        images = images[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
    if augmentation.brightness:
        change = generator.uniform(-augmentation.brightness, augmentation.brightness, (count, 1, 1, 1))
        images = images + change.astype(np.float32)
    if augmentation.noise:
        images = images + np.float32(augmentation.noise) * generator.standard_normal(images.shape, np.float32)
    return images


def _moved(indices: npt.NDArray[np.int64], steps: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Shift each row of indices, the first or last one repeated where it runs out."""
    places = np.clip(np.arange(indices.shape[1]) - steps, 0, indices.shape[1] - 1)
    return np.take_along_axis(indices, places, axis=1)
