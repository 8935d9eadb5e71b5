"""Which images a viewer asks for on the Errors page, and in which order. Numbers in, positions out; no widget."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audit.run import Run
from dashboard import columns, data
from dashboard.columns import Bools, Outcomes
from dashboard.kept import Kept
from dashboard.selection import ANY

__all__ = ["PICTURES", "SORTS", "Wanted", "find", "outcome_of", "positive_of"]

Places = npt.NDArray[np.int64]
_FOUND = Kept[Places](64 * 2**20, lambda places: places.nbytes)

SORTS = {
    "sure": "most confident first",
    "unsure": "least confident first",
    "data": "as in the data",
}
"""Orders of the images, and their words."""

PICTURES = {
    "first": "those with a picture first",
    "only": "only those with a picture",
    ANY: "with or without a picture",
}
"""Only a sample of the images keeps a picture; which of them are shown, and in which place."""

_WHOLE = (0, 100)


@dataclass(frozen=True)
class Wanted:
    """What the viewer asked for; `ANY` and the whole span ask for everything.

    Attributes
    ----------
    model : str
        Whose outcome counts.
    outcome : str
        Key of `dashboard.selection.OUTCOMES`.
    attribute, group : str
    label, predicted : str
        Classes.
    disagreement : {'any', 'yes', 'no'}
        Whether the run's models must say different things.
    confidence : (int, int)
        In per cent.
    slice : str
        Slice that nobody labelled.
    picture, sort : str
        Keys of `PICTURES` and `SORTS`.
    """

    model: str
    outcome: str = ANY
    attribute: str = ANY
    group: str = ANY
    label: str = ANY
    predicted: str = ANY
    disagreement: str = ANY
    confidence: tuple[int, int] = _WHOLE
    slice: str = ANY
    picture: str = "first"
    sort: str = "sure"


def find(run: Run, wanted: Wanted) -> Places:
    """Positions of the images that are asked for, in the order that is asked for; only usable ones."""
    stamps = tuple(data.changed(run, name) for name in ("images", "predictions", "slice_images"))
    return _FOUND.get((str(run.path), stamps, wanted), lambda: _find(run, wanted))


def _find(run: Run, wanted: Wanted) -> Places:
    said = columns.outcomes(run, wanted.model)
    keep = said.usable & outcome_of(said, wanted.outcome, positive_of(run))
    if wanted.attribute != ANY and wanted.group != ANY:
        keep &= columns.attribute(run, wanted.attribute).equal(wanted.group)
    for name, column in ((wanted.label, said.label), (wanted.predicted, said.predicted)):
        if name != ANY:
            keep &= column.equal(name)
    if wanted.disagreement != ANY:
        differ = _differ(run)
        keep &= differ if wanted.disagreement == "yes" else ~differ
    if wanted.confidence != _WHOLE:
        low, high = wanted.confidence
        keep &= (said.confidence >= np.float32(low / 100)) & (said.confidence <= np.float32(high / 100))
    if wanted.slice != ANY:
        keep &= columns.members_of(run, wanted.model, wanted.slice)
    pictured = columns.pictured(run)
    if wanted.picture == "only":
        keep &= pictured
    return _ordered(np.flatnonzero(keep), said, pictured, wanted)


def _ordered(places: Places, said: Outcomes, pictured: Bools, wanted: Wanted) -> Places:
    """In the order asked for; images without a confidence last."""
    if wanted.sort != "data":
        by = said.confidence[places] * (-1 if wanted.sort == "sure" else 1)
        places = places[np.argsort(by, kind="stable")]
    if wanted.picture == "first":
        with_one = pictured[places]
        places = np.concatenate([places[with_one], places[~with_one]])
    return places


def outcome_of(said: Outcomes, outcome: str, positive: str | None) -> Bools:
    """Which images have an outcome; `dashboard.selection.OUTCOMES` names them."""
    if outcome == ANY:
        return np.ones(len(said.usable), bool)
    right = said.label.codes == said.predicted.codes
    if outcome in ("correct", "wrong"):
        return np.asarray(right if outcome == "correct" else ~right)
    truly, kind = outcome.split("-")
    chosen, actual = said.predicted.equal(str(positive)), said.label.equal(str(positive))
    agrees = chosen == actual
    return np.asarray((chosen if kind == "positive" else ~chosen) & (agrees if truly == "true" else ~agrees))


def positive_of(run: Run) -> str | None:
    """The run's positive class."""
    given = run.record.get("data", {}).get("positive")
    return None if given is None else str(given)


def _differ(run: Run) -> Bools:
    """Images on which models say different things, of those that say anything."""
    every = [columns.outcomes(run, model) for model in run.models]
    names = tuple(dict.fromkeys(name for said in every for name in said.predicted.names))
    rows = []
    for said in every:
        moved = np.array([*(names.index(name) for name in said.predicted.names), -1], np.int32)
        rows.append(moved[said.predicted.codes])
    low, high = np.full(len(rows[0]), len(names), np.int32), np.full(len(rows[0]), -1, np.int32)
    for row in rows:
        low, high = np.where(row >= 0, np.minimum(low, row), low), np.maximum(high, row)
    return np.asarray(low < high)
