"""Whether readers who see few colours can tell groups, classes and verdicts apart.

Colours are turned into what protanopes and deuteranopes see (Machado, Oliveira and Fernandes 2009, severity 1) and
compared by CIEDE2000 (Sharma, Wu and Dalal 2005, whose test values stand below). Where two stay close, shape must differ.
"""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from dashboard.line_plots import _DASHES
from dashboard.theme import BADGE_COLOURS, theme_options
from reports.palette import DARK, GROUP_COLOURS, GROUP_SHAPES, LIGHT, LINE_COLOURS, STAMPS, VERDICTS

Floats = npt.NDArray[np.float64]

SEEN = {
    "all colours": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
APART = 8.0
"""CIEDE2000 from which two marks of a chart are told apart; the least that eyes see side by side is about 1."""


def linear(colour: str) -> Floats:
    values = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(light: Floats) -> Floats:
    """CIELAB under D65 of linear sRGB."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = (to_xyz @ np.clip(light, 0, 1)) / np.array([0.95047, 1.0, 1.08883])
    root = [np.cbrt(v) if v > (6 / 29) ** 3 else v / (3 * (6 / 29) ** 2) + 4 / 29 for v in (x, y, z)]
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


def ciede2000(first: Floats, second: Floats) -> float:
    (l1, a1, b1), (l2, a2, b2) = first, second
    mean = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    grown = 1 + (1 - np.sqrt(mean**7 / (mean**7 + 25.0**7))) / 2
    c1, c2 = np.hypot(a1 * grown, b1), np.hypot(a2 * grown, b2)
    h1, h2 = (np.degrees(np.arctan2(b, a * grown)) % 360 for a, b in ((a1, b1), (a2, b2)))
    turn = 0.0 if c1 * c2 == 0 else (h2 - h1 + 180) % 360 - 180
    hue = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2))
    light, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    middle = h1 + h2 if c1 * c2 == 0 else (h1 + turn / 2) % 360
    weight = 1 - 0.17 * np.cos(np.radians(middle - 30)) + 0.24 * np.cos(np.radians(2 * middle))
    weight += 0.32 * np.cos(np.radians(3 * middle + 6)) - 0.20 * np.cos(np.radians(4 * middle - 63))
    s_l = 1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2)
    s_c, s_h = 1 + 0.045 * chroma, 1 + 0.015 * chroma * weight
    tilt = (
        -2 * np.sqrt(chroma**7 / (chroma**7 + 25.0**7)) * np.sin(np.radians(60 * np.exp(-(((middle - 275) / 25) ** 2))))
    )
    parts = ((l2 - l1) / s_l, (c2 - c1) / s_c, hue / s_h)
    return float(np.sqrt(sum(part**2 for part in parts) + tilt * parts[1] * parts[2]))


def apart(first: str, second: str, eyes: str) -> float:
    seen = [lab(SEEN[eyes] @ linear(colour)) for colour in (first, second)]
    return ciede2000(seen[0], seen[1])


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 0, 0), (50, -1, 2), 2.3669),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((50, 2.5, 0), (50, 3.2592, 0.3350), 1.0000),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_distance_is_that_of_the_published_pairs(
    first: tuple[float, ...], second: tuple[float, ...], wanted: float
) -> None:
    assert ciede2000(np.array(first), np.array(second)) == pytest.approx(wanted, abs=5e-5)


def test_red_and_green_fall_together_for_deuteranopes() -> None:
    assert apart("#d03030", "#6b7a00", "all colours") > 40
    assert apart("#d03030", "#6b7a00", "deuteranopia") < APART


@pytest.mark.parametrize("eyes", SEEN)
@pytest.mark.parametrize("colours", [GROUP_COLOURS, LINE_COLOURS], ids=["groups", "lines"])
def test_any_two_groups_differ_by_colour_or_shape(colours: tuple[str, ...], eyes: str) -> None:
    for first, second in combinations(range(len(colours)), 2):
        told = apart(colours[first], colours[second], eyes) >= APART
        assert told or GROUP_SHAPES[first] != GROUP_SHAPES[second], (first, second)


@pytest.mark.parametrize("eyes", SEEN)
def test_any_two_groups_differ_by_colour_alone(eyes: str) -> None:
    for first, second in combinations(GROUP_COLOURS, 2):
        assert apart(first, second, eyes) >= APART, (first, second)


@pytest.mark.parametrize("eyes", SEEN)
def test_lines_of_one_dash_differ_by_colour(eyes: str) -> None:
    """Lines of many points bear no marker; their dashes begin again before their colours do."""
    for first, second in combinations(range(len(LINE_COLOURS)), 2):
        if first % len(_DASHES) == second % len(_DASHES):
            assert apart(LINE_COLOURS[first], LINE_COLOURS[second], eyes) >= APART, (first, second)


def test_shapes_are_as_many_as_colours() -> None:
    assert len(set(GROUP_SHAPES)) == len(GROUP_SHAPES) == len(GROUP_COLOURS) == len(LINE_COLOURS)


def test_verdicts_and_stamps_differ_by_symbol_and_word() -> None:
    for styles in (VERDICTS, STAMPS):
        assert len({style.symbol for style in styles.values()}) == len(styles)
        assert len({style.word for style in styles.values()}) == len(styles)


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("verdict", VERDICTS)
def test_badges_are_readable(verdict: str, mode: str) -> None:
    options, name = theme_options(), BADGE_COLOURS[verdict]
    ink, fill = (linear(options[f"theme.{mode}.{name}{part}"]) for part in ("TextColor", "BackgroundColor"))
    ratio = sorted((float(np.array([0.2126, 0.7152, 0.0722]) @ colour) + 0.05 for colour in (ink, fill)), reverse=True)
    assert ratio[0] / ratio[1] >= 4.5


def test_charts_take_every_colour_from_the_palette() -> None:
    """One plot template for documents and dashboard: no module that draws has a colour of its own."""
    root = Path(__file__).parents[2] / "dashboard"
    known = {colour.lower() for theme in (LIGHT, DARK) for colour in vars(theme).values()}
    for path in root.rglob("*.py"):
        if path.name == "theme.py":
            continue
        found = re.findall(r"#[0-9a-fA-F]{6}\b", path.read_text(encoding="utf-8"))
        assert not [colour for colour in found if colour.lower() not in known], path
