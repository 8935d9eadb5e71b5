"""Text for a PDF: which fonts there are, which characters they have, how the others are written, where lines break.

A PDF/A file may show no character that its fonts lack, so such characters are written as code points: two names
that differ stay different, and nothing is dropped in silence.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from reports.format import clean

__all__ = ["BREAK", "CHINESE_FONT", "Fonts", "Typesetter", "breakable", "find_fonts", "fitted", "width"]

BREAK = "\u200b"
"""Zero-width space: the template turns it into a place where a line may break and which is not copied with the text."""

CHINESE_FONT = "noto_cjk_sans_otc"
"""Package that brings a font for Chinese, Japanese and Korean."""

_FAMILIES = {
    "DejaVu Sans": ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf"),
    "DejaVu Sans Mono": ("DejaVuSansMono.ttf", "DejaVuSansMono-Bold.ttf"),
}
_CHINESE = ("Noto Sans CJK SC", "NotoSansCJK-Regular.ttc")
_STEP = 6
# Spaces at which a line may break become one plain space; those at which it may not, such as U+00A0, stay.
_SPACES = re.compile("[\t-\r\x1c-\x20\x85\u1680\u2000-\u2006\u2008-\u200a\u2028\u2029\u205f\u3000]+")
_PLAIN = re.compile("[\t\n\x20-\x7e]*")
# Chinese text breaks by itself, at the right places.
_CHINESE_RUN = re.compile("([\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]+)")
_PUNCTUATION = frozenset(";:=/_.,|&?@\\-")
# Never drawn, whatever a font says: controls, private use, unassigned, what turns text around, what nobody can see.
_NEVER = {"Cc", "Cf", "Co", "Cs", "Cn"}
_UNSEEN = frozenset({0x034F, 0x115F, 0x1160, 0x3164, 0xFFA0, 0xFFFC})
_JOINERS = frozenset({0x200C, 0x200D})
_JOINER = re.compile("[\u200c\u200d]")
_JOINING = _JOINERS | frozenset(range(0xFE00, 0xFE10))


@dataclass(frozen=True)
class Fonts:
    """Fonts that a PDF is set in.

    Attributes
    ----------
    families : tuple of str
        In the order in which they are tried; the second is for code.
    folders : tuple of Path
        Where their files are. Fonts of the system are not used: they differ from one machine to the next.
    characters : tuple of frozenset of int
        Code points of each family, whether upright or bold.
    chinese : bool
        Whether one of them has Chinese characters.
    """

    families: tuple[str, ...]
    folders: tuple[Path, ...]
    characters: tuple[frozenset[int], ...]
    chinese: bool


@lru_cache(maxsize=1)
def find_fonts() -> Fonts:
    """DejaVu, which comes with matplotlib, and Noto Sans CJK where the package `noto-cjk-sans-otc` is installed."""
    import matplotlib as mpl

    folder = Path(mpl.get_data_path()) / "fonts" / "ttf"
    found = {name: [folder / file for file in files] for name, files in _FAMILIES.items()}
    spec = find_spec(CHINESE_FONT)
    places = [Path(place) for place in (spec.submodule_search_locations or ())] if spec is not None else []
    chinese = [place / _CHINESE[1] for place in places if (place / _CHINESE[1]).is_file()][:1]
    if chinese:
        found[_CHINESE[0]] = chinese
    folders = tuple(dict.fromkeys(file.parent for files in found.values() for file in files))
    characters = tuple(frozenset.intersection(*map(_characters, files)) for files in found.values())
    return Fonts(tuple(found), folders, characters, bool(chinese))


def _characters(file: Path) -> frozenset[int]:
    from fontTools.ttLib import TTFont  # type: ignore[import-untyped]

    with TTFont(file, fontNumber=0, lazy=True) as font:
        return frozenset(font.getBestCmap())


@dataclass
class Typesetter:
    """Makes text ready for typst and remembers what the fonts lack.

    Attributes
    ----------
    fonts : Fonts
    missing : set of int
        Code points that were written as numbers so far.
    """

    fonts: Fonts
    missing: set[int] = field(default_factory=set)

    def line(self, text: str) -> str:
        """Text without line breaks, every character one that the fonts have or that is written as a code point."""
        return self._spelt(_SPACES.sub(" ", clean(text)).strip())

    def words(self, text: str, limit: int = 28) -> str:
        """The same, with places to break words of more than `limit` characters."""
        return " ".join(breakable(word, limit) for word in self.line(text).split(" "))

    def code(self, text: str, limit: int = 56) -> str:
        """Text that keeps its lines and indents; lines without spaces get places to break."""
        rows = clean(text).expandtabs(4).splitlines()
        spelt = (self._spelt(row, first=1) for row in rows)
        return "\n".join("".join(breakable(part, limit) for part in re.split(r"( +)", row)) for row in spelt)

    def shapes(self, svg: str) -> str:
        """A drawing, whose labels hold no character that the fonts lack and no joiner, which typst loses there."""
        return _JOINER.sub(lambda found: _named([ord(found[0])]), self._spelt(svg))

    def _spelt(self, text: str, first: int = 0) -> str:
        if _PLAIN.fullmatch(text):
            return text
        pieces: list[str] = []
        run: list[int] = []
        for cluster in _clusters(unicodedata.normalize("NFC", text)):
            drawn = self._drawn(cluster, first)
            if drawn:
                pieces += [_named(run), cluster[:drawn]]
                run = []
            run += map(ord, cluster[drawn:])
        pieces.append(_named(run))
        return "".join(pieces)

    def _drawn(self, cluster: str, first: int) -> int:
        """How many of a character and its marks are drawn; the others are remembered.

        Marks are drawn where the font that is tried first has them and their character: typst may lose a character
        whose marks come from another font.
        """
        own = self.fonts.characters[first]
        if all(_visible(sign) and ord(sign) in own for sign in cluster):
            return len(cluster)
        drawn = int(_visible(cluster[0]) and (cluster[0] in "\n\t" or self._somewhere(cluster[0])))
        self.missing.update(ord(sign) for sign in cluster[drawn:] if ord(sign) not in _JOINING)
        return drawn

    def _somewhere(self, sign: str) -> bool:
        return any(ord(sign) in characters for characters in self.fonts.characters)


def _clusters(text: str) -> Iterator[str]:
    """Characters, each with the marks and joiners that follow it."""
    start = 0
    for place in range(1, len(text) + 1):
        if place == len(text) or not (unicodedata.category(text[place])[0] == "M" or ord(text[place]) in _JOINING):
            yield text[start:place]
            start = place


def _visible(sign: str) -> bool:
    if sign in "\n\t" or ord(sign) in _JOINERS:
        return True
    return unicodedata.category(sign) not in _NEVER and ord(sign) not in _UNSEEN


def _named(run: list[int]) -> str:
    """Code points in angle brackets, such as ``⟨U+1F680⟩``."""
    return f"⟨{' '.join(f'U+{code:04X}' for code in run)}⟩" if run else ""


def breakable(word: str, limit: int) -> str:
    """Mark where a long word may break: after its punctuation, and every few characters where it has none.

    Chinese is left alone: typst knows where it breaks.
    """
    return "".join(part if _CHINESE_RUN.match(part) else _broken(part, limit) for part in _CHINESE_RUN.split(word))


def _broken(word: str, limit: int) -> str:
    if width(word) <= limit:
        return word
    parts: list[str] = []
    for part in _pieces(word):
        step = _STEP if width("".join(part)) > limit else len(part)
        parts += ["".join(part[place : place + step]) for place in range(0, len(part), step)]
    return BREAK.join(parts)


def _pieces(word: str) -> Iterator[list[str]]:
    """Characters with their marks, cut after punctuation."""
    piece: list[str] = []
    for cluster in _clusters(word):
        if piece and piece[-1] in _PUNCTUATION and cluster not in _PUNCTUATION:
            yield piece
            piece = []
        piece.append(cluster)
    yield piece


def width(text: str) -> float:
    """Width of a text in characters of usual width; capitals and Chinese characters are wider."""
    return sum(map(_width, text))


@lru_cache(maxsize=4096)
def _width(sign: str) -> float:
    if unicodedata.east_asian_width(sign) in "WF" or sign in "MW@%—…":
        return 1.75
    if sign in "<>=+~^#&":
        return 1.4
    return 1.2 if sign.isupper() else 1.0


def fitted(text: str, limit: float) -> str:
    """A name of at most this width, cut in the middle so that both ends can be told apart."""
    if width(text) <= limit:
        return text
    kept = len(text)
    while kept > 1 and width(_cut(text, kept)) > limit:
        kept -= 1
    return _cut(text, kept)


def _cut(text: str, kept: int) -> str:
    tail = kept // 3
    return f"{text[: kept - tail]}…{text[len(text) - tail :]}"
