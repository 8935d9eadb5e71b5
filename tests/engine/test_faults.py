"""Kills and faults at every step of a commit and at random: nothing lost, nothing twice, and the same tables."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from audit.run import open_run
from tests.engine.forked import STEPS, Forked
from tests.integration.small import write_audit
from tests.integration.test_run import assert_same_tables

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("FAIRCAM_KILLS", "48"))
"""Random ones; `make kill-test` asks for a thousand."""


@pytest.fixture(scope="module")
def forked() -> Iterator[Forked]:
    with Forked() as process:
        yield process


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, forked: Forked) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    config = write_audit(folder, images=40, explanations__sample=16, execution__shard_size=4)
    assert forked.audit(config, folder / "run") == {"code": 0, "said": "", "commits": 0}
    return folder


@pytest.mark.parametrize("step", [*STEPS, "done"])
@pytest.mark.parametrize("commit", [1, 2, 3, 9, 19, 30])
def test_a_kill_at_a_step_of_a_commit(
    undisturbed: Path, forked: Forked, tmp_path: Path, commit: int, step: str
) -> None:
    config, out = undisturbed / "audit.yaml", tmp_path / "run"
    assert forked.audit(config, out, commit=commit, step=step)["code"] == -9
    assert not (out / "run.json").exists() or not open_run(out).complete
    _resumed(forked, undisturbed, out)


@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("commit", [1, 3, 18, 30])
def test_a_full_disk_or_a_broken_one_ends_with_its_name(
    undisturbed: Path, forked: Forked, tmp_path: Path, commit: int, step: str, error: str
) -> None:
    config, out = undisturbed / "audit.yaml", tmp_path / "run"
    ended = forked.audit(config, out, commit=commit, step=step, error=error)
    assert ended["code"] == 3
    assert {"ENOSPC": "No space left on device", "EIO": "Input/output error"}[error] in ended["said"]
    assert not (out / "run.json").exists() or not open_run(out).complete
    _resumed(forked, undisturbed, out)


def test_kills_at_random(undisturbed: Path, forked: Forked, tmp_path: Path) -> None:
    kill_at_random(forked, undisturbed, tmp_path, KILLS, seed=7)


def test_torn_and_flipped_shards_are_found_and_redone(undisturbed: Path, forked: Forked, tmp_path: Path) -> None:
    config, out = undisturbed / "audit.yaml", tmp_path / "run"
    total = _shards(undisturbed / "run")
    assert forked.audit(config, out, after=total - 3, delay=0.0)["code"] == -9
    committed = sorted((out / "shards").rglob("[!.]*.parquet"))
    torn, flipped = committed[0], committed[3]
    torn.write_bytes(torn.read_bytes()[:-100])
    content = bytearray(flipped.read_bytes())
    content[len(content) // 3] ^= 0x10
    flipped.write_bytes(bytes(content))
    _resumed(forked, undisturbed, out)


def kill_at_random(forked: Forked, undisturbed: Path, folder: Path, kills: int, seed: int) -> None:
    """Kill audits, and those that resume them, until so many kills have struck between the first and last receipt."""
    config, total = undisturbed / "audit.yaml", _shards(undisturbed / "run")
    draw, struck, run = random.Random(seed), 0, 0  # noqa: S311 - a draw, no secret
    while struck < kills:
        run += 1
        out, held = folder / f"run{run}", 0
        while struck < kills and held < total - 1:
            after = draw.randint(max(1, held), total - 1)
            ended = forked.audit(config, out, after=after, delay=draw.random() * 0.02)
            held = _shards(out)
            if ended["code"] == 0:
                break
            assert ended["code"] == -9, ended
            struck += 1 <= held < total
        _resumed(forked, undisturbed, out)


def _resumed(forked: Forked, undisturbed: Path, out: Path) -> None:
    ended = forked.audit(undisturbed / "audit.yaml", out)
    assert ended["code"] == 0, ended
    assert_same_tables(undisturbed / "run", out)
    assert open_run(out).complete
    names = [path.name for path in out.rglob("*") if path.name.endswith(".partial")]
    assert not names, "nothing is left over"
    assert _once(out)


def _once(out: Path) -> bool:
    images: pd.DataFrame = open_run(out).table("images")
    return max(Counter(images["image_id"]).values()) == 1


def _shards(out: Path) -> int:
    return len(list((out / "shards").rglob("[!.]*.parquet")))
