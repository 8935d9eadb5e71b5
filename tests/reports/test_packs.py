"""Legal packs: those that ship can be read and say who confirmed them; those of a user are checked key by key."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from audit.errors import ConfigError, InputError
from audit.run.statements import FURTHER_STATEMENTS, REQUIRED_STATEMENTS
from reports.bundle.packs import known_packs, load_pack

SHIPPED = ["eu-ai-act", "fda-gmlp", "iso-iec-42001", "nist-ai-rmf", "nyc-ll144", "us-29-cfr-1607"]

PACK: dict[str, Any] = {
    "id": "house-rules",
    "title": "House rules",
    "jurisdiction": "Our house",
    "version": date(2027, 1, 1),
    "source": [{"title": "House rules", "url": "https://example.org/rules"}],
    "confirmed": {"by": "Ana Ruiz, counsel", "date": date(2027, 1, 2)},
    "clauses": [{"id": "1", "title": "Count", "needs": ["coverage:*"], "statements": ["data_origin"]}],
}
CLAUSE = PACK["clauses"][0]


def written(folder: Path, **changes: Any) -> Path:
    path = folder / "rules.yaml"
    content = {key: value for key, value in {**PACK, **changes}.items() if value != "left out"}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def test_the_packs_that_ship_can_be_read() -> None:
    assert known_packs() == SHIPPED
    for name in SHIPPED:
        pack = load_pack(name)
        assert pack.id == name
        assert pack.confirmed is None  # whoever confirms one changes this line with the pack


def test_the_act_holds_the_articles_and_both_dates() -> None:
    clauses = {clause.id: clause for clause in load_pack("eu-ai-act").clauses}
    wanted = ["Art. 4a", "Art. 9", "Art. 11", "Annex IV 1", "Annex IV 2", "Annex IV 2(g)", "Annex IV 3", "Art. 12",
              "Art. 13(3)(b)", "Art. 14", "Art. 15"]  # fmt: skip
    assert set(wanted) < set(clauses)
    assert any(name.startswith("Art. 10") for name in clauses)
    for name, clause in clauses.items():
        if name != "Art. 4a":
            assert clause.in_force == date(2027, 12, 2)
            assert [later.date for later in clause.later] == [date(2028, 8, 2)]


def test_the_other_packs_hold_what_they_are_named_for() -> None:
    rmf = {clause.id for clause in load_pack("nist-ai-rmf").clauses}
    assert {f"Measure 2.{number}" for number in (1, 2, 3, 8, 9, 11)} < rmf
    assert [clause.id for clause in load_pack("fda-gmlp").clauses] == [f"Principle {n}" for n in range(1, 11)]
    for clause in load_pack("iso-iec-42001").clauses:  # the standard's own words are not repeated
        assert clause.title in (f"Clause {clause.id}", f"Control {clause.id}")
    four_fifths = {clause.id: clause for clause in load_pack("us-29-cfr-1607").clauses}["1607.4(D)"]
    assert "0.8" not in str(load_pack("us-29-cfr-1607"))
    assert "gaps:*:*:selection_rate:*:ratio" in four_fifths.needs


def test_every_question_that_ships_is_asked_by_some_pack() -> None:
    asked = {name for pack in SHIPPED for clause in load_pack(pack).clauses for name in clause.statements}
    assert asked == {*REQUIRED_STATEMENTS, *FURTHER_STATEMENTS}


def test_a_pack_of_the_user(tmp_path: Path) -> None:
    pack = load_pack(written(tmp_path))
    assert (pack.id, pack.confirmed is not None and pack.confirmed.by) == ("house-rules", "Ana Ruiz, counsel")
    assert load_pack(str(tmp_path / "rules.yaml")) == pack
    with pytest.raises(Exception, match="frozen"):
        pack.title = "other"  # type: ignore[misc]


def test_a_pack_may_ask_questions_of_its_own(tmp_path: Path) -> None:
    clause = {**CLAUSE, "statements": ["works_council"]}
    with pytest.raises(ConfigError, match="'works_council', which has no question"):
        load_pack(written(tmp_path, clauses=[clause]))
    pack = load_pack(written(tmp_path, clauses=[clause], questions={"works_council": "Was it heard?"}))
    assert pack.all_questions["works_council"] == "Was it heard?"


@pytest.mark.parametrize(
    ("name", "said"), [("eu-ai-akt", "Did you mean 'eu-ai-act'"), ("nothing/at all", "allowed: eu")]
)
def test_an_unknown_pack_is_named_with_the_nearest(name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        load_pack(name)


def test_a_file_that_is_not_there_or_no_pack(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_pack(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- a\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="keys and values"):
        load_pack(tmp_path / "list.yaml")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"juristiction": "x"}, "unknown key 'juristiction'; allowed: id, title, .*Did you mean 'jurisdiction'"),
        ({"confirmed": "left out"}, "key 'confirmed' is missing"),
        ({"version": "soon"}, "version"),
        ({"source": []}, "source"),
        ({"source": [{"title": "t", "url": "ftp://x"}]}, "source.0.url"),
        ({"source": [{"title": "t", "url": "https://x", "page": 1}]}, "unknown key 'source.0.page'; allowed: title, url"),
        ({"confirmed": {"by": "x", "on": 1, "date": date(2027, 1, 1)}}, "'confirmed.on'; allowed: by, date"),
        ({"clauses": [CLAUSE, CLAUSE]}, "clause '1' occurs more than once"),
        ({"clauses": [{**CLAUSE, "nedds": []}]}, "'clauses.0.nedds'; allowed: id, title, .*Did you mean 'needs'"),
        ({"clauses": [{"id": "1", "title": "t"}]}, "asks for nothing"),
        ({"clauses": [{**CLAUSE, "needs": ["grups:*"]}]}, "table 'grups'.*Did you mean 'groups'"),
        ({"clauses": [{**CLAUSE, "needs": ["groups:*:tone"]}]}, "has 2 parts after its table"),
        ({"clauses": [{**CLAUSE, "applies": ["leakage:*:*:*"]}]}, "has 3 parts after its table"),
        ({"clauses": [{**CLAUSE, "statements": ["data_orign"]}]}, "Did you mean 'data_origin'"),
        ({"clauses": [{**CLAUSE, "id": 1607.1}]}, "clauses.0.id"),
    ],
)  # fmt: skip
def test_what_a_pack_may_not_hold(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_pack(written(tmp_path, **changes))
