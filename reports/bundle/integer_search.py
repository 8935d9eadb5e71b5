"""Whether the published counts, taken together, give a suppressed one away: a search over whole numbers.

The searcher is granted more than is published: for every kind of image (label, and what each model says) how many
there are in all, everything on groups of which nothing is suppressed, and which combinations of groups occur. What
stays open to that searcher stays open to any other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from reports.bundle.cells import Block, Bools, Cell

__all__ = ["MOST_SOLVES", "MOST_VARIABLES", "Guard", "IntegerSearch", "TooLarge", "Weak"]

MOST_VARIABLES = 1000
"""Numbers that are searched over at once; rarer kinds of image beyond it are taken as known."""
MOST_SOLVES = 600
"""Programs that are solved for one block, so that the same run takes the same course on any machine."""
_TRIES = ((1, False), (2, False), (6, False), (1, True))
"""Fractions first, in the whole room and in parts of it: a solution that stays within half of the room may be doubled,
so that halves become whole. Only where none becomes whole are numbers branched on."""
_NEAR = 1e-6
_NODES, _GAP = 100, 0.3
_PATIENCE = 60.0
"""Seconds for one program: a last resort, never reached in tests, since what it cuts short depends on the machine."""
_FEW, _HELPS = 4, 0.8

Floats = npt.NDArray[np.float64]


class TooLarge(Exception):
    """A block is beyond what is searched."""


@dataclass(eq=False)
class Guard:
    """A number that must stay open.

    Attributes
    ----------
    cell : Cell
    kinds : ndarray of bool
        Kinds of image that it counts.
    need : int
        How far apart two of its possible values must lie.
    low, high : int
        How far below and above the truth a value was found.
    """

    cell: Cell
    kinds: Bools
    need: int
    low: int = 0
    high: int = 0

    @property
    def safe(self) -> bool:
        """Whether values far enough apart were found."""
        return self.high - self.low >= self.need


class Weak(NamedTuple):
    """A cell that can be narrowed down, and whether suppressing others along its attribute can help."""

    cell: Cell
    can_hide: bool


@dataclass
class IntegerSearch:
    """Finds other numbers of images that the published counts allow just as well.

    Suppressing more only takes equations away, so what was found stays found.
    """

    block: Block
    solves: int = 0
    _guards: dict[tuple[Cell, bytes], Guard] = field(default_factory=dict)

    def unsafe(self, hidden: Collection[Cell], needs: Mapping[Cell, tuple[int, int]]) -> Weak | None:
        """The first suppressed cell, in the order of the block, that can be narrowed down too far; None for none.

        Values that cannot lie so far apart even where all groups along the cell's attribute are suppressed need only
        lie as far apart as they can then: the sums that are published of them tell as much anyway. Two there must be.

        Parameters
        ----------
        hidden : collection of Cell
            Suppressed cells.
        needs : dict of Cell to (int, int)
            For each of them how far apart values must lie: of numbers of images by their own label, and of those
            that a model calls so.

        Raises
        ------
        TooLarge
            It takes more programs than are allowed.
        """
        system = _System.of(self.block, hidden)
        guards = [guard for cell in self.block.cells if cell in hidden for guard in self._of(cell, needs[cell])]
        places = [self.block.places[guard.cell.attribute, guard.cell.group] for guard in guards]
        rows = np.stack([system.row(guard.kinds, place) for guard, place in zip(guards, places, strict=True)])
        self._shake(system, guards, rows)
        for guard, row in zip(guards, rows, strict=True):
            if guard.safe:
                continue
            bounds = [self._solve(system, sign * row, guards, rows, whole=False) for sign in (1.0, -1.0)]
            if not guard.safe and sum(bounds) >= guard.need:
                for sign in (1.0, -1.0):
                    if not guard.safe:
                        self._solve(system, sign * row, guards, rows)
            if guard.safe:
                continue
            widest = self._widest(guard, hidden)
            guard.need = max(1, min(guard.need, widest))
            if not guard.safe:
                return Weak(guard.cell, widest > 0)
        return None

    def _widest(self, guard: Guard, hidden: Collection[Cell]) -> int:
        """How far apart values can lie at most with every group along the cell's attribute suppressed."""
        slices = self.block.slices
        own = set(slices[guard.cell.attribute])
        along = {cell for cell in self.block.cells if own <= set(slices[cell.attribute])}
        system = _System.of(self.block, along.union(hidden))
        row = system.row(guard.kinds, self.block.places[guard.cell.attribute, guard.cell.group])
        ends = [system.solved(sign * row, 1, whole=False) for sign in (1.0, -1.0)]
        return sum(0 if end is None else int(np.floor(abs(row @ end) + _NEAR)) for end in ends)

    def _shake(self, system: _System, guards: list[Guard], rows: Floats) -> None:
        """Move all unsafe numbers at once, at random, as long as it helps: it spares many a program of their own."""
        random, before = np.random.default_rng(0), np.inf
        while _FEW < (left := sum(not guard.safe for guard in guards)) < _HELPS * before:
            before = left
            signs = random.choice([-1.0, 1.0], len(guards)) * [not guard.safe for guard in guards]
            for sign in (1.0, -1.0):
                self._solve(system, sign * (signs @ rows), guards, rows)

    def _solve(
        self, system: _System, objective: Floats, guards: list[Guard], rows: Floats, *, whole: bool = True
    ) -> int:
        """Make a number large, note what became of all of them, and say how large it can be at most."""
        most, change = 0, None
        for parts, branched in _TRIES if whole else _TRIES[:1]:
            if self.solves >= MOST_SOLVES:
                raise TooLarge
            self.solves += 1
            found = system.solved(objective, parts, whole=branched)
            if found is None:
                break
            if parts == 1 and not branched:
                most = int(np.floor(objective @ found + _NEAR))
            change = np.round(parts * found)
            if abs(parts * found - change).max() < _NEAR and system.allows(change) and objective @ change > 0:
                for guard, moved in zip(guards, rows @ change, strict=True):
                    guard.low, guard.high = min(guard.low, round(moved)), max(guard.high, round(moved))
                break
            if most < 1:
                break
        return most

    def _of(self, cell: Cell, need: tuple[int, int]) -> Iterator[Guard]:
        for kinds, own in self.block.guarded(cell.label):
            wanted = need[0] if own else need[1]
            yield self._guards.setdefault((cell, kinds.tobytes()), Guard(cell, kinds, wanted))


@dataclass(frozen=True)
class _System:
    """What the published counts allow, as differences from the truth: of each kind of image in each open group.

    Attributes
    ----------
    kinds, leaves : ndarray of bool
        Which kinds and leaves of the block are searched over.
    constraint : LinearConstraint
    bounds : Bounds
    """

    kinds: Bools
    leaves: Bools
    constraint: LinearConstraint
    bounds: Bounds

    @classmethod
    def of(cls, block: Block, hidden: Collection[Cell]) -> _System:
        leaves = np.zeros(block.counts.shape[1], dtype=bool)
        for cell in hidden:
            leaves |= block.places[cell.attribute, cell.group]
        total = block.counts[:, leaves].sum(axis=1)
        room = max(1, MOST_VARIABLES // max(1, int(leaves.sum())))
        kinds = np.zeros(len(total), dtype=bool)
        kinds[np.argsort(-total, kind="stable")[:room]] = True
        kinds &= total > 0
        true = block.counts[np.ix_(kinds, leaves)].astype(np.float64)
        equations = _equations(block, hidden, kinds, leaves)
        exact = np.concatenate([np.unique(equations, axis=0), _in_all(true.shape)])
        listed = [place for (name, group), place in block.places.items() if Cell(name, group) in hidden]
        some = [_held(np.ones(len(kinds), dtype=bool), place, kinds, leaves) for place in listed]
        spare = [float(block.counts[:, place].sum()) - 1 for place in listed]
        constraint = LinearConstraint(
            sparse.csr_array(np.concatenate([exact, *(row[None] for row in some)])),
            np.concatenate([np.zeros(len(exact)), -np.array(spare)]),
            np.concatenate([np.zeros(len(exact)), np.full(len(spare), np.inf)]),
        )
        most = np.repeat(true.sum(axis=1), true.shape[1])
        return cls(kinds, leaves, constraint, Bounds(-true.ravel(), most - true.ravel()))

    def row(self, kinds: Bools, place: Bools) -> Floats:
        """Coefficients of a number of images."""
        return _held(kinds, place, self.kinds, self.leaves)

    def solved(self, row: Floats, parts: int, *, whole: bool) -> Floats | None:
        """Differences that make a number large, in one of several equal parts of the room; None where cut short."""
        inner = self.constraint
        found = milp(
            -row,
            constraints=LinearConstraint(inner.A, inner.lb / parts, inner.ub / parts),
            integrality=np.full(len(row), int(whole)),
            bounds=Bounds(self.bounds.lb / parts, self.bounds.ub / parts),
            options={"node_limit": _NODES, "mip_rel_gap": _GAP, "time_limit": _PATIENCE},
        )
        return None if found.x is None else np.asarray(found.x, dtype=np.float64)

    def allows(self, change: Floats) -> bool:
        """Whether the published counts allow these differences, exactly."""
        inner, sums = self.constraint, self.constraint.A @ change
        held = (inner.lb <= sums).all() and (sums <= inner.ub).all()
        return bool(held and (self.bounds.lb <= change).all() and (change <= self.bounds.ub).all())


def _held(counted: Bools, place: Bools, kinds: Bools, leaves: Bools) -> Floats:
    return np.outer(counted[kinds], place[leaves]).ravel().astype(np.float64)


def _equations(block: Block, hidden: Collection[Cell], kinds: Bools, leaves: Bools) -> Floats:
    """Coefficients of every number that is published of a cell that is not suppressed."""
    rows = [np.zeros(int(kinds.sum() * leaves.sum()))]
    for label in (None, *block.labels):
        counted = list(block.counted(label))
        for (name, group), place in block.places.items():
            if place[leaves].any() and Cell(name, group, label) not in hidden:
                rows += [_held(one, place, kinds, leaves) for one in counted]
    return np.stack(rows)


def _in_all(shape: tuple[int, int]) -> Floats:
    """Coefficients of the number of images of each kind in all."""
    return np.asarray(np.kron(np.eye(shape[0]), np.ones(shape[1])), dtype=np.float64)
