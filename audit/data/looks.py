"""What a picture looks like in 255 bits, and which of many pictures look alike: copies in another format or size.

The coefficients of the discrete cosine transform of the grey picture, the 16 x 16 of lowest frequency without the mean,
each above or below their median (a perceptual hash, as in Zauner, *Implementation and benchmarking of perceptual image
hash functions*, 2010, with more bits). Re-encoding and resizing change few of them, brightness and contrast hardly any.
A crop, a turn or a mirror image is another picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from PIL import Image

__all__ = ["BITS", "alike", "hashes", "looks"]

BITS = 255
_LOW = 16
_SMALLEST, _SIDE, _LARGEST = 24, 64, 128
"""Sides that are transformed as they are, and the side that others are brought to."""

_PLAIN = 2.0
"""Grey levels of standard deviation, in the frequencies that count, below which a picture shows too little to hash."""

_NEIGHBOURS = 256
"""With how many pictures of the same key each is compared; only plain sets have more."""

_AT_ONCE = 2**17
"""Pairs that are compared at once."""


def looks(pictures: Sequence[Image.Image | None]) -> list[bytes | None]:
    """Hash pictures by what they look like.

    Parameters
    ----------
    pictures : sequence of PIL.Image.Image or None
        Upright, in RGB.

    Returns
    -------
    list of bytes or None
        32 bytes each; None where there is no picture or it is all but one colour.
    """
    there = [place for place, picture in enumerate(pictures) if picture is not None]
    found: list[bytes | None] = [None] * len(pictures)
    if not there:
        return found
    low = np.stack([_low(picture) for picture in pictures if picture is not None]).reshape(len(there), -1)
    high = low[:, 1:] > np.median(low[:, 1:], axis=1, keepdims=True)
    shows = np.sqrt((low[:, 1:] ** 2).sum(axis=1)) >= _PLAIN
    for place, row, seen in zip(there, np.packbits(high, axis=1), shows, strict=True):
        found[place] = row.tobytes() if seen else None
    return found


def _low(picture: Image.Image) -> np.ndarray:
    """Coefficients ``(16, 16)`` in grey levels, whatever the size of the picture."""
    grey = picture.convert("L")
    if not all(_SMALLEST <= side <= _LARGEST for side in grey.size):
        how = Image.Resampling.BICUBIC if min(grey.size) < _SIDE else Image.Resampling.BOX
        grey = grey.resize((_SIDE, _SIDE), how)
    values = np.asarray(grey, np.float32)
    across: np.ndarray = values @ _cosines(grey.width).T
    low: np.ndarray = _cosines(grey.height) @ across
    return low


@lru_cache(maxsize=256)
def _cosines(side: int) -> np.ndarray:
    """The slowest cosines ``(16, side)``, of mean square 1 over the side."""
    from scipy.fft import dct

    return np.ascontiguousarray(dct(np.eye(side), axis=0, norm="ortho")[:_LOW] / np.sqrt(side), np.float32)


def hashes(column: pd.Series[Any] | Sequence[bytes]) -> np.ndarray:
    """What `looks` gave, none of it missing, as `alike` takes it: ``(N, 4)`` uint64."""
    held = pa.array(column, pa.binary())
    held = held.combine_chunks() if isinstance(held, pa.ChunkedArray) else held
    held = held.cast(pa.binary(32))
    return np.frombuffer(held.buffers()[1], ">u8")[4 * held.offset :][: 4 * len(held)].reshape(-1, 4).astype(np.uint64)


def alike(words: np.ndarray, bits: int, known: int | None = None) -> Iterator[tuple[int, int, int]]:
    """Find for each picture the one before it that it looks most like.

    Parameters
    ----------
    words : ndarray of uint64, shape (N, 4)
        As `hashes` gives them.
    bits : int
        How many may differ, 0 to 32.
    known : int, optional
        The others are held against the first so many alone; by default each picture is held against all before it.

    Yields
    ------
    later, earlier, distance : int
        In order of `later`; of equally near ones the first. Of pictures that agree with more than 256 others in a
        key, some pairs may be missed.
    """
    best = np.full(len(words), bits + 1, np.int64)
    partner = np.full(len(words), -1, np.int64)
    for key in _keys(words, bits + 1):
        order = np.argsort(key, kind="stable")
        ranked = key[order]
        places = np.arange(len(words))
        for step in range(1, min(_NEIGHBOURS, len(words) - 1) + 1):
            places = places[places < len(words) - step]
            places = places[ranked[places] == ranked[places + step]]
            if not len(places):
                break
            for start in range(0, len(places), _AT_ONCE):
                some = places[start : start + _AT_ONCE]
                earlier, later = order[some], order[some + step]
                if known is not None:
                    crossing = (earlier < known) & (later >= known)
                    earlier, later = earlier[crossing], later[crossing]
                _note(words, earlier, later, best, partner)
    for later in np.flatnonzero(partner >= 0):
        yield int(later), int(partner[later]), int(best[later])


def _note(words: np.ndarray, earlier: np.ndarray, later: np.ndarray, best: np.ndarray, partner: np.ndarray) -> None:
    """Keep the nearer partner of each; in a stable order of equal keys the earlier picture stands first."""
    distance = np.bitwise_count(words[earlier] ^ words[later]).sum(axis=1, dtype=np.int64)
    nearer = (distance < best[later]) | ((distance == best[later]) & (partner[later] > earlier))
    best[later[nearer]] = distance[nearer]
    partner[later[nearer]] = earlier[nearer]


def _keys(words: np.ndarray, parts: int) -> Iterator[np.ndarray]:
    """Every so many bits: two hashes that differ in fewer bits than there are keys agree in one of them.

    Neighbouring frequencies go together, in drawn pictures above all, so a key takes them from all over: a stretch of
    neighbours is alike in eighteen times as many pairs of a million blocky pictures.
    """
    for part in range(parts):
        key = np.zeros(len(words), np.uint64)
        for place in range(part, 256, parts):
            key <<= np.uint64(1)
            key |= (words[:, place // 64] >> np.uint64(63 - place % 64)) & np.uint64(1)
        yield key
