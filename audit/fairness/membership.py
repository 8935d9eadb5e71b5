"""The table `membership`: how well the loss tells training images from audited ones, by group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from audit.errors import InputError
from audit.fairness.intervals import Floats
from audit.fairness.rows import (
    EVERYBODY,
    OVERALL,
    cluster_names,
    group_labels,
    sorted_groups,
    stored_probabilities,
    usable_rows,
)
from audit.fairness.scores import area_under_curve
from audit.run.schema import columns

__all__ = ["membership_table"]

MEMBER_COLUMNS = ("model", "image_id", "label", "predicted", "loss", "status")
LARGEST_LOSS = float(-np.log(np.finfo(np.float64).eps))


def membership_table(
    members: pd.DataFrame,
    images: pd.DataFrame,
    predictions: pd.DataFrame,
    classes: Sequence[str],
    attributes: Sequence[str],
    *,
    alpha: float = 0.05,
) -> pd.DataFrame:
    """Compute table `membership`.

    Parameters
    ----------
    members : DataFrame
        Table `members`: images that the model was trained on, with their loss and ``attr_*`` columns. Rows
        with another status than ``ok`` or without a loss do not count.
    images, predictions : DataFrame
        The run's tables: the others, as far as they have probabilities.
    classes : sequence of str
        Every class, in the order of ``probabilities``.
    attributes : sequence of str
        Attribute names, without the prefix ``attr_``.
    alpha : float
        One minus the confidence level of each interval, which stands for itself alone.

    Returns
    -------
    DataFrame
        One row a model and group, ``overall`` first. ``value`` is the area under the ROC curve of the
        loss-threshold attack (Yeom et al. 2018): how often a member has a smaller loss than another image;
        0.5 is no better than guessing. Interval and method are those of `area_under_curve`. Loss is minus
        the logarithm of the true class's probability, at most 36.04. Status ``not_measured`` where members
        or others are missing in the group, or the attribute is missing among the members;
        ``too_few_clusters`` where there is no interval.

    Raises
    ------
    InputError
        A column is missing, or image ids repeat or are unknown.

    Notes
    -----
    An image id that occurs among members and others is left out of the others (it was trained on), and
    `method` says how many there were; copies under another name are not noticed. A value near 0.5 does
    not exclude stronger attacks. Where members and others differ in kind (another camera, another
    place), the value shows that as well.
    """
    absent = [name for name in MEMBER_COLUMNS if name not in members]
    if absent:
        raise InputError(f"table 'members' has no column '{absent[0]}', it has: {[str(c) for c in members]}")
    repeated = members.duplicated(["model", "image_id"]).to_numpy()
    if repeated.any():
        raise InputError(f"image_id '{members.loc[repeated, 'image_id'].iloc[0]}' occurs twice among the members")
    rows = usable_rows(images, predictions, classes, attributes)
    rows["loss"] = _losses(rows, len(classes))
    rows["correct"] = rows["truth"] == rows["predicted"]
    known = members[(members["status"] == "ok") & members["loss"].notna()]
    out = []
    for model in predictions["model"].astype(str).unique():
        inside = _prepared(known[known["model"] == model], attributes)
        outside = rows[(rows["model"] == model) & rows["loss"].notna()]
        shared = outside["image_id"].isin(inside["image_id"])
        note = f"; {int(shared.sum())} trained images left out of the others" if shared.any() else ""
        both = pd.concat([inside.assign(member=True), outside[~shared].assign(member=False)], ignore_index=True)
        out += [(model, *row) for row in _by_group(both, members, images, attributes, alpha, note)]
    names = columns("membership")
    whole, text = ("members", "others", "clusters"), ("model", "attribute", "group", "method", "status")
    types = {name: "int64" if name in whole else "str" if name in text else "float64" for name in names}
    return pd.DataFrame(out, columns=names).astype(types)


def _losses(rows: pd.DataFrame, size: int) -> Floats:
    """Loss of every audited image; NaN without probabilities."""
    probabilities = stored_probabilities(rows, size)
    if probabilities is None:
        return np.full(len(rows), np.nan)
    given = probabilities[np.arange(len(rows)), rows["truth"].to_numpy(np.int64)]
    return np.asarray(-np.log(np.clip(given, np.finfo(np.float64).eps, 1.0)), dtype=np.float64)


def _prepared(members: pd.DataFrame, attributes: Sequence[str]) -> pd.DataFrame:
    """Members in the columns that the audited images have."""
    frame = pd.DataFrame({"image_id": members["image_id"].astype(object), "cluster": cluster_names(members)})
    frame["loss"] = members["loss"].clip(0.0, LARGEST_LOSS).to_numpy(np.float64)
    frame["correct"] = (members["label"] == members["predicted"]).to_numpy(bool)
    for name in attributes:
        if f"attr_{name}" in members:
            frame[f"attr_{name}"] = group_labels(members, (name,)).to_numpy(object)
    return frame


def _by_group(
    both: pd.DataFrame,
    members: pd.DataFrame,
    images: pd.DataFrame,
    attributes: Sequence[str],
    alpha: float,
    note: str,
) -> Iterator[tuple[object, ...]]:
    yield (OVERALL, EVERYBODY, *_attacked(both, alpha, note))
    for name in attributes:
        groups = set(group_labels(images, (name,)).unique())
        if f"attr_{name}" not in members:
            others = both[~both["member"]]
            for group in sorted_groups(groups):
                own = others[others[f"attr_{name}"] == group]
                yield (name, group, *_attacked(own, alpha, note))
            continue
        for group in sorted_groups(groups | set(group_labels(members, (name,)).unique())):
            yield (name, group, *_attacked(both[both[f"attr_{name}"] == group], alpha, note))


def _attacked(rows: pd.DataFrame, alpha: float, note: str) -> tuple[object, ...]:
    """Everything of a row after its group."""
    member = rows["member"].to_numpy(bool)
    correct = rows["correct"].to_numpy(bool)
    cluster = np.unique(rows["cluster"].to_numpy(object), return_inverse=True)[1].reshape(-1).astype(np.int64)
    counts = (int(member.sum()), int((~member).sum()), len(np.unique(cluster)))
    accuracy = [float(correct[side].mean()) if side.any() else np.nan for side in (member, ~member)]
    if not counts[0] or not counts[1]:
        return (*counts, np.nan, np.nan, np.nan, *accuracy, "none", "not_measured")
    score = area_under_curve(-rows["loss"].to_numpy(np.float64), member, cluster, alpha)
    return (*counts, score.value, score.low, score.high, *accuracy, score.method + note, score.status)
