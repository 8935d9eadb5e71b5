"""Which images a pass looks at, where it does not look at all: stratified, the same ones for every model."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
import pandas as pd

__all__ = ["choose_sample", "fixed_sample", "from_runs", "runs"]


def choose_sample(strata: pd.Series[str], size: int, seed: int) -> tuple[int, ...]:
    """Draw positions so that every stratum is served before any is served twice.

    Parameters
    ----------
    strata : Series of str
        Stratum of each image that can be explained, indexed by its position.
    size : int
        How many to draw; all if there are fewer.
    seed : int
        Of the draw.

    Returns
    -------
    tuple of int
        Positions, ascending.

    Notes
    -----
    Rare outcomes, such as errors in a small group, are over-represented on purpose: the sample
    shows every kind of case, and is no estimate of how often each occurs.
    """
    if size >= len(strata):
        return tuple(int(position) for position in sorted(strata.index))
    generator = np.random.Generator(np.random.PCG64(seed))
    shuffled = pd.Series(strata.to_numpy(), index=strata.index)
    shuffled = shuffled.iloc[generator.permutation(len(shuffled))]
    turn = shuffled.groupby(shuffled, sort=False).cumcount()
    order = np.lexsort((generator.permutation(len(shuffled)), turn.to_numpy()))
    return tuple(sorted(int(position) for position in shuffled.index[order[:size]]))


def fixed_sample(rows: pd.DataFrame, wanted: int | Literal["all"], seed: int) -> tuple[int, ...]:
    """Positions drawn evenly over the groups, known before any model has answered.

    Parameters
    ----------
    rows : DataFrame
        As in `audit.data.manifest.Dataset.rows`; the strata are the combinations of its ``attr_`` columns.
    wanted : int or 'all'
    seed : int
        Of the draw; a smaller sample is part of a larger one.

    Returns
    -------
    tuple of int
        Positions, ascending.

    Notes
    -----
    Small groups are over-represented on purpose. Within a combination of groups the draw is at random, so a rate
    there is estimated as from any random sample; the overall rate is that of the sample's mix, not the data's.
    """
    attributes = [column for column in rows.columns if column.startswith("attr_")]
    strata = pd.Series("", index=rows.index)
    for column in attributes:
        strata = strata + "|" + rows[column].astype(str)
    return choose_sample(strata, len(rows) if wanted == "all" else wanted, seed)


def runs(positions: Sequence[int]) -> list[list[int]]:
    """Ascending positions as first and last but one of each unbroken row of them: a million take little to say."""
    found = np.asarray(positions, np.int64)
    breaks = np.flatnonzero(np.diff(found) != 1) + 1
    return [[int(part[0]), int(part[-1]) + 1] for part in np.split(found, breaks) if len(part)]


def from_runs(said: Iterable[Sequence[int]]) -> array[int]:
    """Positions that `runs` gave, in little memory."""
    found = array("q")
    for start, stop in said:
        found.frombytes(np.arange(start, stop, dtype=np.int64).tobytes())
    return found
