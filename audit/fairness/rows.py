"""Which rows count, and which group and cluster each belongs to.

Everything that is counted or averaged starts from here; nothing here counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from audit.errors import InputError, nearest

__all__ = [
    "EVERYBODY",
    "MISSING",
    "OVERALL",
    "Ints",
    "cluster_names",
    "group_labels",
    "has_clusters",
    "positions",
    "slice_columns",
    "sorted_groups",
    "usable_rows",
]

MISSING = "(missing)"
OVERALL = "overall"
EVERYBODY = "all"
JOIN = " x "

Ints = npt.NDArray[np.int64]


def usable_rows(
    images: pd.DataFrame, predictions: pd.DataFrame, classes: Sequence[str], attributes: Sequence[str]
) -> pd.DataFrame:
    """Rows that count: predictions with status ``ok`` of images with status ``ok``.

    Returns
    -------
    DataFrame
        ``model, image_id, truth, predicted`` (positions in `classes`), ``cluster``, the attribute columns,
        and ``probabilities`` where the predictions have them.
    """
    _require(images, "images", ("image_id", "label", "status"))
    _require(predictions, "predictions", ("model", "image_id", "predicted", "status"))
    ids = pd.Index(images["image_id"])
    place = ids.get_indexer(predictions["image_id"]) if ids.is_unique else None
    if place is None:
        raise InputError(f"image_id '{ids[ids.duplicated()][0]}' occurs twice in the images table")
    if (place < 0).any():
        unknown = predictions["image_id"].to_numpy()[place < 0][0]
        raise InputError(f"a prediction names image_id '{unknown}', which the images table does not have")
    repeated = predictions.duplicated(["model", "image_id"]).to_numpy()
    if repeated.any():
        first = predictions.loc[repeated, ["model", "image_id"]].iloc[0]
        raise InputError(f"image_id '{first['image_id']}' is predicted twice by model '{first['model']}'")
    fine = (images["status"] == "ok").to_numpy(bool)[place] & (predictions["status"] == "ok").to_numpy(bool)
    chosen, place = predictions.loc[fine], place[fine]
    rows = pd.DataFrame({"model": chosen["model"].astype(str), "image_id": chosen["image_id"]})
    rows["truth"] = _class_positions(images["label"].to_numpy()[place], classes, "label")
    rows["predicted"] = _class_positions(chosen["predicted"].to_numpy(), classes, "prediction")
    rows["cluster"] = cluster_names(images)[place]
    for name in attributes:
        rows[f"attr_{name}"] = group_labels(images, (name,)).to_numpy()[place]
    if "probabilities" in chosen:
        rows["probabilities"] = chosen["probabilities"]
    return rows.reset_index(drop=True)


def slice_columns(attributes: Sequence[str], intersections: Sequence[Sequence[str]] = ()) -> dict[str, tuple[str, ...]]:
    """Name of everything that is tabulated, with the attributes it is made of; ``overall`` first."""
    slices: dict[str, tuple[str, ...]] = {OVERALL: ()}
    for parts in [*((name,) for name in attributes), *(tuple(names) for names in intersections)]:
        unknown = [name for name in parts if name not in attributes]
        if unknown:
            raise InputError(
                f"intersection {list(parts)} names '{unknown[0]}', allowed: {list(attributes)}."
                f"{nearest(unknown[0], attributes)}"
            )
        name = JOIN.join(parts)
        if name in slices:
            raise InputError(f"attribute '{name}' is given twice, or bears the reserved name '{OVERALL}'")
        slices[name] = parts
    return slices


def group_labels(frame: pd.DataFrame, names: Sequence[str]) -> pd.Series[str]:
    """Group of each row along an attribute, an intersection, or ``all`` where `names` is empty."""
    if not names:
        return pd.Series(EVERYBODY, index=frame.index, dtype=object)
    columns = []
    for name in names:
        if f"attr_{name}" not in frame:
            known = [str(c).removeprefix("attr_") for c in frame if str(c).startswith("attr_")]
            raise InputError(f"attribute '{name}' is not in the data, allowed: {known}.{nearest(name, known)}")
        values = frame[f"attr_{name}"].astype(object)
        columns.append(values.where(values.notna(), MISSING).astype(str).astype(object))
    joined = columns[0]
    for further in columns[1:]:
        joined = joined + JOIN + further
    return joined


def sorted_groups(groups: set[str]) -> tuple[str, ...]:
    """Groups in a fixed order: by name, those with a missing value last."""
    return tuple(sorted(groups, key=lambda group: (MISSING in group, group)))


def positions(known: Sequence[str], values: Iterable[object]) -> Ints:
    """Position of each value among the known ones; -1 where it is none of them."""
    index = pd.Index(list(known), dtype=object)
    return np.asarray(index.get_indexer(pd.Index(values, dtype=object)), dtype=np.int64)


def has_clusters(images: pd.DataFrame) -> bool:
    """Whether any image names a cluster."""
    return "cluster" in images and bool(images["cluster"].notna().any())


def cluster_names(images: pd.DataFrame) -> npt.NDArray[np.object_]:
    """Cluster of each image; an image without one is a cluster of its own."""
    own = "image:" + images["image_id"].astype(str).astype(object)
    if not has_clusters(images):
        return np.asarray(own, dtype=object)
    given = images["cluster"].astype(object)
    return np.asarray(("cluster:" + given.astype(str).astype(object)).where(given.notna(), own), dtype=object)


def _class_positions(values: npt.NDArray[np.object_], classes: Sequence[str], what: str) -> Ints:
    found = positions(classes, values)
    if (found < 0).any():
        bad = values[found < 0][0]
        raise InputError(f"{what} '{bad}' is no class, allowed: {list(classes)}.{nearest(str(bad), classes)}")
    return found


def _require(frame: pd.DataFrame, table: str, columns: Sequence[str]) -> None:
    missing = [column for column in columns if column not in frame]
    if missing:
        raise InputError(f"table '{table}' has no column '{missing[0]}', it has: {[str(c) for c in frame]}")
