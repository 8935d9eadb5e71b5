"""Figures as data: what is shown and, in the language spoken, how it is described, without drawing any of it.

`reports.svg` draws them for documents, the dashboard draws the same with Plotly.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from reports.language import say
from reports.palette import stamp_word

__all__ = [
    "Curve",
    "CurvesFigure",
    "Figure",
    "ForestFigure",
    "ForestRow",
    "Line",
    "LinesFigure",
    "MapTile",
    "Point",
]


@dataclass(frozen=True)
class ForestRow:
    """One line of a forest plot.

    Attributes
    ----------
    label : str
        Group, as its owner names it.
    n, clusters : int or None
        Size of the value's own denominator.
    value, low, high : float or None
        Value and interval; None where it is undefined or has no interval.
    status : str
        ``ok``, or why there is no value or interval.
    emphasis : {'none', 'worst', 'whole'}
        The group served worst, or the row over everybody.
    mark : float or None
        A second value to compare with on this row alone, such as a region's area.
    stamp : str
        Stamp of the method that the row is about, a key of `palette.STAMPS`; empty where it is about none.
    claim : str
        The row of a table that the numbers come from.
    """

    label: str
    n: int | None
    clusters: int | None
    value: float | None
    low: float | None
    high: float | None
    status: str = "ok"
    emphasis: Literal["none", "worst", "whole"] = "none"
    mark: float | None = None
    stamp: str = ""
    claim: str = ""

    @property
    def spoken(self) -> str:
        """The label, with the stamp in words."""
        if not self.stamp:
            return self.label
        return say("{label} ({stamp})", label=self.label, stamp=stamp_word(self.stamp).lower())


@dataclass(frozen=True)
class ForestFigure:
    """Values with intervals, one below another, against a reference.

    Attributes
    ----------
    title : str
        What and for which model.
    axis : str
        Name of the horizontal axis.
    rows : tuple of ForestRow
        From top to bottom.
    reference : float or None
        Where a vertical line stands.
    reference_label : str
        What that line is.
    mark_label : str
        What the rows' marks are.
    bounds : (float, float)
        Ends of the axis.
    """

    title: str
    axis: str
    rows: tuple[ForestRow, ...]
    reference: float | None = None
    reference_label: str = ""
    mark_label: str = ""
    bounds: tuple[float, float] = (0.0, 1.0)

    @property
    def description(self) -> str:
        """The figure in words, row by row, for those who cannot see it."""
        said = [say("{name}.", name=self.axis), say("{rows}.", rows=say("; ").join(map(_row, self.rows)))]
        if self.reference is not None:
            line = say("Reference line, {what}: {value}.", what=self.reference_label, value=f"{self.reference:.3f}")
            said.append(line)
        return say(" ").join(said)


def _row(row: ForestRow) -> str:
    if row.value is None:
        return say("{name}: {value}", name=row.spoken, value=row.status)
    text = say("{name}: {value}", name=row.spoken, value=f"{row.value:.3f}")
    if row.low is not None and row.high is not None:
        text += say(", interval {low} to {high}", low=f"{row.low:.3f}", high=f"{row.high:.3f}")
    return text + (say(", n {number}", number=row.n) if row.n is not None else "")


@dataclass(frozen=True)
class Curve:
    """One curve: a name and a value an epoch, None where there was none."""

    name: str
    values: tuple[float | None, ...]
    dashed: bool = False


@dataclass(frozen=True)
class CurvesFigure:
    """Curves over epochs, such as training and validation loss.

    Attributes
    ----------
    title, axis : str
        What and for which model; name of the vertical axis.
    epochs : tuple of int
        Horizontal positions.
    curves : tuple of Curve
    marked_epoch : int or None
        An epoch to point out.
    marked_label : str
        What it is.
    """

    title: str
    axis: str
    epochs: tuple[int, ...]
    curves: tuple[Curve, ...]
    marked_epoch: int | None = None
    marked_label: str = ""

    @property
    def description(self) -> str:
        """The curves in words: first, last and smallest value."""
        parts = []
        for curve in self.curves:
            found = [value for value in curve.values if value is not None]
            if found:
                ends = {"first": f"{found[0]:.3f}", "last": f"{found[-1]:.3f}", "least": f"{min(found):.3f}"}
                parts.append(say("{curve} from {first} to {last}, least {least}", curve=curve.name, **ends))
        curves = say("; ").join(parts)
        return say("{axis} over {number} epochs: {curves}.", axis=self.axis, number=len(self.epochs), curves=curves)


@dataclass(frozen=True)
class MapTile:
    """One rendered map, ready to be shown.

    Attributes
    ----------
    method : str
        Explanation method.
    uri : str or None
        ``data:`` address of the picture; None where there is no map.
    alternative : str
        The picture in words.
    caption : str
        Layer, target and score, or the reason why there is no map.
    stamp : str
        Whether the method's maps are evidence on this model, a key of `palette.STAMPS`.
    """

    method: str
    uri: str | None
    alternative: str
    caption: str = field(default="")
    stamp: str = ""


@dataclass(frozen=True)
class Point:
    """One point of a line, with the interval of its value where it has one."""

    x: float
    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None


@dataclass(frozen=True)
class Line:
    """Points from left to right under one name.

    Attributes
    ----------
    name : str
        Of the group, corruption or class.
    points : tuple of Point
    style : int
        Position among the lines of all figures that belong together: colour, dashes and marker follow from it,
        so that a group looks the same everywhere. -1 is everybody.
    """

    name: str
    points: tuple[Point, ...]
    style: int = -1


@dataclass(frozen=True)
class LinesFigure:
    """Values over a scale of numbers, such as observed over promised confidence.

    Attributes
    ----------
    title : str
        What and for which model.
    across, axis : str
        Names of the horizontal and of the vertical axis.
    lines : tuple of Line
        Those without a point are left out.
    diagonal : bool
        Whether a line marks where both axes are equal.
    bounds, heights : (float, float)
        Ends of the horizontal and of the vertical axis.
    ticks : tuple of float
        Places on the horizontal axis that are named; chosen by the renderer where empty.
    small : bool
        Whether it is one of many that stand side by side; its one line is then not named.
    """

    title: str
    across: str
    axis: str
    lines: tuple[Line, ...]
    diagonal: bool = False
    bounds: tuple[float, float] = (0.0, 1.0)
    heights: tuple[float, float] = (0.0, 1.0)
    ticks: tuple[float, ...] = ()
    small: bool = False

    @property
    def description(self) -> str:
        """The lines in words: where each begins and ends, and every point of a short one."""
        parts = []
        for line in self.lines:
            points = line.points if len(line.points) <= _SPOKEN else (line.points[0], line.points[-1])
            spoken = say(", ").join(_spoken(point) for point in points) or say("nothing measured")
            parts.append(say("{name}: {value}", name=line.name, value=spoken))
        return say("{axis} over {across}. {lines}.", axis=self.axis, across=self.across, lines=say("; ").join(parts))


_SPOKEN = 10


def _spoken(point: Point) -> str:
    text = say("{value} at {place}", value=f"{point.value:.3f}", place=f"{point.x:g}")
    if point.low is not None and point.high is not None:
        text += say(" (interval {low} to {high})", low=f"{point.low:.3f}", high=f"{point.high:.3f}")
    return text


Figure: TypeAlias = ForestFigure | CurvesFigure | LinesFigure
