"""The same real audit twice, in other surroundings: the same bytes, and nothing of the surroundings in any file.

PyTorch and Keras, small and synthetic. The second time the folder, the user, the host, the time zone, the language and the
seed of hashes are other ones.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from audit.run.files import write_json
from tests.findings.runs import policy_file
from tests.integration.test_passes import trained, write_passes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.torch,
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

LEVELS = ("public", "auditor", "internal")
DAY = "2027-01-10"
SECRET = {"AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMIplanted", "HF_TOKEN": "hf_plantedtoken", "MY_PASSWORD": "planted-pw"}
HOST = """import os, platform, socket
name = os.environ["PLANTED_HOST"]
socket.gethostname = platform.node = lambda: name
socket.getfqdn = lambda *given: name + ".invalid"
found = os.uname()
os.uname = lambda: os.uname_result((found.sysname, name, found.release, found.version, found.machine))
"""
"""What Python runs first in each process of the audit: the machine has a name that can be looked for."""


@dataclass(frozen=True)
class Place:
    """Where and as whom an audit is made."""

    folder: Path
    user: str
    host: str
    zone: str
    language: str
    seed: str

    @property
    def home(self) -> Path:
        return self.folder / f"home-of-{self.user}"

    @property
    def out(self) -> Path:
        return self.home / "runs" / "first"

    def environment(self) -> dict[str, str]:
        names = dict.fromkeys(("USER", "LOGNAME", "USERNAME"), self.user)
        here = {"HOME": str(self.home), "HOSTNAME": self.host, "PLANTED_HOST": self.host, "TZ": self.zone}
        speech = {"LANG": self.language, "LC_ALL": self.language, "PYTHONHASHSEED": self.seed}
        code = os.pathsep.join([str(self.folder / "site"), str(Path(__file__).parents[2])])
        return {**os.environ, **names, **here, **speech, **SECRET, "PYTHONPATH": code}

    def forbidden(self) -> dict[str, str]:
        """What no file and no line of output may hold."""
        return {"home or folder": str(self.folder), "user": self.user, "host": self.host, **SECRET}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, Place]:
    """The same audit made in two homes; one configuration names its files by relative, one by absolute paths."""
    folder = tmp_path_factory.mktemp("twice")
    template = write_template(folder / "template")
    first = Place(folder / "here", "zaphod", "heart-of-gold", "UTC", "C.UTF-8", "0")
    second = Place(folder / "elsewhere" / "deep", "trillian", "krikkit-host", "Asia/Kathmandu", "tr_TR.UTF-8", "12345")
    for place in (first, second):
        shutil.copytree(template, place.home)
        (place.folder / "site").mkdir()
        (place.folder / "site" / "sitecustomize.py").write_text(HOST, encoding="utf-8")
    for key in ("data__manifest", "models__0__weights", "models__1__path", "policy"):
        make_absolute(second.home, key)
    run = ("-m", "audit.cli", "run", "audit.yaml", "--out", "runs/first")
    wait([(place, started(place, *run)) for place in (first, second)])
    return first, second


def started(place: Place, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", *arguments]
    return subprocess.Popen(
        command, cwd=place.home, env=place.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def wait(children: list[tuple[Place, subprocess.Popen[bytes]]]) -> None:
    """Wait for both, and keep what they printed."""
    for place, child in children:
        out, err = child.communicate(timeout=300)
        assert child.returncode == 0, err.decode()
        with (place.folder / "said").open("ab") as said:
            said.write(out + err)


def write_template(folder: Path) -> Path:
    """Every pass, both frameworks, a policy, a lost image, a broken one and one that brings metadata along."""
    config = write_passes(folder, 24)
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    content["models"] = [trained(folder, framework) for framework in ("torch", "keras")]
    content |= {"policy": "policy.yaml", "quality": {"sample": 4}, "interventions": {"sample": 8}}
    content["explanations"] = {"sample": 8, "cross_check": 2, "methods": ["gradient_x_input", "grad_cam"]}
    config.write_text(yaml.safe_dump(content), encoding="utf-8")
    policy_file(folder / "policy.yaml", {"attribute": "light"})
    (folder / "images" / "0003.png").unlink()
    (folder / "images" / "0005.png").write_bytes(b"broken")
    pixels = Image.open(folder / "images" / "0004.png").convert("RGB")
    notes = Image.Exif()
    notes[0x013B] = "zaphod and trillian"  # artist
    pixels.save(folder / "images" / "0004.png", exif=notes)
    return folder


def make_absolute(folder: Path, key: str) -> None:
    config = folder / "audit.yaml"
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    *sections, last = key.split("__")
    place = content
    for part in sections:
        place = place[int(part)] if part.isdigit() else place[part]
    place[last] = str(folder / place[last])
    config.write_text(yaml.safe_dump(content), encoding="utf-8")


@pytest.fixture(scope="module")
def written(places: tuple[Place, Place]) -> tuple[Place, Place]:
    """Every report and a bundle at every level, of both runs, once the moment and the durations were made the same."""
    clock = json.loads((places[0].out / "run.json").read_text(encoding="utf-8"))
    for place in places:
        record = json.loads((place.out / "run.json").read_text(encoding="utf-8"))
        write_json(place.out / "run.json", record | {key: clock[key] for key in ("created", "timings")})
        (place.out / ".pseudonyms").write_text("0" * 64, encoding="utf-8")  # drawn at random, once for a run
    wait([(place, started(place, "-c", WRITING)) for place in places])
    return places


WRITING = """
import sys
from audit import cli
def faircam(*given):
    sys.argv = ["faircam", *given]
    try: cli.main()
    except SystemExit as ended: assert not ended.code, given
for name in ("json", "csv"):  # the others are in each bundle
    faircam("report", "runs/first", "--format", name, "--out", f"written/report.{name}")
for level in ("public", "auditor", "internal"):
    out = f"written/{level}" if level == "internal" else f"written/{level}.zip"
    faircam("bundle", "runs/first", "--out", out, "--disclosure", level, "--date", DAY)
faircam("verify", "written/public.zip")
""".replace("DAY", repr(DAY))


# Determinism --------------------------------------------------------------------------------------------------------


def test_every_table_has_the_same_bytes(places: tuple[Place, Place]) -> None:
    first, second = (sorted((place.out / "tables").iterdir()) for place in places)
    assert [path.name for path in first] == [path.name for path in second]
    assert len(first) > 30
    assert [one.name for one, two in zip(first, second, strict=True) if one.read_bytes() != two.read_bytes()] == []


def test_the_records_differ_in_moment_and_durations_alone(places: tuple[Place, Place]) -> None:
    one, two = (json.loads((place.out / "run.json").read_text(encoding="utf-8")) for place in places)
    assert {key for key in one if one[key] != two.get(key)} <= {"created", "timings"}
    assert one.keys() == two.keys()
    plans = [(place.out / "plan.json").read_bytes() for place in places]
    assert plans[0] == plans[1]


def test_every_report_and_bundle_has_the_same_bytes(written: tuple[Place, Place]) -> None:
    first, second = (place.home / "written" for place in written)
    names = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(second) for path in second.rglob("*") if path.is_file())
    documents = ("report.html", "report.pdf", "report.md", "junit.xml", "modelcard.md", "mlbom.cdx.json")
    wanted = {"report.json", "report.csv", "public.zip", "auditor.zip", *(f"internal/{name}" for name in documents)}
    assert wanted <= set(map(str, names))
    assert [str(name) for name in names if (first / name).read_bytes() != (second / name).read_bytes()] == []


# Privacy ------------------------------------------------------------------------------------------------------------


def contents(path: Path) -> Iterator[tuple[str, bytes]]:
    """What a file holds: as it is, and with what is compressed in it taken apart."""
    data = path.read_bytes()
    yield str(path), data
    yield from _inside(path.name, data)


def _inside(name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    if name.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for entry in archive.infolist():
                inner = archive.read(entry)
                yield f"{name}/{entry.filename}", entry.filename.encode() + entry.comment + entry.extra + inner
                yield from _inside(entry.filename, inner)
    elif name.endswith(".parquet"):
        table = pq.read_table(io.BytesIO(data))
        words = [str(pq.read_metadata(io.BytesIO(data)).to_dict()), str(table.schema.metadata)]
        words += [str(table[column].to_pylist()) for column in table.column_names if _wordy(table.schema.field(column))]
        yield f"{name} (read)", "\n".join(words).encode()
    elif name.endswith(".pdf"):
        for place, stream in enumerate(re.findall(rb"stream\r?\n(.*?)endstream", data, re.DOTALL)):
            try:
                yield f"{name} (stream {place})", zlib.decompressobj().decompress(stream)
            except zlib.error:
                continue


def _wordy(field: pa.Field) -> bool:
    return "string" in str(field.type)


def leaks(place: Place, paths: Iterator[Path]) -> list[str]:
    """Where something is told that says whose machine it was."""
    return [
        f"{where}: {what}"
        for path in paths
        for where, data in contents(path)
        for what, value in place.forbidden().items()
        if value.encode() in data
    ]


def files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("which", [0, 1], ids=["relative", "absolute"])
def test_no_file_and_no_line_says_whose_machine_it_was(written: tuple[Place, Place], which: int) -> None:
    place = written[which]
    assert leaks(place, files(place.out)) == []
    assert leaks(place, files(place.home / "written")) == []
    assert leaks(place, iter([place.folder / "said"])) == []


def test_the_search_finds_what_is_there(places: tuple[Place, Place], tmp_path: Path) -> None:
    """Each kind of file with the user's name in its hidden part."""
    place, user = places[0], places[0].user
    table = pa.table({"a": [user]}).replace_schema_metadata({"b": user})
    pq.write_table(table, tmp_path / "rows.parquet", compression="zstd")
    pq.write_table(table.drop(["a"]), tmp_path / "metadata.parquet")
    with zipfile.ZipFile(tmp_path / "bundle.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("deep/x.txt", user * 40)
    (tmp_path / "x.pdf").write_bytes(b"stream\n" + zlib.compress(user.encode() * 40) + b"\nendstream")
    found = leaks(place, files(tmp_path))
    assert {line.split(".")[0].rsplit("/", 1)[-1] for line in found} >= {"rows", "metadata", "x"}
    assert any("deep" in line for line in found)


def test_a_thumbnail_is_pixels_alone(places: tuple[Place, Place]) -> None:
    thumbnails = list(files(places[0].out / "thumbnails"))
    assert len(thumbnails) >= 8
    for path in thumbnails:
        with Image.open(path) as picture:
            assert not picture.getexif()
            assert set(picture.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
