"""Sentences about one image that name another: how they begin, and how the name leaves them when it is erased."""

from __future__ import annotations

from collections.abc import Collection

__all__ = ["LIKE", "SAME", "TAKEN", "unnamed"]

SAME, LIKE, TAKEN = "the same file as ", "looks like ", "from "
_ERASED = "an image that was erased"
_GOES_ON = (" (", "; the")  # what may follow the name


def unnamed(text: object, gone: Collection[str]) -> object:
    """The sentence without the name of an erased image; anything else as it is.

    Parameters
    ----------
    text : object
        A cell of a column ``detail``.
    gone : collection of str
        Ids of erased images.
    """
    if not isinstance(text, str):
        return text
    for opening in (SAME, LIKE, TAKEN):
        rest = text.removeprefix(opening)
        for name in gone if rest != text else ():
            after = rest.removeprefix(name)
            if rest == name or (after != rest and after.startswith(_GOES_ON)):
                return f"{opening}{_ERASED}{after if rest != name else ''}"
    return text
