"""Formatting, palette, maps and figures, each by hand-derived values."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from reports import format as say
from reports.figures import Curve, CurvesFigure, ForestFigure, ForestRow
from reports.maps import DIVERGING, UNSIGNED, colours, data_uri, map_uri, normalise, picture_uri, render_map, resize
from reports.palette import DARK, LIGHT, VERDICTS, verdict_style
from reports.sections.tables import interval_name
from reports.svg import draw
from tests.derived_run import build_derived


@pytest.mark.parametrize(
    ("given", "written"),
    [
        (say.rate(0.73449), "0.734"),
        (say.rate(None), "–"),
        (say.rate(pd.NA), "–"),
        (say.interval(0.589, 0.8514), "[0.589, 0.851]"),
        (say.decimal(0.0125), "0.013"),
        (say.decimal(-3.14e-7), "-3.1e-07"),
        (say.decimal(0), "0.000"),
        (say.decimal(None), "–"),
        (say.decimals(0.0001, 0.25), "[1.0e-04, 0.250]"),
        (say.decimals(0.1, None), "–"),
        (say.p_words(0.0004), "p < 0.001"),
        (say.p_words(0.25), "p = 0.250"),
        (say.interval(0.5, None), "–"),
        (say.p_value(0.0004), "< 0.001"),
        (say.p_value(0.0104), "0.010"),
        (say.count(1234567), "1 234 567"),
        (say.scientific(3.14e-7), "3.1e-07"),
        (say.share(1, 3), "33.3 %"),
        (say.share(0, 0), "–"),
        (say.short("abcdefghij", 7), "abcd…ij"),
        (say.clean("a\x00b\u202ec\ud800"), "a�b�c�"),
        (say.metric_words("true_positive_rate", "cross"), "true positive rate, cross"),
        (say.metric_words("auc", None), "AUC"),
    ],
)
def test_numbers_and_names(given: str, written: str) -> None:
    assert given == written


def test_a_rate_in_full() -> None:
    row = {"value": 0.734, "low": 0.589, "high": 0.851, "n": 49, "status": "ok"}
    assert say.rate_with_interval(row) == "0.734 [0.589, 0.851], n=49"
    assert say.rate_with_interval({"value": None, "status": "undefined"}) == "undefined: no images to divide by"


def _contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_verdicts_can_be_told_apart_without_colour_and_read() -> None:
    assert len({style.symbol for style in VERDICTS.values()}) == len(VERDICTS) == 6
    assert len({style.word for style in VERDICTS.values()}) == 6
    for style in VERDICTS.values():
        assert _contrast(style.light, style.light_fill) >= 4.5
        assert _contrast(style.dark, style.dark_fill) >= 4.5


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_text_has_contrast(theme: object) -> None:
    for role in ("ink", "muted", "accent", "second", "third"):
        for ground in ("page", "surface", "raised"):
            assert _contrast(getattr(theme, role), getattr(theme, ground)) >= 4.5, (role, ground)


def test_an_unknown_verdict_keeps_its_word() -> None:
    assert verdict_style("odd").word == "odd"


def test_normalisation_by_the_largest_absolute_value() -> None:
    values = np.array([[-4.0, 1.0], [2.0, np.nan]])
    np.testing.assert_allclose(normalise(values, signed=True), [[-1, 0.25], [0.5, 0]])
    np.testing.assert_allclose(normalise(values, signed=False), [[0, 0.5], [1, 0]])
    np.testing.assert_array_equal(normalise(np.zeros((2, 2)), signed=True), np.zeros((2, 2)))


def test_scales_reach_their_ends_and_are_white_in_the_middle() -> None:
    table = colours(UNSIGNED)
    assert table.shape == (256, 3)
    assert "".join(f"{c:02x}" for c in table[0]) == UNSIGNED[0][1:]
    assert "".join(f"{c:02x}" for c in table[-1]) == UNSIGNED[-1][1:]
    signed = render_map(np.array([[-1.0, 0.0, 1.0]]), signed=True)
    assert "".join(f"{c:02x}" for c in signed[0, 0]) == DIVERGING[0][1:]
    assert signed[0, 1].min() >= 244
    assert "".join(f"{c:02x}" for c in signed[0, 2]) == DIVERGING[-1][1:]


def test_the_unsigned_scale_grows_lighter() -> None:
    light = colours(UNSIGNED) @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(light) > -0.6).all()


def test_enlarging_uses_half_pixel_centres() -> None:
    values = np.array([[0.0, 1.0]], np.float32)
    np.testing.assert_allclose(resize(values, 1, 4)[0], [0, 0.25, 0.75, 1], atol=1e-6)
    grid = np.arange(4, dtype=np.float32).reshape(2, 2)
    larger = resize(grid, 4, 4)
    np.testing.assert_allclose(larger[:, 0], [0, 0.5, 1.5, 2], atol=1e-6)
    np.testing.assert_allclose(larger.mean(), grid.mean(), atol=1e-6)


def test_shrinking_averages() -> None:
    values = np.array([[0.0, 2.0], [4.0, 6.0]], np.float32)
    np.testing.assert_allclose(resize(values, 1, 1), [[3.0]])


def test_data_uris_are_small_pictures() -> None:
    small = data_uri(render_map(np.random.default_rng(0).random((48, 48)), signed=False))
    assert small.startswith("data:image/png;base64,")
    large = map_uri(np.random.default_rng(0).random((224, 224)), signed=False)
    assert large.startswith("data:image/jpeg;base64,")
    with Image.open(io.BytesIO(base64.b64decode(large.split(",")[1]))) as opened:
        assert opened.size == (96, 96)
    assert len(large) < 20_000


def test_a_map_is_laid_over_its_image() -> None:
    under = np.full((96, 96, 3), 200, np.uint8)
    picture = render_map(np.zeros((6, 6)), signed=False, size=(96, 96), under=under)
    assert picture.shape == (96, 96, 3)
    assert picture.min() > 100


def test_a_broken_thumbnail_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"no image")
    assert picture_uri(path) is None


FOREST = ForestFigure(
    "Accuracy of <b>m</b>",
    "accuracy",
    (
        ForestRow("Everybody", 100, 90, 0.8, 0.7, 0.9, emphasis="whole"),
        ForestRow("$x_1$ & #010101", 20, 20, 0.5, 0.3, 0.7, emphasis="worst"),
        ForestRow("漢字 " + "y" * 300, 2, 2, 1.0, None, None, "too few clusters"),
        ForestRow("none", 0, 0, None, None, None, "undefined: no images to divide by"),
    ),
    reference=0.8,
    reference_label="everybody",
)


def test_drawing_is_deterministic_and_self_contained() -> None:
    drawn = draw(FOREST, "f1")
    assert drawn == draw(FOREST, "f1")
    assert drawn.startswith('<svg role="img" aria-labelledby="f1-title" aria-describedby="f1-desc"')
    assert "http" not in drawn
    assert "<style" not in drawn
    assert "<b>" not in drawn
    assert "$x_1$ &amp; #010101" in drawn
    assert not re.findall(r'"#[0-9]|: #0[0-9]', drawn)
    assert all(found.startswith("f1-") for found in re.findall(r'\bid="([^"]+)"', drawn))


def test_a_figure_in_words() -> None:
    assert "Everybody: 0.800, interval 0.700 to 0.900, n 100" in FOREST.description
    assert "none: undefined: no images to divide by" in FOREST.description


def test_curves_with_gaps_are_drawn() -> None:
    curves = (Curve("training", (1.0, None, 0.2)), Curve("validation", (None, None, None), dashed=True))
    drawn = draw(CurvesFigure("t", "loss", (1, 2, 3), curves, 3, "least validation loss"), "c")
    assert "training" in drawn
    assert ">validation<" not in drawn


def test_every_interval_method_of_a_run_has_a_written_name(tmp_path: Path) -> None:
    run = build_derived(tmp_path / "run")
    tables = ("groups", "gaps", "paired")
    methods = {str(name) for table in tables for name in run.table(table)["method"].dropna()}
    assert {"clopper_pearson", "t_clusters", "exact_pairs"} <= methods
    assert [name for name in methods - {"none"} if interval_name(name) == name.replace("_", " ") != name] == []
