"""A document that holds every kind of node with a name of one's choice in every place that takes one."""

from __future__ import annotations

from reports.figures import (
    Curve,
    CurvesFigure,
    ForestFigure,
    ForestRow,
    Line,
    LinesFigure,
    MapTile,
    Point,
)
from reports.nodes import (
    Block,
    Bullets,
    Callout,
    Cell,
    Code,
    Column,
    Document,
    FigureBlock,
    FigureRow,
    Finding,
    Findings,
    Folded,
    Gallery,
    GalleryCard,
    GalleryModel,
    KeyValues,
    Legend,
    Panel,
    Paragraph,
    Section,
    SliceCard,
    SliceCards,
    StampLegend,
    Table,
    VerdictCount,
    VerdictCounts,
)

__all__ = ["PICTURE", "blocks", "document"]

PICTURE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
    "rkJggg=="
)


def blocks(name: str) -> tuple[Block, ...]:
    """One block of every kind."""
    forest = ForestFigure(
        name,
        name,
        (
            ForestRow(name, 49, 49, 0.734, 0.589, 0.851, stamp="evidence"),
            ForestRow(name, 0, 0, None, None, None, name),
        ),
        0.5,
        name,
    )
    curves = CurvesFigure(name, name, (1, 2), (Curve(name, (0.5, None)),))
    lines = LinesFigure(name, name, name, (Line(name, (Point(0.1, 0.2, 0.1, 0.3), Point(0.5, 0.6)), 0),))
    tile = MapTile(name, PICTURE, name, name, "evidence")
    nothing = MapTile(name, None, name, name)
    columns = (Column(name), Column(name, numeric=True))
    rows = ((Cell(name, "strong", name, "not_evidence", name), Cell("0.734 [0.589, 0.851], n=49", "muted")),)
    model = GalleryModel(name, name, correct=False, tiles=(tile, nothing))
    return (
        Paragraph(name, "lead"),
        Paragraph(name, "note"),
        Bullets((name,)),
        Callout(name, name, "alarm"),
        KeyValues(((name, name),), name),
        Code(name, f"{name}\n  {name}"),
        Table(name, columns, rows, name, folded=True, source="groups"),
        Table("Empty", columns, ()),
        FigureBlock(forest, name, "inconclusive"),
        FigureRow((FigureBlock(curves, name), FigureBlock(lines)), small=True),
        VerdictCounts((VerdictCount("fail", 2), VerdictCount(name, 1))),
        Findings((Finding(name, "pass", name, (name,), (name,), (name,)), Finding(name, name, name, ()))),
        Legend(name, name),
        StampLegend(),
        Panel(name, (tile, nothing), name, name, signed=True, stamp=name, note=name),
        Gallery(name, (GalleryCard(name, PICTURE, (name,), (model,)), GalleryCard(name, None, (), ()))),
        SliceCards((SliceCard(name, "✕", name, confirmed=True, text=name, pictures=((PICTURE, name),), note=name),)),
        Folded(name, (Paragraph(name), Section("inner", name, (Paragraph(name),)))),
    )


def document(name: str = "tone-1", *, complete: bool = True) -> Document:
    """All of them in one section."""
    return Document(name, name, complete, "" if complete else name, (Section("s", name, blocks(name)),))
