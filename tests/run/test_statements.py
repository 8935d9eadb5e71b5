"""The log of statements: what may be said, by whom, about what; and what shows that a line was touched."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.errors import InputError, RunError
from audit.run import Run, open_run
from audit.run.files import lock, write_json
from audit.run.integrity import IntegrityError
from audit.run.schema import columns
from audit.run.statements import (
    FURTHER_STATEMENTS,
    LOG,
    REQUIRED_STATEMENTS,
    Statement,
    add_statement,
    chain_problems,
    missing_statements,
    read_statements,
    statements_yaml,
)
from audit.run.tables import write_table

TIME = datetime(2027, 3, 1, 9, 30, tzinfo=UTC)
SAID: dict[str, Any] = {
    "kind": "statement",
    "about": "intended_purpose",
    "author": "Ana Ruiz",
    "role": "product owner",
    "text": "Counts smiles in a kiosk.",
    "time": TIME,
}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Nothing but two tables that claims are about."""
    folder = tmp_path / "run"
    write_json(folder / "run.json", {"schema_version": 1})
    groups = [{"model": "m", "attribute": "tone", "group": name, "metric": "accuracy"} for name in ("dark", "light")]
    for name, rows in (("groups", groups), ("findings", [{"model": "m", "rule": "gap"}])):
        write_table(folder, name, pd.DataFrame(rows, columns=columns(name)).astype(object).replace(np.nan, None))
    return open_run(folder)


def say(run: Run, **changes: Any) -> Statement:
    return add_statement(run, **{**SAID, **changes})


def three(run: Run) -> list[str]:
    """A log of three entries; its lines."""
    for about in ("intended_purpose", "oversight", "residual_risk"):
        say(run, about=about)
    return log(run).read_text(encoding="utf-8").splitlines()


def log(run: Run) -> Path:
    return run.path / LOG


def test_an_entry_is_chained_to_the_one_before_by_hand(run: Run) -> None:
    first, second = say(run), say(run, about="oversight", text="不可以单独决定。")
    assert (first.id, first.previous, second.id, second.previous) == ("0001", "", "0002", first.sha256)
    spelt = (
        '{"about":"oversight","author":"Ana Ruiz","expires":null,"id":"0002","kind":"statement",'
        f'"previous":"{first.sha256}","role":"product owner","text":"不可以单独决定。",'
        '"time":"2027-03-01T09:30:00+00:00"}'
    )
    assert second.sha256 == hashlib.sha256(spelt.encode()).hexdigest()
    assert read_statements(open_run(run.path)) == (first, second)
    assert chain_problems(log(run)) == []


def test_a_run_without_a_log_has_no_statements(run: Run) -> None:
    assert read_statements(run) == ()
    assert chain_problems(log(run)) == []
    assert missing_statements(()) == list(REQUIRED_STATEMENTS)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"author": "  "}, "author is empty"),
        ({"text": ""}, "text is empty"),
        ({"text": "\ud800"}, "no text"),
        ({"role": "\udfff"}, "no text"),
        ({"kind": "statment"}, "Did you mean 'statement'"),
        ({"about": "intended_purpos"}, "Did you mean 'intended_purpose'"),
        ({"about": "grups:a:b"}, "neither a statement nor a claim"),
        ({"about": "groups:a"}, "has 1 parts"),
        ({"time": datetime(2027, 3, 1)}, "no time zone"),
        ({"expires": date(2027, 4, 1)}, "needed for a waiver, and only there"),
        ({"kind": "waiver", "about": "findings:m:gap"}, "needed for a waiver, and only there"),
        ({"kind": "waiver", "expires": date(2027, 4, 1)}, "a claim of table findings"),
    ],
)
def test_what_may_not_be_said(run: Run, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        say(run, **changes)
    assert not log(run).exists()


def test_a_claim_that_does_not_exist_is_refused_with_the_nearest(run: Run) -> None:
    claim = "groups:m:tone:dark:accuracy:"
    with pytest.raises(InputError, match=f"does not exist in this run. Did you mean '{claim}'"):
        say(run, about="groups:m:tone:drak:accuracy:")
    with pytest.raises(InputError, match="does not exist in this run"):
        say(run, about="leakage:m:tone")  # a table that this run has not
    assert say(run, about=claim, kind="note").about == claim


def test_a_waiver_needs_a_finding_and_a_last_day(run: Run) -> None:
    made = say(run, kind="waiver", about="findings:m:gap", expires=date(2027, 3, 1))
    assert made.expires == "2027-03-01"
    with pytest.raises(InputError, match="expires on 2027-02-28, before the day on which it is made, 2027-03-01"):
        say(run, kind="waiver", about="findings:m:gap", expires=date(2027, 2, 28))
    (shown,) = yaml.safe_load(statements_yaml(read_statements(run)))["waivers"]
    assert (shown["about"], shown["expires"]) == ("findings:m:gap", "2027-03-01")


def test_a_pack_of_the_user_may_ask_for_more(run: Run) -> None:
    with pytest.raises(InputError, match="neither"):
        say(run, about="works_council")
    assert say(run, about="works_council", further=("works_council",)).about == "works_council"
    assert say(run, about=next(iter(FURTHER_STATEMENTS))).id == "0002"


def test_a_bundle_is_sealed(run: Run) -> None:
    bundle = Run(run.path, {**run.record, "disclosure": {"level": "public"}})
    with pytest.raises(InputError, match="sealed"):
        say(bundle)


def _changed(lines: list[str]) -> list[str]:
    return [lines[0], lines[1].replace("kiosk", "bank"), lines[2]]


def _changed_and_hashed(lines: list[str]) -> list[str]:
    """The second line says something else, and its own digest is made anew."""
    content = json.loads(lines[1])
    content["text"] = "Counts smiles in a bank."
    content.pop("sha256")
    bare = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    content["sha256"] = hashlib.sha256(bare.encode()).hexdigest()
    return [lines[0], json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False), lines[2]]


def _twice(lines: list[str]) -> list[str]:
    """A key that stands twice: a reader that takes the first one reads something else."""
    return [lines[0].replace("{", '{"text":"Grants loans.",', 1), *lines[1:]]


TOUCHED: list[tuple[Callable[[list[str]], list[str]], str]] = [
    (_changed, "line 2: was changed"),
    (_changed_and_hashed, "line 3: does not follow"),
    (_twice, "line 1: was changed"),
    (lambda lines: [lines[0], lines[2]], "line 2: does not follow"),
    (lambda lines: [lines[1], lines[2]], "line 1: does not follow"),
    (lambda lines: [lines[1], lines[0], lines[2]], "line 1: does not follow"),
    (lambda lines: [lines[0], lines[0], lines[1], lines[2]], "line 2: does not follow"),
    (lambda lines: [lines[0], "", lines[1], lines[2]], "line 2: is no entry"),
    (lambda lines: [lines[0], "[]", lines[2]], "line 2: is no entry"),
    (lambda lines: [lines[0], lines[1].replace('"statement"', '"vow"'), lines[2]], "line 2: is no entry"),
    (lambda lines: [lines[0], lines[1][:40], lines[2]], "line 2: is no entry"),
    (lambda lines: [lines[0].replace("Ana Ruiz", "\\ud800"), *lines[1:]], "line 1: was changed"),
]


@pytest.mark.parametrize(("touch", "said"), TOUCHED)
def test_a_line_that_was_touched_is_named(run: Run, touch: Callable[[list[str]], list[str]], said: str) -> None:
    lines = touch(three(run))
    log(run).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    assert any(said in problem for problem in chain_problems(log(run)))
    with pytest.raises(IntegrityError, match=said):
        read_statements(run)
    with pytest.raises(IntegrityError, match=said):
        say(run)


def test_only_the_lines_at_the_end_can_go_unseen(run: Run) -> None:
    lines = three(run)
    log(run).write_text("".join(f"{line}\n" for line in lines[:2]), encoding="utf-8")
    assert chain_problems(log(run)) == []


def test_a_torn_line_is_named_left_out_and_dropped_by_the_next_entry(run: Run) -> None:
    lines = three(run)
    log(run).write_bytes(log(run).read_bytes()[:-10])
    assert chain_problems(log(run)) == [f"{LOG}, line 3: is torn; it was never finished"]
    assert [entry.about for entry in read_statements(run)] == ["intended_purpose", "oversight"]
    assert say(run, about="residual_risk").id == "0003"
    assert log(run).read_text(encoding="utf-8").splitlines() == lines
    assert chain_problems(log(run)) == []


def test_the_log_is_written_under_the_lock(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.run.files._LOCK_PATIENCE", 0.0)
    with lock(run.path), pytest.raises(RunError, match="another process"):
        say(run)
    assert read_statements(run) == ()


def test_an_entry_is_on_the_disk_before_it_counts(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda _: seen.append(log(run).stat().st_size))
    say(run)
    assert seen
    assert seen[0] == log(run).stat().st_size > 0


def test_a_folder_that_cannot_be_written_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="No space left"):
        say(run)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip), max_size=4))
def test_any_text_comes_back_on_one_line_each(run: Run, texts: list[str]) -> None:
    log(run).unlink(missing_ok=True)
    for text in texts:
        say(run, text=text)
    assert [entry.text for entry in read_statements(run)] == [text.strip() for text in texts]
    content = log(run).read_text(encoding="utf-8") if texts else ""
    assert len(content.splitlines()) == len(texts)
    loaded = yaml.safe_load(statements_yaml(read_statements(run)))
    if texts:
        assert loaded["statements"][0]["said"]["text"] == texts[-1].strip()


def test_the_yaml_says_what_counts_what_was_overtaken_and_what_is_missing(run: Run) -> None:
    say(run, text="First.")
    say(run, text="Second.")
    say(run, kind="note", about="oversight", text="Ask the night shift.")
    entries = read_statements(run)
    text = statements_yaml(entries)
    assert text == statements_yaml(read_statements(open_run(run.path)))
    content = yaml.safe_load(text)
    (topic,) = content["statements"]
    assert (topic["about"], topic["said"]["text"]) == ("intended_purpose", "Second.")
    assert topic["question"] == REQUIRED_STATEMENTS["intended_purpose"]
    assert [entry["text"] for entry in topic["earlier"]] == ["First."]
    assert [note["about"] for note in content["notes"]] == ["oversight"]
    missing = [name for name in REQUIRED_STATEMENTS if name != "intended_purpose"]
    assert [item["about"] for item in content["missing"]] == missing == missing_statements(entries)
