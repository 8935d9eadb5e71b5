"""Makes matplotlib's SVG short: a report of many figures is half of what it would be."""

from __future__ import annotations

import re

__all__ = ["shortened"]


def shortened(body: str) -> str:
    """Write a drawing in fewer characters.

    Parameters
    ----------
    body : str
        What stands in an SVG element of matplotlib's.

    Returns
    -------
    str
        The same drawing: numbers with two decimals, no id that nothing refers to, no group that says nothing, no font
        of its own.
    """
    used = set(re.findall(r'(?:url\(|href=")#([^")]+)', body))

    def tag(found: re.Match[str]) -> str:
        text = re.sub(r' transform="rotate\(-0 [^"]*"| ?\n', "", found[0])
        text = re.sub(r"(text-anchor: start|stroke-dashoffset: 0);? ?|(?<=[:;]) ", "", text)
        text = re.sub(r' id="([^"]+)"', lambda name: name[0] if name[1] in used else "", text)
        return re.sub(r"-?\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), text)

    short = re.sub(r">\s+<", "><", re.sub(r"<[^>]+>", tag, body))
    return _ungrouped(re.sub(r"<g/>|font-family:'DejaVu Sans';?", "", short))


def _ungrouped(body: str) -> str:
    """Without groups that say nothing of what is in them."""
    kept: list[bool] = []
    pieces = []
    for piece in re.split(r"(</?g\b[^>]*>)", body):
        if piece.startswith("<g") and not piece.endswith("/>"):
            kept.append(piece != "<g>")
        if not piece.startswith(("<g", "</g")) or (kept.pop() if piece == "</g>" else kept[-1]):
            pieces.append(piece)
    return "".join(pieces)
