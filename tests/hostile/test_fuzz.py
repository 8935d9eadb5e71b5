"""Ten thousand damaged files: none crashes or hangs, and each has a named outcome."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import get_args

import pytest

from audit.config import DataConfig, Preprocessing
from audit.data.images import decode
from audit.data.manifest import load_dataset
from audit.data.stores import Status
from audit.errors import DataError
from tests.hostile import images, manifests

IMAGES, MANIFESTS = 9000, 1000
LONGEST = 10.0


def damaged(draw: random.Random, content: bytes) -> bytes:
    """Flip, drop, double or exchange some bytes."""
    result = bytearray(content)
    for _ in range(draw.choice([1, 1, 2, 4, 16])):
        place, length = draw.randrange(len(result) + 1), draw.choice([1, 1, 2, 4, 30])
        match draw.randrange(5):
            case 0 if result:
                result[min(place, len(result) - 1)] ^= 1 << draw.randrange(8)
            case 1:
                result[place : place + length] = draw.randbytes(length)
            case 2:
                del result[place : place + length]
            case 3:
                result[place:place] = result[place : place + length]
            case _:
                result[place : place + 4] = draw.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"])
    return bytes(result)


@pytest.mark.filterwarnings("ignore")  # Pillow's remarks on damaged metadata
def test_damaged_images(tmp_path: Path) -> None:
    draw = random.Random(11)  # noqa: S311 - a draw, no secret
    whole = [case.make for case in images.cases() if isinstance(case.make, bytes) and 0 < len(case.make) < 20_000]
    path, seen = tmp_path / "image", set()
    for number in range(IMAGES):
        path.write_bytes(damaged(draw, draw.choice(whole)))
        started = time.monotonic()
        found = decode(tmp_path, "image", Preprocessing(size=(8, 8)), images.MOST_PIXELS)
        assert time.monotonic() - started < LONGEST, f"number {number}"
        assert found.status in get_args(Status)
        assert (found.array is not None) == (found.status == "ok")
        seen.add(found.status)
    assert {"ok", "unreadable", "unsupported", "too_large"} <= seen


def test_damaged_manifests(tmp_path: Path) -> None:
    draw = random.Random(12)  # noqa: S311 - a draw, no secret
    whole = [case for case in manifests.cases() if 0 < len(case.content) < 20_000]
    refused = 0
    for number in range(MANIFESTS):
        case = draw.choice(whole)
        name = f"damaged{Path(case.name).suffix}"
        (tmp_path / name).write_bytes(damaged(draw, case.content))
        config = DataConfig.model_validate({"manifest": name, "image": "image", "label": "label", "groups": ["group"]})
        started = time.monotonic()
        try:
            load_dataset(config, tmp_path)
        except DataError:
            refused += 1
        assert time.monotonic() - started < LONGEST, f"number {number}"
    assert 0 < refused < MANIFESTS
