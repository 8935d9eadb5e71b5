"""Perceptual hashes: what they stand, what they tell apart, and the search against comparing every pair."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.fft import dctn

from audit.data.looks import BITS, alike, hashes, looks


def picture(seed: int, side: int = 96) -> Image.Image:
    """Smooth patches with a little noise."""
    rng = np.random.Generator(np.random.PCG64(seed))
    coarse = Image.fromarray(rng.integers(0, 255, (9, 9, 3), dtype=np.uint8)).resize((side, side))
    noise = rng.integers(-8, 9, (side, side, 3))
    return Image.fromarray(np.clip(np.asarray(coarse).astype(int) + noise, 0, 255).astype(np.uint8))


def apart(one: Image.Image, two: Image.Image) -> int:
    a, b = (np.frombuffer(look, np.uint8) for look in looks([one, two]) if look is not None)
    return int(np.bitwise_count(a ^ b).sum())


def test_bits_are_those_of_the_transform_above_their_median() -> None:
    grey = np.asarray(picture(1, 64).convert("L"), np.float64)
    low = dctn(grey, norm="ortho")[:16, :16].ravel()[1:]
    (found,) = looks([picture(1, 64)])
    assert found is not None
    assert len(found) == 32
    bits = np.unpackbits(np.frombuffer(found, np.uint8))
    clear = np.abs(low - np.median(low)) > 1e-2  # float32 may turn a bit that lies on the median
    assert (bits[:BITS] == (low > np.median(low)))[clear].all()
    assert clear.sum() > 250
    assert bits[BITS] == 0


@pytest.mark.parametrize("seed", range(5))
def test_the_same_picture_in_another_format_size_or_light(seed: int) -> None:
    plain = picture(seed)
    stream = io.BytesIO()
    plain.save(stream, "JPEG", quality=80)
    assert apart(plain, Image.open(stream).convert("RGB")) <= 12
    assert apart(plain, plain.resize((72, 72), Image.Resampling.LANCZOS)) <= 12
    assert apart(plain, plain.resize((300, 300), Image.Resampling.BICUBIC)) <= 12
    assert apart(plain, plain.point(lambda value: int(value * 0.8))) <= 12
    assert apart(plain, picture(seed + 100)) > 60
    assert apart(plain, plain.transpose(Image.Transpose.FLIP_LEFT_RIGHT)) > 60


def test_one_colour_and_no_picture_have_no_looks() -> None:
    assert looks([Image.new("RGB", (50, 40), (9, 9, 9)), None]) == [None, None]
    assert looks([]) == []


def test_each_is_held_against_the_nearest_before_it() -> None:
    zero, one, far = bytes(32), bytes([1] + [0] * 31), bytes([255] * 4 + [0] * 28)
    assert list(alike(hashes([zero, far, one, zero]), 2)) == [(2, 0, 1), (3, 0, 0)]
    assert list(alike(hashes([zero, far, one, zero]), 0)) == [(3, 0, 0)]
    assert list(alike(hashes([far, zero, one, zero]), 2, known=1)) == []
    assert list(alike(hashes([zero, one, one, far]), 2, known=1)) == [(1, 0, 1), (2, 0, 1)]
    assert list(alike(hashes([]), 4)) == []
    assert list(alike(hashes([zero]), 4)) == []


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sets(st.integers(0, 254), max_size=9)), max_size=30),
    st.sampled_from([0, 1, 5, 12, 32]),
)
def test_nothing_is_missed_among_few(drawn: list[tuple[int, set[int]]], bits: int) -> None:
    rng = np.random.Generator(np.random.PCG64(3))
    seeds = rng.integers(0, 2, (4, 256), dtype=np.uint8)
    rows = []
    for place, flipped in drawn:
        row = seeds[place].copy()
        row[list(flipped)] ^= 1
        rows.append(row)
    wanted = []
    for later, row in enumerate(rows):
        distances = [int((row != rows[earlier]).sum()) for earlier in range(later)]
        if distances and min(distances) <= bits:
            wanted.append((later, int(np.argmin(distances)), min(distances)))
    assert list(alike(hashes([np.packbits(row).tobytes() for row in rows]), bits)) == wanted
