"""Slices that no attribute names: how often one that is there is found, and one that is not is confirmed."""

from __future__ import annotations

from audit.fairness.slices import slice_tables
from tests.fairness.planted import planted
from tests.study.figures import Row, counted

__all__ = ["FOUND", "found_slices"]

FOUND = 0.5
"""Least overlap (images in both over images in either) at which a confirmed slice is the planted one."""


def found_slices(*, excess: float, apart: float, cluster_size: int, start: int, seeds: int) -> list[Row]:
    """Search runs of 1,000 images, a fifth of which the model gets wrong more often by `excess`.

    Parameters
    ----------
    excess : float
        How much higher the error rate is in the slice; 0 plants none.
    apart : float
        Standard deviations of the embeddings between the slice and the rest.
    cluster_size : int
        Images a person.
    start, seeds : int
        First seed, and how many.
    """
    hits = {"any slice confirmed": 0}
    if excess:
        hits = {"planted slice confirmed": 0, "only another one confirmed": 0}
    for seed in range(start, start + seeds):
        run = planted(seed, apart=apart, excess=excess, cluster_size=cluster_size)
        slices, members = slice_tables(run.embeddings, run.images, run.predictions, ["tone", "light"], seed=seed)
        names = slices.loc[slices["confirmed"], "slice"]
        overlap = max((run.overlap(members.loc[members["slice"] == name, "image_id"]) for name in names), default=0.0)
        if excess:
            hits["planted slice confirmed"] += overlap > FOUND
            hits["only another one confirmed"] += bool(len(names)) and overlap <= FOUND
        else:
            hits["any slice confirmed"] += bool(len(names))
    setting = "one person an image" if cluster_size == 1 else f"{cluster_size} images a person"
    keys = {"part": "slices", "setting": setting, "n": 1000, "gap": excess, "method": f"apart by {apart:g}"}
    return [counted(count, seeds, quantity=name, **keys) for name, count in hits.items()]
