"""Images that occur more than once, in the data or also in training: the same bytes, or pictures that look alike.

Copies count more than once in every number. Where their labels differ one is wrong; where they lie in several splits,
or among a model's training images, the model may have seen the answer.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from audit.data.looks import BITS, alike, hashes
from audit.preflight import Preflight
from audit.run.mentions import LIKE, SAME
from audit.run.shards import read_rows

__all__ = ["copy_problems", "trained_on_problems"]


def copy_problems(checked: Preflight, predicted: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """A row of table `problems` for each image that is a copy of one before it.

    Parameters
    ----------
    checked : Preflight
    predicted : DataFrame
        Rows of the `predict` stage of one model.

    Yields
    ------
    dict
        With the status ``copy`` or ``looks_alike``.
    """
    rows, digests = checked.dataset.rows, predicted["sha256"]
    codes = pd.Series(digests.factorize()[0])
    same = codes.duplicated() & (codes >= 0)
    copied = codes[codes.isin(codes[same])]
    first = copied.drop_duplicates().reset_index().set_index(0)["index"]
    places = predicted["position"].to_numpy()
    for place in np.flatnonzero(same):
        copy, original = (rows.iloc[places[each]].to_dict() for each in (place, first[codes[place]]))
        yield _problem(copy, "copy", f"{SAME}{original['image_id']}{_apart(original, copy)}")
    if checked.config.data.look_alikes is None:
        return
    shown = np.flatnonzero(predicted["looks"].notna() & ~same)
    for later, earlier, distance in alike(hashes(predicted["looks"].array[shown]), checked.config.data.look_alikes):
        copy, original = (rows.iloc[places[shown[each]]].to_dict() for each in (later, earlier))
        detail = f"{LIKE}{original['image_id']} ({distance} of {BITS} bits differ){_apart(original, copy)}"
        yield _problem(copy, "looks_alike", detail)


def _apart(original: Mapping[Hashable, Any], copy: Mapping[Hashable, Any]) -> str:
    """In what two copies differ that they should not."""
    said = ""
    if original["label"] != copy["label"]:
        said += f"; their labels are '{copy['label']}' here and '{original['label']}' there"
    if original["split"] != copy["split"] and not (pd.isna(original["split"]) and pd.isna(copy["split"])):
        said += f"; they are of the splits '{copy['split']}' and '{original['split']}'"
    return said


def trained_on_problems(checked: Preflight, out: Path, name: str, predicted: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """A row of table `problems` for each audited image that a model has seen in training, with its label.

    Yields
    ------
    dict
        With the status ``trained_on`` (the same bytes) or ``looks_trained_on``.
    """
    members = read_rows(out, name, checked.plan.stage("members", name))
    if members.empty:
        return
    rows = predicted.assign(path=checked.dataset.rows["path"].loc[predicted["position"]].to_numpy())
    same = rows["sha256"].notna() & rows["sha256"].isin(members["sha256"])
    for row in rows[same].to_dict("records"):
        yield _problem(row, "trained_on", "is also one of the training images", "members", name)
    if checked.config.data.look_alikes is None:
        return
    trained = members[members["looks"].notna()]
    shown = rows[rows["looks"].notna() & ~same]
    for image, member, distance in _nearest(shown, trained, checked.config.data.look_alikes):
        detail = f"looks like the training image {member} ({distance} of {BITS} bits differ)"
        yield _problem(image, "looks_trained_on", detail, "members", name)


def _nearest(
    shown: pd.DataFrame, trained: pd.DataFrame, bits: int
) -> Iterator[tuple[Mapping[Hashable, Any], str, int]]:
    """The training image that each audited image looks most like, if any does: training images go first."""
    known = hashes(trained["looks"])
    found = alike(np.concatenate([known, hashes(shown["looks"])]), bits, known=len(known))
    names = trained["image_id"].to_list()
    for later, earlier, distance in found:
        yield shown.iloc[later - len(known)].to_dict(), str(names[earlier]), distance


def _problem(
    row: Mapping[Hashable, Any], status: str, detail: str, stage: str = "data", model: str | None = None
) -> dict[str, Any]:
    named = {"image_id": row["image_id"], "path": row["path"]}
    return {"stage": stage, "model": model, **named, "status": status, "detail": detail}
