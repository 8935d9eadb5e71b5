"""The shared batches: seeded, even where asked, and augmentation that does what it says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from audit.config import Augmentation
from audit.training.batches import Batches, augment
from audit.training.settings import targets


def batches(count: int = 23, **options: Any) -> Batches:
    images = np.arange(count, dtype=np.float32)[:, None, None, None] * np.ones((1, 8, 8, 1), np.float32)
    return Batches(images, targets(np.arange(count) % 2, 2), **{"batch_size": 5, "seed": 1, **options})


def test_every_image_comes_once_an_epoch_in_another_order() -> None:
    shared = batches()
    seen = [np.concatenate([shared.batch(epoch, place)[0][:, 0, 0, 0] for place in range(5)]) for epoch in (0, 1)]
    assert len(shared) == 5
    assert not np.array_equal(seen[0], seen[1])
    for order in seen:
        assert sorted(order) == list(range(23))


def test_a_batch_depends_on_seed_epoch_and_place_alone() -> None:
    options: dict[str, Any] = {"augmentation": Augmentation(flip=True, shift=2, brightness=0.1, noise=0.1)}
    one, other = batches(**options), batches(**options)
    other.batch(0, 1)
    for array, again in zip(one.batch(3, 2), other.batch(3, 2), strict=True):
        assert np.array_equal(array, again)
    assert not np.array_equal(one.batch(3, 2)[0], batches(seed=2, **options).batch(3, 2)[0])


def test_balance_draws_evenly_and_within_a_key_evenly() -> None:
    keys = np.array([0] * 90 + [1] * 9 + [2])
    order = batches(100, balance=keys).order(0)
    assert len(order) == 100
    assert sorted(np.bincount(keys[order])) == [33, 33, 34]
    rare = np.bincount(order, minlength=100)[90:99]
    assert rare.max() - rare.min() <= 1
    assert np.bincount(order, minlength=100)[:90].max() == 1


def test_flip_mirrors_about_half() -> None:
    images = np.tile(np.arange(8, dtype=np.float32)[None, None, :, None], (400, 8, 1, 1))
    changed = augment(images, Augmentation(flip=True), np.random.default_rng(0))
    mirrored = changed[:, 0, 0, 0] == 7
    assert 150 < mirrored.sum() < 250
    assert np.array_equal(changed[mirrored], images[mirrored][:, :, ::-1])
    assert np.array_equal(changed[~mirrored], images[~mirrored])


def test_shift_moves_both_ways_and_repeats_the_edge() -> None:
    image = np.arange(64, dtype=np.float32).reshape(1, 8, 8, 1)
    changed = augment(np.repeat(image, 300, axis=0), Augmentation(shift=2), np.random.default_rng(0))
    moves = set()
    for array in changed[..., 0]:
        row, column = divmod(int(array[4, 4]), 8)
        moves.add((4 - row, 4 - column))
        rows = np.clip(np.arange(8) + row - 4, 0, 7)
        columns = np.clip(np.arange(8) + column - 4, 0, 7)
        assert np.array_equal(array, image[0, :, :, 0][np.ix_(rows, columns)])
    assert moves == {(down, right) for down in range(-2, 3) for right in range(-2, 3)}


def test_flip_and_shift_together_move_the_mirrored_image() -> None:
    image = np.tile(np.arange(8, dtype=np.float32)[None, None, :, None], (300, 8, 1, 1))
    changed = augment(image, Augmentation(flip=True, shift=1), np.random.default_rng(0))
    rows = {tuple(row) for row in changed[:, 0, :, 0]}
    plain = {(0, 0, 1, 2, 3, 4, 5, 6), (0, 1, 2, 3, 4, 5, 6, 7), (1, 2, 3, 4, 5, 6, 7, 7)}
    assert rows == plain | {tuple(reversed(row)) for row in plain}


def test_brightness_and_noise_have_the_stated_size() -> None:
    images = np.zeros((500, 8, 8, 1), np.float32)
    bright = augment(images, Augmentation(brightness=0.2), np.random.default_rng(0))
    assert (bright.max((1, 2, 3)) == bright.min((1, 2, 3))).all()
    assert 0.19 < np.abs(bright).max() <= 0.2
    noisy = augment(images, Augmentation(noise=0.3), np.random.default_rng(0))
    assert noisy.dtype == np.float32
    assert noisy.std() == pytest.approx(0.3, rel=0.02)


def test_targets() -> None:
    assert targets(np.array([0, 1]), 1).tolist() == [[0], [1]]
    assert targets(np.array([2, 0]), 3).tolist() == [[0, 0, 1], [1, 0, 0]]
