"""The Ray engine: a cluster on this machine gives the same tables, whoever dies; one without a token is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from audit.engine.placement import Placement
from audit.errors import InputError
from audit.run import open_run
from audit.trust import Trust
from tests.engine.test_pool import DEADLY
from tests.integration.small import CLASSES, SIZE, faircam, write_audit
from tests.integration.test_run import assert_same_tables

pytestmark = pytest.mark.slow

pytest.importorskip("ray")

CLUSTER = """
import json, sys
from ray.cluster_utils import Cluster

node = {"num_cpus": 2, "num_gpus": 1, "include_dashboard": False, "object_store_memory": 80_000_000}
cluster = Cluster(initialize_head=True, head_node_args={**node, "num_gpus": 2})
others = [cluster.add_node(**node)]
print(json.dumps({"address": cluster.address, "token": True}), flush=True)
for line in sys.stdin:
    if line.strip() == "drop":
        cluster.remove_node(others.pop(), allow_graceful=False)
        others.append(cluster.add_node(**node))
        print("dropped", flush=True)
cluster.shutdown()
"""
"""Two nodes on this machine, with GPUs by name alone; one is killed and replaced when told so."""

PLACED = """
import json, os
from pathlib import Path

import numpy as np
import ray

def score(images):
    context = ray.get_runtime_context()
    place = [context.get_node_id(), os.environ["CUDA_VISIBLE_DEVICES"], context.get_accelerator_ids()["GPU"]]
    (Path(__file__).parent / f"{os.getpid()}.place").write_text(json.dumps(place))
    red = images[..., 0].mean(axis=(1, 2))
    return np.stack([-red, red], axis=1)
"""
"""A model that says on which node and GPU it runs."""


LATE = """
import json, sys

import ray

from audit.engine.child import Death
from audit.engine.ray_engine import ActorLink

ray.init(address=sys.argv[1], log_to_driver=False)
link = ActorLink(json.loads(sys.argv[2]), 10.0)
try:
    link.answer()
except Death as death:
    print("ended by", -death.code)
"""
"""Waits for an actor that takes too long to load its model."""


class Cluster:
    """A cluster in a process of its own."""

    def __init__(self, mode: str) -> None:
        self.variables = {"RAY_AUTH_MODE": mode, "RAY_AUTH_TOKEN": "t" * 40, "RAY_USAGE_STATS_ENABLED": "0"}
        self.variables |= {"RAY_raylet_start_wait_time_s": "120"}
        shown = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", CLUSTER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**shown, **self.variables},
            text=True,
        )
        line = self._line()
        if not line:
            self.stop()
            pytest.fail("no cluster could be started on this machine")
        self.address = json.loads(line)["address"]

    def drop_a_node(self) -> None:
        """Kill the node that is not the head."""
        assert self.process.stdin is not None
        self.process.stdin.write("drop\n")
        self.process.stdin.flush()
        assert self._line().strip() == "dropped"

    def _line(self) -> str:
        assert self.process.stdout is not None
        while True:
            line = self.process.stdout.readline()
            if not line or line.startswith(("{", "dropped")):
                return line

    def stop(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ray")
    write_audit(folder, images=160)
    done = faircam("run", folder / "audit.yaml", "--out", folder / "one")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    started = Cluster("token")
    yield started
    started.stop()


def test_a_cluster_of_this_machine_gives_the_same_tables(audit: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = faircam("run", audit / "audit.yaml", "--out", out, "--engine", "ray", "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert_same_tables(audit / "one", out)
    assert not (out / ".reading").exists()


def test_a_killed_actor_and_a_killed_node_change_nothing(audit: Path, tmp_path: Path, cluster: Cluster) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "-P", "-m", "audit.cli", "run", str(audit / "audit.yaml"), "--out", str(out)]
    process = subprocess.Popen(
        [*command, "--engine", "ray", "--address", cluster.address, "--workers", "3"],
        env={**os.environ, **cluster.variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    _wait_for(process, out, 1)
    actors = _actors()
    assert actors
    os.kill(actors[0], signal.SIGKILL)
    cluster.drop_a_node()
    assert not open_run(out).complete, "the deaths must strike in mid-run"
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    assert_same_tables(audit / "one", out)


def test_every_actor_has_a_gpu_of_its_own(tmp_path: Path, cluster: Cluster) -> None:
    model = {"name": "function", "framework": "callable", "function": "placed:score", "classes": list(CLASSES)}
    config = write_audit(
        tmp_path,
        images=160,
        models=[{**model, "preprocessing": {"size": [SIZE, SIZE]}}],
        execution__device="cuda",
        execution__shard_size=4,
    )
    (tmp_path / "placed.py").write_text(PLACED)
    given = (*("run", config, "--trust-code", "--engine", "ray", "--address", cluster.address),)
    done = faircam(*given, "--out", tmp_path / "run", "--workers", "3", **cluster.variables)
    assert done.returncode == 0, done.stderr
    places = [json.loads(path.read_text()) for path in tmp_path.glob("*.place")]
    assert len(places) == 3
    assert len({(node, device) for node, device, _ in places}) == 3, "no GPU serves two actors"
    assert len({node for node, _, _ in places}) == 2
    assert all(held == [device] for _, device, held in places)

    many = faircam(*given, "--out", tmp_path / "many", "--workers", "4", **cluster.variables)
    assert many.returncode == 2
    assert "4 workers in all, each with 1 GPU, do not fit: the cluster has 3 GPU" in " ".join(many.stderr.split())
    assert not (tmp_path / "many").exists()


def test_an_actor_whose_model_never_loads_is_ended(tmp_path: Path, cluster: Cluster) -> None:
    model = {"name": "function", "framework": "callable", "function": "asleep:score", "classes": list(CLASSES)}
    config = write_audit(tmp_path, images=4, models=[{**model, "preprocessing": {"size": [SIZE, SIZE]}}])
    (tmp_path / "asleep.py").write_text("import time\ntime.sleep(600)\n")
    order = {"base": str(tmp_path), "config": yaml.safe_load(config.read_text()), "model": "function", "sha256": None}
    order |= {**Trust(code=True).as_json(), "seconds": 4.0}
    done = subprocess.run(
        [sys.executable, "-P", "-c", LATE, cluster.address, json.dumps(order)],
        env={**os.environ, **cluster.variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert f"ended by {signal.SIGALRM.value}" in done.stdout, done.stderr


def test_an_image_that_ends_every_actor_is_listed_and_passed_over(tmp_path: Path) -> None:
    config = write_audit(tmp_path, images=40)
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(DEADLY)
    culprit = tmp_path / "images" / "0013.png"
    culprit.write_bytes(culprit.read_bytes() + b"deadly")
    paths = [str(tmp_path / "hook"), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    done = faircam("run", config, "--out", tmp_path / "run", "--engine", "ray", PYTHONPATH=os.pathsep.join(paths))
    assert done.returncode == 0, done.stderr
    images = open_run(tmp_path / "run").table("images")
    assert images.loc[images["status"] != "ok", ["path", "status"]].values.tolist() == [
        ["images/0013.png", "ended_worker"]
    ]


@pytest.mark.parametrize("mode", ["disabled", "tokn", ""])
def test_a_mode_that_asks_for_no_token_is_refused_before_ray_starts(audit: Path, tmp_path: Path, mode: str) -> None:
    done = faircam("run", audit / "audit.yaml", "--out", tmp_path / "run", "--engine", "ray", RAY_AUTH_MODE=mode)
    assert done.returncode == 2
    assert f"RAY_AUTH_MODE is '{mode}'" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_cluster_that_lets_strangers_in_is_refused(audit: Path, tmp_path: Path) -> None:
    open_house = Cluster("disabled")
    try:
        done = faircam(
            *("run", audit / "audit.yaml", "--out", tmp_path / "run"),
            *("--engine", "ray", "--address", open_house.address),
            RAY_AUTH_MODE="token",
            RAY_AUTH_TOKEN="t" * 40,
        )
    finally:
        open_house.stop()
    assert done.returncode == 2, done.stderr
    assert "token" in done.stderr
    assert not (tmp_path / "run").exists()


def test_an_engine_or_an_address_that_makes_no_sense_is_named() -> None:
    with pytest.raises(InputError, match=r"engine 'rai' is unknown, allowed: local, ray\. Did you mean 'ray'\?"):
        Placement("rai")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="add --engine ray"):
        Placement(address="10.0.0.1:6379")


def _wait_for(process: subprocess.Popen[str], out: Path, shards: int) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and process.poll() is None:
        if len(list((out / "shards").rglob("predict-*.parquet"))) >= shards:
            return
        time.sleep(0.01)
    raise AssertionError(f"no shard was committed: {process.communicate()[1] if process.poll() is not None else ''}")


def _actors() -> list[int]:
    """Processes that are actors of ours: Ray names them after their class."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                title = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if title.startswith(b"ray::_Actor"):
                found.append(int(folder.name))
    return found
