"""Which images two models can be compared on, and how many are left out. What is compared is in `paired`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from audit.errors import InputError, nearest
from audit.fairness.rows import Ints, group_labels, has_clusters, positions, usable_rows

__all__ = ["Pairs", "common_images", "one_model", "pair_rows"]


@dataclass(frozen=True)
class Pairs:
    """Images with a usable prediction of both models, and the others.

    Parameters
    ----------
    rows : DataFrame
        One row an image that both models predicted: ``image_id, truth, first, second`` (positions in the
        classes), ``cluster``, the attribute columns.
    left_out : DataFrame
        The other images of the table: ``image_id``, the attribute columns, and ``usable``: ``first`` or
        ``second`` where one model has a usable prediction, ``neither``.
    clustered : bool
        Whether images of one cluster are to be treated as dependent.
    """

    rows: pd.DataFrame
    left_out: pd.DataFrame
    clustered: bool

    @cached_property
    def cluster(self) -> Ints:
        """Position of each row's cluster; 0 where images are independent."""
        if not self.clustered:
            return np.zeros(len(self.rows), np.int64)
        return np.asarray(pd.factorize(self.rows["cluster"])[0], np.int64)

    def group(self, groups: Sequence[str], parts: Sequence[str]) -> Ints:
        """Position of each row's group along an attribute, or several crossed."""
        return positions(groups, group_labels(self.rows, parts))


def pair_rows(
    images: pd.DataFrame,
    first: pd.DataFrame,
    second: pd.DataFrame,
    classes: Sequence[str],
    attributes: Sequence[str],
) -> Pairs:
    """Join the usable predictions of two models by image.

    Parameters
    ----------
    images : DataFrame
        Table `images`, which holds every image of both.
    first, second : DataFrame
        Rows of table `predictions`, of one model each.
    classes : sequence of str
        Every class name.
    attributes : sequence of str
        Attribute names, without the prefix ``attr_``.
    """
    one, two = (usable_rows(images, frame, classes, attributes).set_index("image_id") for frame in (first, second))
    place = two.index.get_indexer(one.index)
    rows = one.loc[place >= 0].rename(columns={"predicted": "first"})
    rows["second"] = two["predicted"].to_numpy()[place[place >= 0]]
    left = rows.index.get_indexer(pd.Index(images["image_id"])) < 0
    rows = rows.reset_index()[["image_id", "truth", "first", "second", "cluster", *(f"attr_{a}" for a in attributes)]]
    rest = images.loc[left, ["image_id", *(f"attr_{name}" for name in attributes)]].copy()
    in_one, in_two = (side.index.get_indexer(pd.Index(rest["image_id"])) >= 0 for side in (one, two))
    rest["usable"] = np.where(in_one, "first", np.where(in_two, "second", "neither"))
    return Pairs(rows, rest.reset_index(drop=True), has_clusters(images))


def one_model(predictions: pd.DataFrame, name: str) -> pd.DataFrame:
    """Rows of the model of this name; all of them where there is only one model, whatever its name.

    Raises
    ------
    InputError
        There are several models, and none is called so.
    """
    models = [str(model) for model in predictions["model"].unique()]
    if len(models) <= 1:
        return predictions
    if name not in models:
        raise InputError(f"model '{name}' has no predictions, allowed: {models}.{nearest(name, models)}")
    chosen: pd.DataFrame = predictions.loc[predictions["model"] == name]
    return chosen


def common_images(first: pd.DataFrame, second: pd.DataFrame, attributes: Sequence[str]) -> pd.DataFrame:
    """Join two runs' images tables; images that only one run has stay in, to be counted as left out.

    Parameters
    ----------
    first, second : DataFrame
        Tables `images`.
    attributes : sequence of str
        Attributes that are to be compared along; both tables have them.

    Returns
    -------
    DataFrame
        ``image_id, sha256, label, cluster, status`` and the attribute columns. An image is ``ok`` where it
        is in one of the runs; each run's own failures are in its predictions.

    Raises
    ------
    InputError
        An image is another file, or has another label, group or cluster, in the other run.
    """
    attribute_columns = [f"attr_{name}" for name in attributes]
    kept = ["image_id", "sha256", "label", "cluster", "status", *attribute_columns]
    one, two = (frame.reindex(columns=kept).set_index("image_id") for frame in (first, second))
    shared = one.index.intersection(two.index)
    if not len(shared):
        raise InputError("the runs have no image_id in common", fix="compare runs over the same images")
    for column in ("sha256", "label", "cluster", *attribute_columns):
        lenient = column in ("sha256", "cluster")
        _refuse_difference(one.loc[shared, column], two.loc[shared, column], column, lenient=lenient)
    joined = pd.concat([one, two.loc[~two.index.isin(one.index)]])
    other = two.reindex(joined.index)
    joined["cluster"] = joined["cluster"].where(joined["cluster"].notna(), other["cluster"])
    readable = (joined["status"] == "ok") | (other["status"] == "ok")
    joined["status"] = np.where(readable, "ok", joined["status"].astype(object))
    return joined.reset_index()


def _refuse_difference(one: pd.Series, two: pd.Series, column: str, *, lenient: bool) -> None:
    """Refuse a column in which an image differs; a lenient one may be empty on one side."""
    left, right = (_texts(side) for side in (one, two))
    differs = left != right
    if lenient:
        differs &= (left != "") & (right != "")
    if not differs.any():
        return
    place = int(np.flatnonzero(differs)[0])
    name = column.removeprefix("attr_")
    what = "is another file" if column == "sha256" else f"has {name} '{left[place]}' in one and '{right[place]}'"
    raise InputError(
        f"image '{one.index[place]}' {what} in the other run ({int(differs.sum())} images differ so)",
        fix="compare runs over the same images with the same labels, groups and clusters",
    )


def _texts(column: pd.Series) -> npt.NDArray[np.object_]:
    return np.asarray(column.astype(object).where(column.notna(), "").astype(str), dtype=object)
