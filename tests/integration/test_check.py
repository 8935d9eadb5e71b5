"""`faircam check`: each exit code on a run made for it, and nothing is written that was not asked for."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest
import yaml

from audit.cli import main
from audit.findings import check_run
from audit.run import open_run
from audit.run.files import sha256_file, write_json
from audit.run.tables import read_table, write_table
from tests.findings.runs import FEW, NARROW, WIDE, Counts, accuracy, build, digest_of, policy_file
from tests.integration.small import faircam, write_audit

ACCEPTED = {"rule": "gap", "signed_by": "A. Person, head", "reason": "new data are coming", "expires": "2027-03-31"}


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


def command(*arguments: object) -> Done:
    """The command line in this process: as `faircam`, but without the seconds that a fresh one takes."""
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as stopped,
    ):
        patch.setattr("sys.argv", ["faircam", *map(str, arguments)])
        main()
    return Done(int(stopped.value.code or 0), out.getvalue(), err.getvalue())


def check(run: Path, policy: Path, *more: object) -> Done:
    return command("check", run, "--policy", policy, *more)


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    return policy_file(tmp_path / "policy.yaml")


@pytest.mark.parametrize(("counts", "code"), [(NARROW, 0), (WIDE, 1)])
def test_from_a_shell(counts: Counts, code: int, tmp_path: Path, policy: Path) -> None:
    build(tmp_path / "run", counts)
    done = faircam("check", tmp_path / "run", "--policy", policy)
    assert done.returncode == code, done.stderr
    assert "Verdicts are post_hoc" in done.stdout


def test_0_pass(tmp_path: Path, policy: Path) -> None:
    build(tmp_path / "run", NARROW)
    done = check(tmp_path / "run", policy)
    assert done.returncode == 0, done.stderr
    assert "✓ pass" in done.stdout
    assert "Every required rule passed" in done.stdout


def test_0_warn(tmp_path: Path) -> None:
    build(tmp_path / "run", NARROW)
    done = check(tmp_path / "run", policy_file(tmp_path / "p.yaml", {"warn": 0.001}))
    assert done.returncode == 0, done.stderr
    assert "! warn" in done.stdout


def test_0_where_only_a_supporting_rule_failed(tmp_path: Path) -> None:
    build(tmp_path / "run", WIDE)
    done = check(tmp_path / "run", policy_file(tmp_path / "p.yaml", {"tier": "supporting"}))
    assert done.returncode == 0, done.stderr
    assert "No rule of this policy is required" in done.stdout


def test_1_required_rule_failed_also_where_another_is_inconclusive(tmp_path: Path) -> None:
    build(tmp_path / "run", WIDE)
    rules = policy_file(tmp_path / "p.yaml", {}, {"id": "close", "tolerance": 0.225})
    done = check(tmp_path / "run", rules)
    assert done.returncode == 1, done.stderr
    assert done.stdout.index("✗ fail") < done.stdout.index("? inconclusive")


@pytest.mark.parametrize(
    ("rule", "word"),
    [
        ({"metric": "acuracy"}, "Did you mean 'accuracy'?"),
        ({"attribute": "tome"}, "Did you mean 'tone'?"),
        ({"compare": "reference", "reference": "drak"}, "Did you mean 'dark'?"),
        ({"tolerance": 10}, "write 0.1 for 10 %"),
        ({"tolerance": float("nan")}, "tolerance"),
        ({"correction": "benjamini_hochberg"}, "not the chance of any"),
        ({"metric": "precision", "class": "poz"}, "Did you mean 'pos'?"),
    ],
)
def test_2_bad_policy(rule: dict[str, Any], word: str, tmp_path: Path) -> None:
    build(tmp_path / "run", WIDE)
    done = check(tmp_path / "run", policy_file(tmp_path / "p.yaml", rule))
    assert done.returncode == 2
    assert word in done.stderr
    assert "Traceback" not in done.stderr


def test_2_usage(tmp_path: Path, policy: Path) -> None:
    build(tmp_path / "run", WIDE)
    assert command("check", tmp_path / "run").returncode == 2
    assert check(tmp_path / "none", policy).returncode == 2
    assert check(tmp_path / "run", policy, "--date", "yesterday").returncode == 2
    assert check(tmp_path / "run", policy, "--junit", tmp_path).returncode == 2


def test_3_required_rule_inconclusive(tmp_path: Path, policy: Path) -> None:
    build(tmp_path / "run", FEW)
    done = check(tmp_path / "run", policy)
    assert done.returncode == 3, done.stderr
    assert "n = " in done.stdout
    assert "NOT CERTIFIED" in done.stdout


def test_3_all_scores_equal(tmp_path: Path, policy: Path) -> None:
    build(tmp_path / "run", NARROW, constant=True)
    done = check(tmp_path / "run", policy)
    assert done.returncode == 3, done.stderr
    assert "the same scores (0.500, 0.500)" in done.stdout
    assert "weights were loaded" in done.stdout


def test_3_model_without_predictions(tmp_path: Path, policy: Path) -> None:
    build(tmp_path / "run", NARROW, models=("m", "absent"), judged=("m",))
    done = check(tmp_path / "run", policy)
    assert done.returncode == 3, done.stderr
    assert "absent: rule 'gap' could not be judged" in done.stdout


def test_3_incomplete_run_with_and_without_tables(tmp_path: Path, policy: Path) -> None:
    build(tmp_path / "run", NARROW, complete=False)
    done = check(tmp_path / "run", policy)
    assert (done.returncode, "INCOMPLETE" in done.stdout) == (3, True)
    build(tmp_path / "bare", NARROW, complete=False, digests=False)
    for path in (tmp_path / "bare" / "tables").iterdir():
        path.unlink()
    done = check(tmp_path / "bare", policy)
    assert done.returncode == 3
    assert "before its tables were written" in done.stderr


def edit_table(run: Path) -> str:
    table = read_table(run, "predictions")
    write_table(run, "predictions", table.assign(predicted=table["label"]))
    return "table 'predictions' was changed"


def drop_shard(run: Path) -> str:
    next((run / "shards" / "m").glob("*.parquet")).unlink()
    return "shard predict-00000 of model 'm' is missing"


def drop_table(run: Path) -> str:
    (run / "tables" / "images.parquet").unlink()
    return "table 'images' is missing"


def edit_plan(run: Path) -> str:
    path = run / "plan.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    return "plan.json was changed"


def claim_policy(run: Path) -> str:
    record = json.loads((run / "run.json").read_text())
    write_json(run / "run.json", {**record, "policy": {"sha256": "ab" * 32, "name": "p"}})
    return "is not the one of the plan"


@pytest.mark.parametrize("spoil", [edit_table, drop_shard, drop_table, edit_plan, claim_policy])
def test_4_integrity(spoil: Any, tmp_path: Path, policy: Path) -> None:
    build(tmp_path / "run", WIDE)
    assert check(tmp_path / "run", policy).returncode == 1
    said = spoil(tmp_path / "run")
    done = check(tmp_path / "run", policy)
    assert done.returncode == 4
    assert said in done.stderr


def test_shards_of_one_model_alone_are_looked_for_there_alone(tmp_path: Path, policy: Path) -> None:
    build(tmp_path / "run", NARROW, models=("m", "other"), own={"other": 20})
    assert check(tmp_path / "run", policy).returncode == 0
    (tmp_path / "run" / "shards" / "other" / "members-00000.parquet").unlink()
    done = check(tmp_path / "run", policy)
    assert (done.returncode, "shard members-00000 of model 'other'" in done.stderr) == (4, True)


def test_old_run_without_digests_is_judged_with_a_note(tmp_path: Path, policy: Path) -> None:
    build(tmp_path / "run", NARROW, digests=False)
    done = check(tmp_path / "run", policy)
    assert done.returncode == 0
    assert "whether they were changed could not be checked" in done.stdout
    (tmp_path / "run" / "tables" / "predictions.parquet").write_bytes(b"no table")
    done = check(tmp_path / "run", policy)
    assert done.returncode == 4
    assert "table 'predictions' cannot be read" in done.stderr


def test_70_internal(tmp_path: Path, policy: Path) -> None:
    build(tmp_path / "run", NARROW)
    path = tmp_path / "run" / "run.json"
    record = json.loads(path.read_text())
    write_json(path, {**record, "models": [{"title": "a record that no version ever wrote"}]})
    done = check(tmp_path / "run", policy)
    assert done.returncode == 70
    assert "Internal error" in done.stderr


def test_nothing_is_written_without_save(tmp_path: Path, policy: Path) -> None:
    build(tmp_path / "run", WIDE)
    before = digest_of(tmp_path / "run")
    check(tmp_path / "run", policy, "--junit", tmp_path / "junit.xml")
    assert digest_of(tmp_path / "run") == before


def test_save_appends_and_never_replaces(tmp_path: Path, policy: Path) -> None:
    build(tmp_path / "run", WIDE)
    before = digest_of(tmp_path / "run")
    for day in ("2027-01-01", "2027-01-01", "2027-01-02"):
        assert check(tmp_path / "run", policy, "--save", "--date", day).returncode == 1
    after = digest_of(tmp_path / "run")
    added = sorted(set(after) - set(before) - {".lock"})
    digest = sha256_file(policy)
    assert added == [f"verdicts/{digest}-2.json", f"verdicts/{digest}.json"]
    assert {path: after[path] for path in before} == before
    first, second = (json.loads((tmp_path / "run" / name).read_text()) for name in reversed(added))
    assert (first["evaluated"], second["evaluated"]) == ("2027-01-01", "2027-01-02")
    assert (first["policy"]["sha256"], first["exit_code"], first["certified"]) == (digest, 1, False)
    assert first["findings"][0]["verdict"] == "fail"
    assert first["summary"]["required"] == "fail"
    assert check(tmp_path / "run", policy).returncode == 1  # saved verdicts are no change of the run


def test_preregistered_by_hash_else_post_hoc(tmp_path: Path, policy: Path) -> None:
    build(tmp_path / "run", NARROW, policy=policy)
    assert "Verdicts are preregistered" in check(tmp_path / "run", policy).stdout
    policy.write_text(policy.read_text() + "# moved a comma\n", encoding="utf-8")
    done = check(tmp_path / "run", policy, "--save")
    assert "Verdicts are post_hoc" in done.stdout
    (saved,) = (tmp_path / "run" / "verdicts").iterdir()
    content = json.loads(saved.read_text())
    assert (content["preregistered"], content["findings"][0]["preregistered"]) == (False, False)


def waivers(tmp_path: Path, **changes: Any) -> Path:
    path = tmp_path / "waivers.yaml"
    content = {key: value for key, value in {**ACCEPTED, **changes}.items() if value is not None}
    path.write_text(yaml.safe_dump([content]), encoding="utf-8")
    return path


def test_waiver_counts_until_it_expires(tmp_path: Path, policy: Path) -> None:
    build(tmp_path / "run", WIDE)
    signed = waivers(tmp_path)
    last = check(tmp_path / "run", policy, "--waivers", signed, "--date", "2027-03-31")
    assert last.returncode == 0, last.stderr
    assert "- waived" in last.stdout
    assert "Waived by A. Person, head until 2027-03-31: new data are coming. Without the waiver it is fail." in (
        last.stdout
    )
    lapsed = check(tmp_path / "run", policy, "--waivers", signed, "--date", "2027-04-01")
    assert lapsed.returncode == 1
    assert "A waiver by A. Person, head expired on 2027-03-31; the rule counts again." in lapsed.stdout
    assert "expired (until 2027-03-31)" in lapsed.stdout


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"rule": "gpa"}, "names rule 'gpa', which there is not, allowed: gap. Did you mean 'gap'?"),
        ({"model": "n"}, "names model 'n'"),
        ({"signed_by": None}, "key 'signed_by' is missing"),
        ({"reason": " "}, "'reason': is empty"),
        ({"expires": None}, "key 'expires' is missing"),
        ({"expires": 2027}, "'expires': is 2027, a day is needed"),
        ({"expires": "soon"}, "'expires': is 'soon', a day is needed"),
        ({"created": "2027-04-01"}, "before it was created"),
        ({"signed": "x"}, "unknown key 'signed'"),
        ({"finding": "abc"}, "one of the two"),
    ],
)
def test_malformed_waiver(changes: dict[str, Any], word: str, tmp_path: Path, policy: Path) -> None:
    build(tmp_path / "run", WIDE)
    done = check(tmp_path / "run", policy, "--waivers", waivers(tmp_path, **changes), "--date", "2027-01-01")
    assert done.returncode == 2, done.stdout
    assert word in done.stderr


def test_incomplete_run_is_not_waived(tmp_path: Path, policy: Path) -> None:
    build(tmp_path / "run", WIDE, complete=False)
    assert check(tmp_path / "run", policy, "--waivers", waivers(tmp_path), "--date", "2027-01-01").returncode == 3


def test_one_group_and_one_class(tmp_path: Path, policy: Path) -> None:
    build(tmp_path / "group", accuracy(light=(390, 400)))
    done = check(tmp_path / "group", policy)
    assert (done.returncode, "one group only (light)" in done.stderr) == (2, True)
    build(tmp_path / "class", {("pos", "pos", "light"): 90, ("pos", "neg", "light"): 10, ("pos", "pos", "dark"): 100})
    done = check(tmp_path / "class", policy)
    assert (done.returncode, "all labels are of one class (pos)" in done.stderr) == (2, True)


def test_junit_is_read_back(tmp_path: Path) -> None:
    build(tmp_path / "run", WIDE)
    rules = policy_file(tmp_path / "p.yaml", {}, {"id": "close", "tolerance": 0.225}, {"id": "kept", "tolerance": 0.5})
    done = check(tmp_path / "run", rules, "--junit", tmp_path / "out" / "junit.xml", "--date", "2027-01-01")
    assert done.returncode == 1
    suite = ET.parse(tmp_path / "out" / "junit.xml").getroot().find("testsuite")  # noqa: S314
    assert suite is not None
    found = {case.get("name"): case for case in suite.iter("testcase")}
    assert [suite.get(key) for key in ("tests", "failures", "errors", "skipped")] == ["4", "1", "1", "0"]
    kinds = {name: [child.tag for child in case if child.tag != "properties"] for name, case in found.items()}
    assert kinds == {"gap": ["failure"], "close": ["error"], "kept": ["system-out"], "run is complete": []}
    numbers = {item.get("name"): item.get("value") for item in found["gap"].iter("property")}
    assert float(str(numbers["value"])) == pytest.approx(0.225)
    assert pd.notna(float(str(numbers["low"])))


def test_a_real_run_is_judged_again_with_the_same_findings(tmp_path: Path) -> None:
    config = write_audit(tmp_path / "audit", policy="policy.yaml")
    square = {"id": "square", "metric": "region_share", "attribute": "overall", "compare": "excess", "tolerance": 3,
              "region": "square", "method": "saliency", "tier": "informational"}  # fmt: skip
    rules = policy_file(
        tmp_path / "audit" / "policy.yaml",
        {"id": "light", "attribute": "light", "tolerance": 0.3},
        {"id": "size", "attribute": "light x size", "metric": "true_positive_rate", "min_n": 3},
        square,
    )
    done = command("run", config, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    run = open_run(tmp_path / "run")
    found = check_run(run, rules, day=date(2027, 1, 1))
    assert found.preregistered
    stored = run.table("findings")
    numbers = ["value", "low", "high", "p", "p_adjusted", "threshold", "n_to_settle"]
    words = ["finding_id", "rule", "verdict", "tier", "text", "policy_sha256"]
    np.testing.assert_array_equal(found.findings[numbers].to_numpy(float), stored[numbers].to_numpy(float))
    assert found.findings[words].to_numpy().tolist() == stored[words].to_numpy().tolist()
    assert "Verdicts are preregistered" in check(tmp_path / "run", rules).stdout


def test_a_policy_that_cannot_be_judged_stops_the_run_before_it_starts(tmp_path: Path) -> None:
    config = write_audit(tmp_path / "audit", policy="policy.yaml", data__split={"column": "light", "keep": ["dim"]})
    policy_file(tmp_path / "audit" / "policy.yaml", {"attribute": "light"})
    done = command("run", config, "--out", tmp_path / "run")
    assert (done.returncode, "one group only (dim)" in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "run").exists()
