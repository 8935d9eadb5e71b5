"""Workers of the local engine: any number gives the same tables; one that dies is replaced; what kills it is listed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from audit.engine.child import Death
from audit.engine.crew import LastingWorker, Pool, Refusals
from audit.errors import IncompleteRun
from audit.run import open_run
from audit.run.plan import Shard
from audit.run.shards import Receipt
from tests.integration.small import faircam, write_audit
from tests.integration.test_run import assert_same_tables

pytestmark = pytest.mark.slow

DEADLY = """
import os, signal, time
from PIL import Image

plain = Image.open

def deadly(stream, *rest, **named):
    end = stream.getvalue()[-6:] if hasattr(stream, "getvalue") else b""
    if end == b"deadly":
        os.kill(os.getpid(), signal.SIGKILL)
    if end == b"asleep":
        time.sleep(600)
    return plain(stream, *rest, **named)

Image.open = deadly
"""
"""A decoder that dies or hangs on marked files, put into every child by ``sitecustomize``."""


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pool")
    write_audit(folder, images=120)
    done = faircam("run", folder / "audit.yaml", "--out", folder / "one", "--no-read-ahead")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_any_number_of_workers_gives_the_same_tables(audit: Path, tmp_path: Path, workers: int) -> None:
    out = tmp_path / "run"
    assert faircam("run", audit / "audit.yaml", "--out", out, "--workers", str(workers)).returncode == 0
    assert_same_tables(audit / "one", out)


def test_a_worker_that_is_killed_is_replaced(audit: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "-P", "-m", "audit.cli", "run", str(audit / "audit.yaml"), "--out", str(out)]
    process = subprocess.Popen([*command, "--workers", "2"], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    killed = 0
    while process.poll() is None and killed < 2:
        if list((out / "shards").rglob("predict-*.parquet")):
            killed += sum(_kill(child) for child in _children(process.pid)[:1])
        time.sleep(0.01)
    assert process.wait(120) == 0
    assert killed
    assert_same_tables(audit / "one", out)


@pytest.mark.parametrize(("mark", "said"), [(b"deadly", "by signal 9"), (b"asleep", "took more than 0.5 s to read")])
@pytest.mark.parametrize("workers", [1, 2])
def test_an_image_that_ends_every_worker_is_listed_and_passed_over(
    tmp_path: Path, mark: bytes, said: str, workers: int
) -> None:
    config = write_audit(tmp_path, images=60)
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(DEADLY)
    culprit = tmp_path / "images" / "0013.png"
    culprit.write_bytes(culprit.read_bytes() + mark)
    paths = [str(tmp_path / "hook"), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    out = tmp_path / "run"
    done = faircam(
        "run",
        config,
        "--out",
        out,
        "--workers",
        str(workers),
        "--image-seconds",
        "0.5",
        PYTHONPATH=os.pathsep.join(paths),
    )
    assert done.returncode == 0, done.stderr
    run = open_run(out)
    assert run.complete
    images = run.table("images")
    assert dict(images["status"].value_counts()) == {"ok": 59, "ended_worker": 1}
    assert images.loc[images["status"] != "ok", "path"].tolist() == ["images/0013.png"]
    assert said in run.table("problems")["detail"].iloc[0]


def test_a_worker_that_was_closed_is_not_replaced() -> None:
    started: list[object] = []

    class Dead:
        def __init__(self) -> None:
            started.append(self)

        def tell(self, **_: object) -> None:
            raise Death(-9, "", ())

        def answer(self) -> dict[str, object]:
            raise Death(-9, "", ())

        def close(self) -> None:
            pass

    worker = LastingWorker(Dead, "model", True, Refusals())
    worker.close()
    with pytest.raises(IncompleteRun, match="--resume"):
        worker.run(Shard("predict", 0, 0, 1))
    assert len(started) == 1


def test_an_error_of_one_worker_waits_for_the_shards_of_the_others() -> None:
    begun, ended = threading.Event(), list[int]()

    class Failing:
        def run(self, shard: Shard) -> Receipt:
            begun.wait(10)
            raise IncompleteRun(f"shard {shard.index} cannot be computed")

    class Slow:
        def run(self, shard: Shard) -> Receipt:
            begun.set()
            time.sleep(0.2)
            ended.append(shard.index)
            return Receipt("", "model", shard, {}, 1, 0.0)

    shards = [Shard("predict", number, number, number + 1) for number in range(9)]
    told = Pool([Slow(), Failing()]).map(shards)  # type: ignore[list-item]
    seen: list[int] = []
    with pytest.raises(IncompleteRun, match="cannot be computed"):
        seen.extend(receipt.shard.index for receipt in told)
    assert ended == seen
    assert len(seen) == 1


def _children(process: int) -> list[int]:
    listed = Path(f"/proc/{process}/task/{process}/children")
    return [int(child) for child in listed.read_text().split()] if listed.exists() else []


def _kill(process: int) -> bool:
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True
