"""Figures as data: what is shown and how it is described, without drawing any of it.

`reports.svg` draws them for documents, the dashboard draws the same with Plotly.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

__all__ = ["Curve", "CurvesFigure", "Figure", "ForestFigure", "ForestRow", "MapTile"]


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
        lines = []
        for row in self.rows:
            if row.value is None:
                lines.append(f"{row.label}: {row.status}")
                continue
            text = f"{row.label}: {row.value:.3f}"
            if row.low is not None and row.high is not None:
                text += f", interval {row.low:.3f} to {row.high:.3f}"
            lines.append(text + (f", n {row.n}" if row.n is not None else ""))
        line = f" Reference line, {self.reference_label}: {self.reference:.3f}." if self.reference is not None else ""
        return f"{self.axis}. {'; '.join(lines)}.{line}"


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
                parts.append(f"{curve.name} from {found[0]:.3f} to {found[-1]:.3f}, least {min(found):.3f}")
        return f"{self.axis} over {len(self.epochs)} epochs: {'; '.join(parts)}."


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
        Layer, or the reason why there is no map.
    """

    method: str
    uri: str | None
    alternative: str
    caption: str = field(default="")


Figure: TypeAlias = ForestFigure | CurvesFigure
