"""Which cells the public tables leave out: small ones, and enough others that no search over whole numbers finds them.

Applied to the tables in `public_tables`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from audit.errors import IncompleteRun, RunError
from audit.fairness.rows import EVERYBODY, OVERALL, slice_columns
from audit.run import Run
from reports.bundle.cells import Block, Cell, blocks_of, cell_sizes
from reports.bundle.complements import Complements, Unsafe
from reports.bundle.integer_search import TooLarge

__all__ = ["MOST_CELLS", "Pattern", "choose"]

MOST_CELLS = 800
"""Cells of one block that are searched; beyond it, only whole groups are published."""


@dataclass(frozen=True)
class Pattern:
    """What is suppressed and what is left out.

    Attributes
    ----------
    hidden : frozenset of Cell
        Suppressed cells of groups; a whole group's comes with all its classes.
    hidden_labels : tuple of str
        Classes of which nothing is published at all, since everybody together has few of them, or since another
        class could be found out from them.
    by_class : tuple of str
        Attributes and intersections of which classes are published.
    slices : mapping of str to tuple of str
        Attributes and intersections that are published at all, ``overall`` first.
    withheld : tuple of str
        Sentences on what is left out of the tables altogether.
    """

    hidden: frozenset[Cell]
    hidden_labels: tuple[str, ...]
    by_class: tuple[str, ...]
    slices: Mapping[str, tuple[str, ...]]
    withheld: tuple[str, ...] = ()

    def clean(self, attribute: str, group: str) -> bool:
        """Whether nothing of a group is suppressed."""
        return (attribute, group) not in {(cell.attribute, cell.group) for cell in self.hidden}

    def all_clean(self, attribute: str) -> bool:
        """Whether nothing along an attribute or intersection is suppressed."""
        return all(cell.attribute != attribute for cell in self.hidden)


def choose(run: Run, threshold: int, *, complements: bool = True) -> Pattern:
    """Choose the cells that a run's public tables leave out.

    Parameters
    ----------
    run : Run
        Complete, with its rows.
    threshold : int
        Smallest number of images, and of clusters, that is published as the denominator of a group or of a class
        within it.
    complements : bool
        False leaves small cells as the only suppressed ones, from which they can be found out: for tests alone.

    Returns
    -------
    Pattern

    Raises
    ------
    IncompleteRun
        The run has no tables to choose from.
    RunError
        Everybody together is fewer than the threshold.
    """
    for name in ("images", "predictions", "groups", "coverage"):
        if not run.has(name):
            raise IncompleteRun(f"has no table '{name}', so that small cells cannot be found", where=str(run.path))
    data = run.record["data"]
    classes = tuple(str(name) for name in data["classes"])
    attributes = tuple(str(item["name"]) for item in data["attributes"])
    crossings = tuple(tuple(crossing) for crossing in data.get("intersections") or ())
    sizes = cell_sizes(run.table("groups"), run.table("coverage"), classes)
    everybody = sizes.get(Cell(OVERALL, EVERYBODY), 0)
    if everybody < threshold:
        raise RunError(
            f"everybody together is {everybody} images or clusters that count for every model, allowed at the public "
            f"level: {threshold} or more",
            where=str(run.path),
            fix="use the auditor level, or a smaller threshold",
        )
    hidden_labels = _hidden_labels(run.table("groups"), sizes, classes, threshold, complements=complements)
    images = run.table("images", columns=["image_id", "label", "status", *(f"attr_{name}" for name in attributes)])
    predictions = run.table("predictions", columns=["model", "image_id", "predicted", "status"])
    chooser = _Chooser(images, predictions, classes, hidden_labels, sizes, threshold, complements)
    found = Pattern(frozenset(), hidden_labels, (), {OVERALL: ()})
    for names, crossed in blocks_of(attributes, crossings):
        for part in chooser.block(names, crossed):
            found = replace(
                found,
                hidden=found.hidden | part.hidden,
                by_class=(*found.by_class, *part.by_class),
                slices={**found.slices, **part.slices},
                withheld=(*found.withheld, *part.withheld),
            )
    return replace(found, withheld=(*_said_labels(hidden_labels), *found.withheld))


def _hidden_labels(
    groups: pd.DataFrame, sizes: Mapping[Cell, int], classes: Sequence[str], threshold: int, *, complements: bool
) -> tuple[str, ...]:
    """Classes that few images of everybody have, or that a model rarely calls, with others to hide them among.

    Any image of such a class could as well be of another, with every model's answer exchanged alike: everything that
    is still published would be the same. Hence their own number can be anything up to that of all of them together.
    """
    small = [name for name in classes if sizes.get(Cell(OVERALL, EVERYBODY, name), 0) < threshold]
    rest = sorted(
        (name for name in classes if name not in small), key=lambda name: sizes[Cell(OVERALL, EVERYBODY, name)]
    )
    whole = groups[groups["attribute"] == OVERALL]

    def fewest(metric: str) -> int:
        rows = whole[(whole["metric"] == metric) & whole["class"].isin(small)]
        return int(rows.groupby("model")["n"].sum().min())

    while (
        complements
        and small
        and rest
        and (len(small) < 2 or fewest("true_positive_rate") < threshold or not fewest("precision"))
    ):
        small.append(rest.pop(0))
    return tuple(name for name in classes if name in small)


def _said_labels(hidden: Sequence[str]) -> Iterator[str]:
    if hidden:
        yield (
            f"every row of class {', '.join(repr(name) for name in hidden)}, and metrics that are means over the "
            "classes: few images of everybody are of one of these classes, or are called so by a model"
        )


@dataclass(frozen=True)
class _Chooser:
    """Chooses for one block after another, and leaves out what cannot be made safe."""

    images: pd.DataFrame
    predictions: pd.DataFrame
    classes: tuple[str, ...]
    hidden_labels: tuple[str, ...]
    sizes: Mapping[Cell, int]
    threshold: int
    complements: bool

    def block(self, attributes: tuple[str, ...], crossings: Sequence[tuple[str, ...]]) -> Iterator[Pattern]:
        """Pattern of a block: whole, without classes, without its intersections, or of what is left of it."""
        slices = _slices(attributes, crossings)
        found = self._try(slices, by_class=True)
        if isinstance(found, Pattern):
            yield found
            return
        if found == "too large" and isinstance(less := self._try(slices, by_class=False), Pattern):
            yield replace(less, withheld=(_said_classes(slices, found),))
            return
        if crossings:
            names = ", ".join(f"'{name}'" for name in slices if len(slices[name]) > 1)
            yield self._nothing(f"every row by {names}: {_WHY[found]}")
            for name in attributes:
                yield from self.block((name,), ())
            return
        less = self._try(slices, by_class=False)
        if isinstance(less, Pattern):
            yield replace(less, withheld=(_said_classes(slices, found),))
        else:
            yield self._nothing(f"every row by '{attributes[0]}': {_WHY[less]}")

    def _nothing(self, sentence: str) -> Pattern:
        return Pattern(frozenset(), self.hidden_labels, (), {}, (sentence,))

    def _try(self, slices: Mapping[str, tuple[str, ...]], *, by_class: bool) -> Pattern | str:
        """The pattern of some slices, or why there is none."""
        labels = tuple(name for name in self.classes if name not in self.hidden_labels) if by_class else None
        block = Block.of(self.images, self.predictions, slices, self.classes, labels)
        small = [cell for cell in block.cells if self.sizes.get(cell, 0) < self.threshold]
        if small and len(block.cells) > MOST_CELLS:
            return "too large"
        try:
            hidden = Complements(block, self.sizes, self.threshold).hide(small, complements=self.complements)
        except TooLarge:
            return "too large"
        except Unsafe:
            return "unsafe"
        return Pattern(frozenset(hidden), self.hidden_labels, tuple(slices) if by_class else (), dict(slices))


_WHY = {
    "too large": "there are too many cells to prove by search that no small one can be found out",
    "unsafe": "a small cell could be found out whichever others are suppressed",
}


def _said_classes(slices: Mapping[str, tuple[str, ...]], why: str) -> str:
    return (
        f"rows of single classes and means over the classes by {', '.join(f'{name!r}' for name in slices)}: {_WHY[why]}"
    )


def _slices(attributes: Sequence[str], crossings: Iterable[Sequence[str]]) -> dict[str, tuple[str, ...]]:
    found = slice_columns(attributes, list(crossings))
    return {name: parts for name, parts in found.items() if name != OVERALL}
