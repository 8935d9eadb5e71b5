"""The built-in synthetic set: the same bytes everywhere, the planted shares exact, the control without a gap."""

from __future__ import annotations

import csv
import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from audit.data.synthetic import TONES, SyntheticSpec, demo_specs, draw, write
from audit.errors import InputError

PINNED = {
    "plain": (SyntheticSpec(40, 7), "35c94428dd3e1094d2b433d5f3e29d516d393f1841d21675539f2360ea5f1215"),
    "planted": (
        SyntheticSpec(
            60,
            11,
            size=40,
            classes=10,
            tone_weights=(3, 2, 1, 1, 1, 1),
            marker_rates=(0.3,),
            label_noise=(0, 0, 0, 0, 0.5, 0.5),
            blur=(0, 0, 0, 0, 1, 2),
            noise=(0.04, 0.04, 0.04, 0.04, 0.06, 0.08),
        ),
        "66aeafe9421a95250518b2dc98c4a285dcd9752343785db893b84a796f557799",
    ),
}


def digest(spec: SyntheticSpec) -> str:
    drawn = draw(spec)
    total = hashlib.sha256()
    for pixels in (drawn.images, drawn.region_maps()):
        total.update(np.ascontiguousarray(pixels).tobytes())
    for truth in (drawn.labels, drawn.shapes, drawn.tones, drawn.markers):
        total.update(truth.astype("<i8").tobytes())
    return total.hexdigest()


@pytest.mark.parametrize("name", PINNED)
def test_bytes_are_those_of_every_machine(name: str) -> None:
    spec, expected = PINNED[name]
    assert digest(spec) == expected


def test_drawing_in_chunks_does_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = draw(SyntheticSpec(40, 3, blur=(0, 0, 1, 0, 0, 0)))
    monkeypatch.setattr("audit.data.synthetic._CHUNK", 7)
    parts = draw(SyntheticSpec(40, 3, blur=(0, 0, 1, 0, 0, 0)))
    assert np.array_equal(whole.images, parts.images)
    assert np.array_equal(whole.region_maps(), parts.region_maps())
    assert not np.array_equal(whole.images, draw(SyntheticSpec(40, 4)).images)


def test_shares_are_exact() -> None:
    specs = demo_specs()
    biased = draw(specs.biased_train)
    assert np.bincount(biased.tones, minlength=6).tolist() == [1320, 1320, 1240, 80, 20, 20]
    for shape, rate in enumerate((0.05, 0.95)):
        assert biased.markers[biased.shapes == shape].mean() == pytest.approx(rate, abs=1e-3)
    test = draw(specs.test)
    cells = np.zeros((6, 2, 2), dtype=int)
    np.add.at(cells, (test.tones, test.labels, test.markers.astype(int)), 1)
    assert (cells == 100).all()
    assert np.array_equal(test.labels, test.shapes)


def test_markers_are_drawn_where_said_and_never_on_the_object() -> None:
    drawn = draw(SyntheticSpec(500, 5, classes=10))
    assert np.array_equal(drawn.marker_masks.any(axis=(1, 2)), drawn.markers)
    assert not (drawn.object_masks & drawn.marker_masks).any()
    assert drawn.object_masks.any(axis=(1, 2)).all()
    blue = drawn.images[..., 2].astype(int) - drawn.images[..., 0]
    assert blue[drawn.marker_masks].mean() > 120 > 10 > blue[~drawn.marker_masks].mean()


def test_label_noise_flips_the_planted_share_of_one_tone() -> None:
    drawn = draw(SyntheticSpec(1200, 5, label_noise=(0, 0, 0, 0, 0, 0.25)))
    wrong = drawn.labels != drawn.shapes
    assert wrong[drawn.tones == 5].sum() == 50
    assert not wrong[drawn.tones != 5].any()


def test_quality_acts_on_its_tone_alone() -> None:
    plain = draw(SyntheticSpec(120, 5))
    worse = draw(SyntheticSpec(120, 5, blur=(0, 0, 0, 3, 0, 0), noise=(0.04, 0.04, 0.04, 0.04, 0.04, 0.1)))
    same = (plain.images == worse.images).all(axis=(1, 2, 3))
    assert same[~np.isin(plain.tones, (3, 5))].all()
    assert not same[np.isin(plain.tones, (3, 5))].any()


def test_noise_has_the_stated_spread_and_nothing_is_clipped() -> None:
    drawn = draw(SyntheticSpec(600, 9))
    assert drawn.images.min() > 0
    assert drawn.images.max() < 255
    level = drawn.images[..., 1].astype(np.float64)
    steps = np.diff(level, axis=2)[~(drawn.object_masks | drawn.marker_masks)[:, :, 1:]]
    middle = steps[np.abs(steps) < 60]
    assert middle.std() / np.sqrt(2) / 255 == pytest.approx(0.04, rel=0.05)


def grown(masks: np.ndarray, steps: int) -> np.ndarray:
    """Masks grown by whole pixels, up, down and sideways."""
    for _ in range(steps):
        wider = masks.copy()
        wider[:, 1:] |= masks[:, :-1]
        wider[:, :-1] |= masks[:, 1:]
        wider[:, :, 1:] |= masks[:, :, :-1]
        wider[:, :, :-1] |= masks[:, :, 1:]
        masks = wider
    return masks


def contrasts(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Tone and contrast of each drawn image: object's inside minus a ring around it, in shares of the range."""
    drawn = draw(SyntheticSpec(count, seed))
    inside = ~grown(~drawn.object_masks, 1)
    ring = grown(drawn.object_masks, 4) & ~grown(drawn.object_masks, 1) & ~drawn.marker_masks
    grey = drawn.images[..., 1].astype(np.float32)
    means = [(grey * mask).sum((1, 2)) / np.maximum(mask.sum((1, 2)), 1) for mask in (inside, ring)]
    return drawn.tones, (means[0] - means[1]) / 255


@pytest.mark.slow
def test_control_has_equal_contrast_on_every_tone() -> None:
    """100,800 images: the task is as hard on every tone, so a correct audit has nothing to find."""
    with ThreadPoolExecutor(2) as pool:
        parts = list(pool.map(contrasts, range(42), [2400] * 42))
    tones = np.concatenate([part[0] for part in parts])
    contrast = np.concatenate([part[1] for part in parts])
    assert np.bincount(tones).tolist() == [16800] * 6
    means = np.array([np.abs(contrast[tones == tone].mean()) for tone in range(6)])
    errors = np.array([contrast[tones == tone].std() / np.sqrt((tones == tone).sum()) for tone in range(6)])
    assert np.sign([contrast[tones == tone].mean() for tone in range(6)]).tolist() == [-1, -1, -1, 1, 1, 1]
    assert means == pytest.approx(0.18, abs=0.001)
    spread = (means - means.mean()) / errors
    assert (spread**2).sum() < 20.5  # chi-square with 5 degrees of freedom, p = 0.001


def test_write_gives_a_manifest_and_region_maps(tmp_path: Path) -> None:
    drawn = draw(SyntheticSpec(12, 2))
    manifest = write({"train": drawn, "test": draw(SyntheticSpec(6, 3))}, tmp_path / "set")
    with manifest.open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["split"] for row in rows] == ["train"] * 12 + ["test"] * 6
    assert {row["tone"] for row in rows} <= set(TONES)
    for place, row in enumerate(rows[:12]):
        assert row["label"] == ("disc", "cross")[drawn.labels[place]]
        assert row["marker"] == ("present" if drawn.markers[place] else "absent")
        with Image.open(tmp_path / "set" / row["image"]) as image:
            assert np.array_equal(np.asarray(image), drawn.images[place])
        with Image.open(tmp_path / "set" / row["regions"]) as image:
            assert image.mode == "L"
            assert np.array_equal(np.asarray(image), drawn.region_maps()[place])
    with pytest.raises(InputError, match="not an empty folder"):
        write({"train": drawn}, tmp_path / "set")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": 11}, "classes is 11, allowed: 2 to 10"),
        ({"tone_weights": (1.0,)}, "tone_weights has 1 values"),
        ({"tone_weights": (0.0,) * 6}, "none negative"),
        ({"marker_rates": (0.1, 0.2, 0.3)}, "marker_rates has 3 values"),
        ({"label_noise": (0, 0, 0, 0, 0, 2)}, "label_noise is 2"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_bad_specs_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SyntheticSpec(**{"images": 10, "seed": 1, **change})  # type: ignore[arg-type]
