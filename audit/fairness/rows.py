"""Which rows count, and which group and cluster each belongs to.

Everything that is counted or averaged starts from here; nothing here counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pandas.api.extensions import ExtensionArray

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
    "require_columns",
    "slice_columns",
    "sorted_groups",
    "stored_probabilities",
    "usable_rows",
]

MISSING = "(missing)"
OVERALL = "overall"
EVERYBODY = "all"
JOIN = " x "

Ints = npt.NDArray[np.int64]
SUM_TOLERANCE = 1e-2
"""How far probabilities may be from adding up to 1: half precision is coarse."""


def usable_rows(
    images: pd.DataFrame, predictions: pd.DataFrame, classes: Sequence[str], attributes: Sequence[str]
) -> pd.DataFrame:
    """Rows that count: predictions with status ``ok`` of images with status ``ok``.

    Returns
    -------
    DataFrame
        ``model, image_id, truth, predicted`` (positions in `classes`), ``cluster``, the attribute columns,
        and ``probabilities`` where the predictions have them.

    Raises
    ------
    InputError
        A column, class or attribute is missing or unknown, image ids repeat or are unknown, there are fewer
        than two classes, or an image has several labels.
    """
    _check_classes(classes)
    require_columns(images, "images", ("image_id", "label", "status"))
    require_columns(predictions, "predictions", ("model", "image_id", "predicted", "status"))
    ids = pd.Index(images["image_id"])
    place = ids.get_indexer(predictions["image_id"]) if ids.is_unique else None
    if place is None:
        raise InputError(f"image_id '{ids[ids.duplicated()][0]}' occurs twice in the images table")
    if (place < 0).any():
        unknown = predictions["image_id"].to_numpy()[place < 0][0]
        raise InputError(f"a prediction names image_id '{unknown}', which the images table does not have")
    of_model = pd.factorize(predictions["model"])[0]
    repeated = pd.Index(of_model * np.int64(len(ids)) + place).duplicated()
    if repeated.any():
        first = predictions.loc[repeated, ["model", "image_id"]].iloc[0]
        raise InputError(f"image_id '{first['image_id']}' is predicted twice by model '{first['model']}'")
    fine = (images["status"] == "ok").to_numpy(bool)[place] & (predictions["status"] == "ok").to_numpy(bool)
    chosen, place = predictions.loc[fine], place[fine]
    rows = pd.DataFrame({"model": chosen["model"].astype(str), "image_id": chosen["image_id"]})
    rows["truth"] = _class_positions(images["label"].array[place], classes, "label")
    rows["predicted"] = _class_positions(chosen["predicted"].array, classes, "prediction")
    rows["cluster"] = cluster_names(images)[place]
    for name in attributes:
        rows[f"attr_{name}"] = group_labels(images, (name,)).array[place]
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
        return pd.Series(EVERYBODY, index=frame.index, dtype="str")
    columns = []
    for name in names:
        if f"attr_{name}" not in frame:
            known = [str(c).removeprefix("attr_") for c in frame if str(c).startswith("attr_")]
            raise InputError(f"attribute '{name}' is not in the data, allowed: {known}.{nearest(name, known)}")
        columns.append(frame[f"attr_{name}"].astype("str").fillna(MISSING))
    joined = columns[0]
    for further in columns[1:]:
        joined = joined + JOIN + further
    return joined


def sorted_groups(groups: set[str]) -> tuple[str, ...]:
    """Groups in a fixed order: by name, those with a missing value last."""
    return tuple(sorted(groups, key=lambda group: (MISSING in group, group)))


def positions(known: Sequence[str], values: Iterable[object]) -> Ints:
    """Position of each value among the known ones; -1 where it is none of them."""
    held = values if isinstance(values, pd.Series | pd.Index | ExtensionArray) else pd.Series(values, dtype=object)
    code, found = held.factorize()
    place = pd.Index(list(known), dtype=object).get_indexer(pd.Index(found, dtype=object))
    return np.asarray(np.append(place, -1)[code], dtype=np.int64)  # code -1 is a missing value


def has_clusters(images: pd.DataFrame) -> bool:
    """Whether any image names a cluster."""
    return "cluster" in images and bool(images["cluster"].notna().any())


def cluster_names(images: pd.DataFrame) -> ExtensionArray:
    """Cluster of each image; an image without one is a cluster of its own."""
    own = "image:" + images["image_id"].astype("str")
    if not has_clusters(images):
        return own.array
    return ("cluster:" + images["cluster"].astype("str")).fillna(own).array


def stored_probabilities(rows: pd.DataFrame, size: int) -> npt.NDArray[np.float64] | None:
    """Probabilities as an array ``(N, K)``, rows without any as NaN; None where none are stored.

    Raises
    ------
    InputError
        A row has another number of probabilities than `size`, or they do not add up to 1 over the classes,
        as the outputs of several yes-or-no questions do not.
    """
    if "probabilities" not in rows or not rows["probabilities"].notna().any():
        return None
    out = np.full((len(rows), size), np.nan)
    known = rows["probabilities"].notna().to_numpy(bool)
    given = pa.array(rows["probabilities"][known], pa.large_list(pa.float64()))
    given = given.combine_chunks() if isinstance(given, pa.ChunkedArray) else given
    lengths = pc.list_value_length(given).to_numpy()
    wrong = lengths[lengths != size]
    if len(wrong):
        raise InputError(f"a prediction has {wrong[0]} probabilities, allowed: one for each of {size} classes")
    out[known] = given.flatten().to_numpy(zero_copy_only=False).reshape(-1, size)
    sums = out.sum(axis=1)
    off = (np.abs(sums - 1) > SUM_TOLERANCE) | (out < -SUM_TOLERANCE).any(axis=1)
    if off.any():
        raise InputError(
            f"the probabilities of a prediction add up to {sums[off][0]:.4g}, allowed: shares of one whole",
            fix="give probabilities over classes of which each image has one; multi-label models are not audited",
        )
    return out


def _check_classes(classes: Sequence[str]) -> None:
    if len(classes) < 2:
        raise InputError(f"classes are {list(classes)}, allowed: two or more", fix="name every class of the model")
    repeated = [name for place, name in enumerate(classes) if name in classes[:place]]
    if repeated:
        raise InputError(f"class '{repeated[0]}' is named twice in {list(classes)}")


def _class_positions(values: ExtensionArray, classes: Sequence[str], what: str) -> Ints:
    try:
        found = positions(classes, values)
    except TypeError:
        found = np.array([-int(_is_several(value)) for value in values], dtype=np.int64)
    if (found < 0).any():
        bad = values[found < 0][0]
        if _is_several(bad):
            raise InputError(
                f"{what} {[str(name) for name in bad]} names several classes; multi-label data is not audited",
                fix="give each image one class, or audit each class on its own as yes or no",
            )
        raise InputError(f"{what} '{bad}' is no class, allowed: {list(classes)}.{nearest(str(bad), classes)}")
    return found


def _is_several(value: object) -> bool:
    return isinstance(value, (list, tuple, set, frozenset, np.ndarray))


def require_columns(frame: pd.DataFrame, table: str, columns: Sequence[str]) -> None:
    """Refuse a table that lacks one of these columns."""
    missing = [column for column in columns if column not in frame]
    if missing:
        raise InputError(f"table '{table}' has no column '{missing[0]}', it has: {[str(c) for c in frame]}")
