"""The commands of whoever answers for an audit, as a user types them: keygen, statement, bundle, verify, erase."""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml

from audit.errors import IncompleteRun
from audit.run import Run, open_run
from audit.run.files import sha256_file, write_json
from reports.bundle.make import write_bundle
from reports.bundle.request import Request
from reports.verify import verify
from tests.derived_run import MODEL, build_derived
from tests.integration.small import faircam

pytestmark = pytest.mark.slow

DAY = date(2026, 11, 25)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run; not to be changed."""
    return build_derived(tmp_path_factory.mktemp("evidence") / "run")


@pytest.fixture
def copy(run: Run, tmp_path: Path) -> Path:
    """A run to be changed."""
    shutil.copytree(run.path, tmp_path / "run")
    return tmp_path / "run"


def test_from_statement_to_a_verified_bundle(run: Run, copy: Path, tmp_path: Path) -> None:
    said = ("--about", "intended_purpose", "--author", "Ana Ruiz", "--role", "product owner", "--text", "A kiosk.")
    assert faircam("statement", copy, *said).returncode == 0
    listed = faircam("statement", copy)
    assert "Ana Ruiz (product owner): A kiosk." in listed.stdout
    assert "Missing: oversight" in listed.stdout
    finding = open_run(copy).table("findings").iloc[0]
    waived = faircam(
        "statement", copy, "--kind", "waiver", "--about", f"findings:{MODEL}:{finding['rule']}", "--author", "Ana Ruiz",
        "--role", "product owner", "--text", "Known; mended in May.", "--expires", "2099-01-01",
    )  # fmt: skip
    assert waived.returncode == 0, waived.stderr
    key, out = tmp_path / "signer", tmp_path / "bundle.zip"
    assert faircam("keygen", key).returncode == 0
    made = faircam("bundle", copy, "--disclosure", "auditor", "--out", out, "--key", key, "--pack", "nyc-ll144")
    assert made.returncode == 0, made.stderr
    assert "auditor, signed" in made.stdout
    found = faircam("verify", out, "--key", f"{key}.pub", "--model", run.path.parent / "model.bin")
    assert found.returncode == 0, found.stdout
    shutil.unpack_archive(out, tmp_path / "open")
    statements = yaml.safe_load((tmp_path / "open" / "statements.yaml").read_text(encoding="utf-8"))
    assert "A kiosk." in json.dumps(statements)
    verdicts = json.loads((tmp_path / "open" / "verdicts.json").read_text(encoding="utf-8"))
    assert finding["verdict"] not in ("fail", "inconclusive", "error") or verdicts["summary"]["counts"]["waived"] == 1
    crosswalk = (tmp_path / "open" / "crosswalk.json").read_text(encoding="utf-8")
    assert "compliant" not in crosswalk.lower().replace("compliance", "")


def test_a_changed_bundle_is_exit_4_and_an_untouched_one_0(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    assert faircam("bundle", run.path, "--disclosure", "public", "--out", out, "--pack", "eu-ai-act").returncode == 0
    assert faircam("verify", out).returncode == 0
    with (out / "modelcard.md").open("a", encoding="utf-8") as stream:
        stream.write("better\n")
    found = faircam("verify", out)
    assert found.returncode == 4
    assert "modelcard.md" in found.stdout
    assert "MODIFIED" in found.stdout


def test_erase_then_bundle(copy: Path, tmp_path: Path) -> None:
    image = str(open_run(copy).table("images")["image_id"].iloc[5])
    done = faircam("erase", copy, "--image", image, "--by", "Ana Ruiz", "--reason", "asked for")
    assert done.returncode == 0, done.stderr
    assert "1 images erased" in done.stdout
    assert faircam("verify", copy).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--disclosure", "publik"), "allowed: public, auditor, internal. Did you mean 'public'?"),
        (("--disclosure", "public", "--pack", "eu-ai-akt"), "eu-ai-act"),
        (("--disclosure", "public", "--key", "no-such-key"), "no-such-key"),
    ],
)
def test_what_a_bundle_refuses(run: Run, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    found = faircam("bundle", run.path, "--out", tmp_path / "bundle", *arguments)
    assert found.returncode == 2, found.stderr
    assert message in found.stderr
    assert not (tmp_path / "bundle").exists()


def test_a_statement_about_nothing_is_refused(run: Run) -> None:
    found = faircam("statement", run.path, "--about", "intended_purpos", "--author", "A", "--role", "B", "--text", "C")
    assert found.returncode == 2
    assert "intended_purpose" in found.stderr


def test_a_report_as_markdown_and_json(run: Run, tmp_path: Path) -> None:
    for kind in ("md", "json"):
        assert faircam("report", run.path, "--format", kind, "--out", tmp_path / f"r.{kind}").returncode == 0
    assert (tmp_path / "r.md").read_text(encoding="utf-8").startswith("# ")
    json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))


STRICT = """\
name: strict
approver: Ana Ruiz
rules:
  - {id: gap, metric: accuracy, attribute: tone, compare: range, tolerance: 0.01, tier: required, rationale: a test}
"""


def test_a_policy_that_came_after_the_run_is_post_hoc_everywhere(copy: Path, tmp_path: Path) -> None:
    policy, out = tmp_path / "strict.yaml", tmp_path / "bundle"
    policy.write_text(STRICT, encoding="utf-8")
    assert faircam("check", copy, "--policy", policy, "--save").returncode == 1
    assert faircam("report", copy, "--format", "md", "--out", tmp_path / "r.md").returncode == 0
    summary = (tmp_path / "r.md").read_text(encoding="utf-8").split("## Verdicts")[0]
    assert "Verdicts of other rules were saved after the run, post hoc: strict." in summary
    made = faircam("bundle", copy, "--disclosure", "auditor", "--out", out, "--policy", policy, "--pack", "nyc-ll144")
    assert made.returncode == 0, made.stderr
    verdicts = json.loads((out / "verdicts.json").read_text(encoding="utf-8"))
    assert (verdicts["preregistered"], verdicts["policy"]["sha256"]) == (False, sha256_file(policy))
    summary, rest = (out / "report.md").read_text(encoding="utf-8").split("## Verdicts")
    assert f"Policy ‘strict’ (SHA-256 {sha256_file(policy)[:12]}), post hoc" in summary
    assert f"Policy ‘strict’ (SHA-256 {sha256_file(policy)}) was applied" in rest
    assert "preregistered" not in summary
    cases = ET.parse(out / "junit.xml").getroot()  # noqa: S314
    assert {item.get("value") for item in cases.iter("property") if item.get("name") == "preregistered"} == {"false"}


def unfinished(folder: Path, *without: str) -> Run:
    """Make a run one that ended early, and before it had some tables."""
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    for name in without:
        (folder / "tables" / f"{name}.parquet").unlink()
    digests = {name: digest for name, digest in record["tables"].items() if name not in without}
    write_json(folder / "run.json", {**record, "complete": False, "tables": digests})
    return open_run(folder)


@pytest.mark.parametrize("level", ["public", "internal"])
def test_a_bundle_of_an_unfinished_run_says_so_first(copy: Path, tmp_path: Path, level: str) -> None:
    out = tmp_path / "bundle"
    write_bundle(unfinished(copy), out, Request(level, DAY, ("nyc-ll144",)))  # type: ignore[arg-type]
    texts = {name: (out / name).read_text(encoding="utf-8") for name in ("report.html", "report.md", "modelcard.md")}
    assert '<div class="banner" role="alert"><strong>INCOMPLETE</strong>' in texts["report.html"].split("<main")[0]
    assert texts["report.md"].split("\n\n")[2].startswith("> **INCOMPLETE.**")
    assert "INCOMPLETE: no verdict is settled" in texts["report.md"].split("## Verdicts")[0]
    assert "INCOMPLETE" in texts["modelcard.md"].split("\n## ")[0]
    documents = {name: json.loads((out / f"{name}.json").read_text("utf-8")) for name in ("results", "verdicts")}
    assert documents["results"]["run"]["complete"] is False
    assert (documents["verdicts"]["run"]["complete"], documents["verdicts"]["certified"]) == (False, False)
    assert 'type="incomplete"' in (out / "junit.xml").read_text(encoding="utf-8")
    assert verify(out).problems == []


def test_a_run_that_ended_before_its_tables_has_no_bundle(copy: Path, tmp_path: Path) -> None:
    run = unfinished(copy, *(path.stem for path in (copy / "tables").glob("*.parquet")))
    for level in ("public", "auditor", "internal"):
        with pytest.raises(IncompleteRun, match="ended before its tables were written"):
            write_bundle(run, tmp_path / level, Request(level, DAY))
        assert not (tmp_path / level).exists()
