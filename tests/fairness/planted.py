"""A slice planted in embeddings: what the search for unlabelled slices is measured on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["Planted", "planted"]


@dataclass(frozen=True)
class Planted:
    """Tables of a run, and which image lies in the planted slice (parallel to `images`)."""

    images: pd.DataFrame
    predictions: pd.DataFrame
    embeddings: pd.DataFrame
    inside: npt.NDArray[np.bool_]

    def overlap(self, ids: pd.Series[str]) -> float:
        """Images in both slices over images in either (Jaccard)."""
        found = self.images["image_id"].isin(ids).to_numpy(bool)
        return float((found & self.inside).sum() / (found | self.inside).sum())


def planted(
    seed: int,
    *,
    images: int = 1000,
    share: float = 0.2,
    error: float = 0.1,
    excess: float = 0.2,
    apart: float = 4.0,
    dimensions: int = 32,
    cluster_size: int = 1,
) -> Planted:
    """Draw a run whose model errs more in a slice that no attribute names.

    Embeddings are standard normal in every dimension. Along three random directions they are moved: by
    `apart` for the slice, by `apart` between two classes and by `apart` for an attribute ``light`` that has
    nothing to do with the errors. Attribute ``tone`` is ``dark`` for four in five images of the slice and for
    one in five of the others.

    Parameters
    ----------
    seed : int
        Of everything.
    images : int
        How many.
    share : float
        Part of the images in the slice.
    error, excess : float
        Error rate outside the slice, and how much higher it is inside; 0 plants no slice.
    apart : float
        Standard deviations between slice and others.
    dimensions : int
        Of the embeddings; all but three are noise.
    cluster_size : int
        Images a person; a person is in the slice or is not, and shares half of the noise of its images.
    """
    rng = np.random.default_rng(seed)
    people = -(-images // cluster_size)
    person = np.repeat(np.arange(people), cluster_size)[:images]
    inside = (rng.permutation(people) < share * people)[person]
    label, light = rng.integers(2, size=images), rng.integers(2, size=images)
    directions = np.linalg.qr(rng.standard_normal((dimensions, 3)))[0]
    noise = rng.standard_normal((images, dimensions))
    if cluster_size > 1:
        noise = (noise + rng.standard_normal((people, dimensions))[person]) / np.sqrt(2)
    vectors = noise + apart * np.column_stack([inside, label, light]) @ directions.T
    wrong = rng.random(images) < error + excess * inside
    dark = rng.random(images) < np.where(inside, 0.8, 0.2)
    ids = [f"i{place:05d}" for place in range(images)]
    names = np.array(["cat", "dog"])
    table = pd.DataFrame({"image_id": ids, "label": names[label], "status": "ok"})
    table["cluster"] = [f"p{place}" for place in person] if cluster_size > 1 else None
    table["attr_tone"] = np.where(dark, "dark", "light")
    table["attr_light"] = np.where(light == 1, "lamp", "sun")
    predictions = pd.DataFrame({"model": "m", "image_id": ids, "predicted": names[label ^ wrong], "status": "ok"})
    embeddings = pd.DataFrame(
        {"model": "m", "image_id": ids, "embedding": list(vectors.astype(np.float32)), "status": "ok"}
    )
    return Planted(table, predictions, embeddings, inside)
