"""Which images are explained: stratified by group and outcome, the same ones for every model."""

from __future__ import annotations

import numpy as np
import pandas as pd

__all__ = ["choose_sample"]


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
