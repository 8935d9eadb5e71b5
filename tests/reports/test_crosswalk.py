"""The crosswalk: every claim it names exists, what is missing is listed, and it never says that anything is enough."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from audit.run import Run
from audit.run.claims import CLAIM_KEYS, claims_of, find_claim
from audit.run.statements import FURTHER_STATEMENTS, REQUIRED_STATEMENTS, Statement
from reports.bundle.crosswalk import STATUSES, crosswalk
from reports.bundle.packs import Pack, known_packs, load_pack
from tests.reports.test_packs import PACK

DAY = date(2026, 11, 25)
FILES = (
    "run.json", "results.json", "schema/results.schema.json", "verdicts.json", "report.html", "modelcard.md",
    "mlbom.cdx.json", "manifest.json", "policy.yaml", "tables/groups.csv", "tables/gaps.csv",
)  # fmt: skip
LAW = ("local-law-144/selection.csv", "local-law-144/scoring.csv")


def said(about: str, kind: Any = "statement", number: int = 1) -> Statement:
    time = "2026-11-01T09:00:00+00:00"
    return Statement(f"{number:04d}", kind, about, "Ana Ruiz", "owner", time, "So it is.", None, "", "0" * 64)


EVERYTHING = tuple(said(name) for name in (*REQUIRED_STATEMENTS, *FURTHER_STATEMENTS))


def packs() -> list[Pack]:
    return [load_pack(name) for name in known_packs()]


def house(tmp_path: Path, **clause: Any) -> Pack:
    path = tmp_path / "house.yaml"
    path.write_text(yaml.safe_dump({**PACK, "clauses": [{"id": "1", "title": "t", **clause}]}), encoding="utf-8")
    return load_pack(path)


def one(
    run: Run, pack: Pack, statements: tuple[Statement, ...] = (), day: date = DAY, **options: Any
) -> dict[str, Any]:
    (entry,) = crosswalk(run, [pack], statements, FILES, day, **options)["packs"]
    clause: dict[str, Any] = entry["clauses"][0]
    return clause


def test_every_claim_that_any_pack_names_exists(sample: Run) -> None:
    content = crosswalk(sample, packs(), EVERYTHING, FILES, DAY)
    clauses = list(chain.from_iterable(pack["clauses"] for pack in content["packs"]))
    named = {claim for clause in clauses for item in clause["evidence"] for claim in item.get("claims", ())}
    assert len(named) > 100
    tables = {table: sample.table(table) for table in CLAIM_KEYS}
    for claim in named:
        assert len(find_claim(tables[claim.partition(":")[0]], claim)) == 1
    assert {name for clause in clauses for item in clause["evidence"] for name in item.get("files", ())} <= set(FILES)


def test_every_pattern_of_every_pack_finds_something_in_a_full_run(sample: Run) -> None:
    """A misspelt pattern would be missing for ever."""
    content = crosswalk(sample, packs(), EVERYTHING, (*FILES, *LAW), DAY)
    lacking = {gap for pack in content["packs"] for clause in pack["clauses"] for gap in clause["missing"]}
    assert lacking == {"claims findings:*:*selection_rate*"}  # the built-in policy has no rule on selection rates


def test_a_run_without_policy_rule_statements_or_law_tables(sample: Run) -> None:
    content = crosswalk(sample, packs(), (), FILES, DAY)
    found = {pack["id"]: {clause["id"]: clause for clause in pack["clauses"]} for pack in content["packs"]}
    assert found["nyc-ll144"]["5-301(b)"]["missing"] == ["file local-law-144/selection.csv"]
    assert found["nyc-ll144"]["5-301(c)"]["status"] == "not applicable"
    assert found["nyc-ll144"]["5-301(c)"]["reason"] == "the run holds none of: local-law-144/scoring.csv"
    record = found["eu-ai-act"]["Art. 12"]
    question = FURTHER_STATEMENTS["record_keeping"]
    assert (record["status"], record["missing"]) == ("input missing", [f"statement 'record_keeping': {question}"])
    assert found["eu-ai-act"]["Annex IV 2(g)"]["status"] == "evidence present"
    for pack in content["packs"]:
        assert sum(pack["counts"].values()) == len(pack["clauses"])
        assert pack["confirmation"] == "nobody has confirmed this pack against its source"
        assert pack["confirmed"] is None


def test_it_is_json_the_same_twice_and_never_a_judgement(sample: Run) -> None:
    texts = [
        json.dumps(crosswalk(sample, packs(), EVERYTHING, files, DAY), allow_nan=False)
        for files in (FILES, tuple(reversed(FILES)))
    ]
    assert texts[0] == texts[1]
    assert not [word for word in ("compliant", "fulfilled", "passed", str(sample.path)) if word in texts[0].lower()]
    statuses = {clause["status"] for pack in json.loads(texts[0])["packs"] for clause in pack["clauses"]}
    assert statuses <= set(STATUSES)


def test_statements_given_and_missing(sample: Run, tmp_path: Path) -> None:
    pack = house(tmp_path, statements=["oversight", "data_origin"])
    entries = (said("oversight"), said("oversight", number=2), said("data_origin", "note", 3))
    clause = one(sample, pack, entries)
    given, missing = clause["statements"]
    assert (given["given"], given["entry"], given["author"], missing["given"]) == (True, "0002", "Ana Ruiz", False)
    assert clause["status"] == "input missing"
    assert clause["missing"] == [f"statement 'data_origin': {REQUIRED_STATEMENTS['data_origin']}"]
    whole = one(sample, pack, (*entries, said("data_origin", number=4)))
    assert (whole["status"], whole["missing"]) == ("evidence present", [])


def test_claims_are_counted_whole_and_named_in_part(sample: Run, tmp_path: Path) -> None:
    (item,) = one(sample, house(tmp_path, needs=["groups:*:tone:*"]), most=3)["evidence"]
    groups = sample.table("groups")
    held = groups[(groups["attribute"] == "tone") & groups["value"].notna()]
    assert item["total"] == len(held)
    assert item["claims"] == claims_of("groups", held)[:3]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("gaps:*:tone:accuracy:*:range", lambda gaps: (gaps["metric"] == "accuracy") & (gaps["compare"] == "range")),
        ("gaps:*:tone:accuracy:*", lambda gaps: gaps["metric"] == "accuracy"),
        ("gaps:*-keras:tone:*", lambda gaps: gaps["model"] == "biased-keras"),
        ("gaps:*:tone:*:*:r*", lambda gaps: gaps["compare"].isin(["range", "ratio"])),
    ],
)
def test_a_pattern_goes_part_by_part(sample: Run, tmp_path: Path, pattern: str, expected: Callable[[Any], Any]) -> None:
    gaps = sample.table("gaps")
    chosen = gaps[(gaps["attribute"] == "tone") & expected(gaps) & gaps["value"].notna()]
    assert len(chosen)
    (item,) = one(sample, house(tmp_path, needs=[pattern]), most=10**6)["evidence"]
    assert item["claims"] == claims_of("gaps", chosen)


def test_a_claim_without_a_number_is_no_evidence(changed: Any, sample: Run, tmp_path: Path) -> None:
    groups = sample.table("groups")
    hidden = groups["attribute"] == "marker"
    groups["value"] = groups["value"].mask(hidden, np.nan)
    groups["status"] = groups["status"].mask(hidden, "suppressed")
    clause = one(changed({"groups": groups}), house(tmp_path, needs=["groups:*:marker:*"]))
    (item,) = clause["evidence"]
    assert (item["total"], item["claims"], item["without_value"]) == (0, [], int(hidden.sum()))
    assert clause["status"] == "input missing"
    assert clause["missing"] == [f"claims groups:*:marker:*; {int(hidden.sum())} without a number"]


def test_a_table_that_is_not_there_is_missing(changed: Any, tmp_path: Path) -> None:
    clause = one(changed(without=("robustness",)), house(tmp_path, needs=["robustness:*", "coverage:*"]))
    assert (clause["status"], clause["missing"]) == ("input missing", ["claims robustness:*"])


def test_a_clause_about_what_the_run_has_not_is_not_applicable(changed: Any, tmp_path: Path) -> None:
    pack = house(tmp_path, applies=["robustness:*"], needs=["coverage:*"], statements=["oversight"])
    clause = one(changed(without=("robustness",)), pack)
    assert (clause["status"], clause["missing"], clause["evidence"]) == ("not applicable", [], [])


def test_dates_are_held_against_the_day(sample: Run, tmp_path: Path) -> None:
    later = [{"date": date(2028, 8, 2), "scope": "others"}]
    pack = house(tmp_path, in_force=date(2027, 12, 2), scope="some", later=later, needs=["coverage:*"])
    expected = {
        date(2027, 12, 1): "not yet in force until 2027-12-02 for some; not yet in force until 2028-08-02 for others",
        date(2027, 12, 2): "in force since 2027-12-02 for some; not yet in force until 2028-08-02 for others",
        date(2028, 8, 2): "in force since 2027-12-02 for some; in force since 2028-08-02 for others",
    }
    assert {day: one(sample, pack, day=day)["force"] for day in expected} == expected
    assert one(sample, house(tmp_path, needs=["coverage:*"]))["force"] == "the pack gives no date"


def test_who_confirmed_a_pack_is_said(sample: Run, tmp_path: Path) -> None:
    (entry,) = crosswalk(sample, [house(tmp_path, needs=["coverage:*"])], (), (), DAY)["packs"]
    assert entry["confirmation"] == "confirmed against its source by Ana Ruiz, counsel on 2027-01-02"
    assert entry["confirmed"] == {"by": "Ana Ruiz, counsel", "date": "2027-01-02"}


def test_an_incomplete_run_is_said_to_be(changed: Any) -> None:
    assert crosswalk(changed(complete=False), [], (), (), DAY)["complete"] is False


def test_a_statement_that_was_made_again_counts_as_made_last(sample: Run, tmp_path: Path) -> None:
    first = said("oversight")
    entries = (first, replace(first, id="0002", author="Bo Lin"))
    (given,) = one(sample, house(tmp_path, statements=["oversight"]), entries)["statements"]
    assert (given["entry"], given["author"]) == ("0002", "Bo Lin")
