"""Which cells are suppressed beside the small ones, so that nobody works those out from sums.

Whether anybody still could is asked of `integer_search`, until it finds that nobody can.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from audit.fairness.rows import EVERYBODY, OVERALL
from reports.bundle.cells import Block, Cell
from reports.bundle.integer_search import IntegerSearch, Weak

__all__ = ["Complements", "Unsafe"]


class Unsafe(Exception):
    """Nothing is left to suppress, and a cell can still be found out."""


@dataclass(frozen=True)
class Complements:
    """Suppresses complements within a block until the search finds nothing."""

    block: Block
    sizes: Mapping[Cell, int]
    threshold: int
    known: dict[Cell, list[tuple[Cell, list[Cell]]]] = field(default_factory=dict)

    def hide(self, small: Sequence[Cell], *, complements: bool) -> set[Cell]:
        """The small cells, and those that hide them.

        Raises
        ------
        TooLarge, Unsafe
        """
        hidden: set[Cell] = set()
        for cell in small:
            self._add(hidden, cell)
        if not hidden or not complements:
            return hidden
        search = IntegerSearch(self.block)
        needs = {cell: self._needs(cell) for cell in self.block.cells}
        self._close(hidden)
        while (weak := search.unsafe(hidden, needs)) is not None:
            self._widen(hidden, weak)
            self._close(hidden)
        return hidden

    def _needs(self, cell: Cell) -> tuple[int, int]:
        """How far values must lie apart: the threshold for a small group, half of it for a class in one."""
        if self._size(cell) >= self.threshold:
            return 1, 1
        return (self.threshold, 1) if cell.label is None else (max(1, self.threshold // 2), 1)

    def _size(self, cell: Cell) -> int:
        return self.sizes.get(cell, 0)

    def _add(self, hidden: set[Cell], cell: Cell) -> None:
        hidden.add(cell)
        if cell.label is None:
            hidden |= {replace(cell, label=label) for label in self.block.labels}

    def _smallest(self, cells: Iterable[Cell], hidden: set[Cell]) -> Cell | None:
        left = [cell for cell in cells if cell not in hidden]
        return min(left, key=self._size, default=None)

    def _close(self, hidden: set[Cell]) -> None:
        """Suppress a second cell of each sum that has one suppressed part, and a part of each suppressed sum."""
        changed = True
        while changed:
            changed = False
            for cell in [cell for cell in self.block.cells if cell in hidden]:
                lines = [line for parent, line in self._lines(cell) if parent not in hidden]
                lines = [line for line in (*lines, *self._parts(cell)) if hidden.isdisjoint(line)]
                for chosen in filter(None, (self._smallest(line, hidden) for line in lines)):
                    self._add(hidden, chosen)
                    changed = True

    def _widen(self, hidden: set[Cell], weak: Weak) -> None:
        """Suppress the smallest cell that is added up with a weak one, or is a part or the sum of it.

        Raises
        ------
        Unsafe
            All of them are.
        """
        lines = self._lines(weak.cell)
        sums = self._smallest([whole for whole, _ in lines if whole.attribute != OVERALL], hidden)
        chosen = sums if not weak.can_hide else None
        chosen = chosen or self._smallest([cell for _, line in lines for cell in line], hidden)
        chosen = chosen or self._smallest([cell for line in self._parts(weak.cell) for cell in line], hidden) or sums
        if chosen is None:
            raise Unsafe
        self._add(hidden, chosen)

    def _lines(self, cell: Cell) -> list[tuple[Cell, list[Cell]]]:
        if cell not in self.known:
            self.known[cell] = list(self._sums(cell))
        return self.known[cell]

    def _sums(self, cell: Cell) -> Iterator[tuple[Cell, list[Cell]]]:
        """Sums that a cell is a part of, each with its other parts."""
        slices = self.block.slices
        for name in (OVERALL, *slices):
            if name == OVERALL or set(slices[name]) < set(slices[cell.attribute]):
                whole = self._above(cell, name)
                others = [one for one in self._along(cell.attribute, cell.label) if one != cell]
                yield whole, [one for one in others if self._above(one, name) == whole]
        if cell.label is not None:
            labels = [replace(cell, label=label) for label in self.block.labels if label != cell.label]
            yield replace(cell, label=None), labels

    def _parts(self, cell: Cell) -> Iterator[list[Cell]]:
        """Parts of a cell along each finer intersection."""
        slices = self.block.slices
        for name in slices:
            if set(slices[cell.attribute]) < set(slices[name]):
                yield [one for one in self._along(name, cell.label) if self._above(one, cell.attribute) == cell]

    def _along(self, name: str, label: str | None) -> list[Cell]:
        return [Cell(one, group, label) for one, group in self.block.places if one == name]

    def _above(self, cell: Cell, name: str) -> Cell:
        return Cell(OVERALL, EVERYBODY, cell.label) if name == OVERALL else self.block.parent(cell, name)
