"""Claims: every row of a table that holds numbers has one name, and the name leads back to that row alone."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from audit.errors import InputError
from audit.run.claims import CLAIM_KEYS, claim_of, claim_parts, claims_of, find_claim
from audit.run.schema import TABLES

NASTY = "a:b%3A%:\n\t\u202e\u2028\x00\x7f é🧪 ' \" <b>&amp; "


def group_row(**changes: Any) -> dict[str, Any]:
    row = {"model": "plain", "attribute": "tone", "group": "dark", "metric": "accuracy", "class": None, "value": 0.5}
    return row | changes


def gap_row(**changes: Any) -> dict[str, Any]:
    return {"model": "plain", "attribute": "tone", "metric": "accuracy", "class": None, "compare": "range"} | changes


def test_a_claim_is_the_table_and_the_key() -> None:
    assert claim_of("groups", group_row()) == "groups:plain:tone:dark:accuracy:"
    assert claim_of("groups", group_row(**{"class": "cross"})) == "groups:plain:tone:dark:accuracy:cross"
    assert claim_of("coverage", {"attribute": "tone", "group": "dark"}) == "coverage:tone:dark:"


@pytest.mark.parametrize("nothing", [None, float("nan"), pd.NA])
def test_a_null_class_is_written_as_nothing_and_found(nothing: Any) -> None:
    table = pd.DataFrame([group_row(**{"class": nothing}), group_row(**{"class": "cross"}, value=0.25)])
    claim = claim_of("groups", table.iloc[0].to_dict())
    assert claim == "groups:plain:tone:dark:accuracy:"
    assert find_claim(table, claim)["value"].tolist() == [0.5]


def test_a_range_is_left_out_and_other_comparisons_are_not() -> None:
    assert claim_of("gaps", gap_row()) == "gaps:plain:tone:accuracy:"
    assert claim_of("gaps", gap_row(compare="ratio")) == "gaps:plain:tone:accuracy::ratio"
    table = pd.DataFrame([gap_row(value=0.1), gap_row(compare="ratio", value=0.8)])
    found = [find_claim(table, claim)["value"].tolist() for claim in claims_of("gaps", table)]
    assert found == [[0.1], [0.8]]
    assert claim_parts("gaps:plain:tone:accuracy:")[1]["compare"] == "range"
    assert find_claim(table, "gaps:plain:tone:accuracy::range")["value"].tolist() == [0.1]


def test_what_a_claim_is_made_of_is_encoded_inside_a_name() -> None:
    claim = claim_of("groups", group_row(attribute="a:b", group="50 %3A"))
    assert claim == "groups:plain:a%3Ab:50 %253A:accuracy:"
    assert claim_parts(claim) == (
        "groups",
        {"model": "plain", "attribute": "a:b", "group": "50 %3A", "metric": "accuracy", "class": ""},
    )


def test_names_of_every_script_stay_readable() -> None:
    for name in ("肤色深", "داكن", "тёмный тон", "🧑🏿\u200d🦱", "a b & <c> 'd' \"e\""):
        assert claim_of("groups", group_row(group=name)) == f"groups:plain:tone:{name}:accuracy:"


def test_what_cannot_be_shown_is_encoded() -> None:
    assert claim_of("groups", group_row(group="a\nb\x00c\x85d")) == "groups:plain:tone:a%0Ab%00c%C2%85d:accuracy:"
    turned = claim_of("groups", group_row(group="a\u202eb\u2028"))
    assert turned == "groups:plain:tone:a%E2%80%AEb%E2%80%A8:accuracy:"
    assert claim_parts(turned)[1]["group"] == "a\u202eb\u2028"


def test_numbers_are_written_alike_whatever_their_type() -> None:
    whole, real = ({"model": "m", "epoch": epoch} for epoch in (3, 3.0))
    assert claim_of("training", whole) == claim_of("training", real) == "training:m:3"
    assert find_claim(pd.DataFrame([real]), "training:m:3")["epoch"].tolist() == [3.0]


def test_claims_of_a_frame_are_those_of_its_rows_in_order() -> None:
    table = pd.DataFrame([group_row(group=name) for name in ("b", "a", "c:d")])
    assert claims_of("groups", table) == [claim_of("groups", row) for row in table.to_dict("records")]
    assert claims_of("groups", table.iloc[::-1]) == claims_of("groups", table)[::-1]
    assert claims_of("groups", table.iloc[:0]) == []


def test_a_column_that_an_older_run_lacks_is_null() -> None:
    older = pd.DataFrame([{"model": "m", "attribute": "a", "metric": "accuracy", "value": 0.2}])
    [claim] = claims_of("gaps", older)
    assert claim == "gaps:m:a:accuracy::"
    assert find_claim(older, claim)["value"].tolist() == [0.2]


def test_no_row_gives_an_empty_frame_with_the_columns() -> None:
    table = pd.DataFrame([group_row()])
    found = find_claim(table, "groups:plain:tone:light:accuracy:")
    assert found.empty
    assert list(found.columns) == list(table.columns)
    assert find_claim(table.iloc[:0], "groups:plain:tone:dark:accuracy:").empty


def test_a_claim_of_no_table_says_which_there_are() -> None:
    for call in (lambda: claim_of("group", {}), lambda: claims_of("group", pd.DataFrame())):
        with pytest.raises(InputError, match=r"no claim begins with table 'group'.*groups"):
            call()
    with pytest.raises(InputError, match="no claim begins with table 'images'"):
        claim_parts("images:a")


@pytest.mark.parametrize(
    "claim", ["groups:plain:tone", "groups:plain:tone:dark:accuracy::", "gaps:plain:tone", "groups"]
)
def test_a_claim_of_another_length_says_which_parts_it_needs(claim: str) -> None:
    with pytest.raises(InputError, match=r"parts after its table, allowed: model, attribute") as raised:
        find_claim(pd.DataFrame([group_row()]), claim)
    assert f"'{claim}' has {claim.count(':')} parts" in str(raised.value)


def test_every_key_is_a_column_of_its_table() -> None:
    for name, keys in CLAIM_KEYS.items():
        assert set(keys) <= set(TABLES[name]), name


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12) | st.sampled_from(
    [NASTY, ":", "%", "%3A", "::", "range", "nan", "None", " ", "a\x00", "\u2066x"]
)


@given(st.sampled_from(sorted(CLAIM_KEYS)), st.data())
@example("groups", None)
def test_every_claim_leads_back_to_its_row_alone(name: str, data: Any) -> None:
    keys = CLAIM_KEYS[name]
    if data is None:
        rows = [(NASTY, *keys[1:]), ("%3A", *keys[1:]), (":", *keys[1:]), ("", *keys[1:])]
    else:
        row = st.tuples(*(names | st.none() for _ in keys))
        rows = data.draw(st.lists(row, min_size=1, max_size=5, unique=True))
    table = pd.DataFrame(rows, columns=list(keys), dtype=object).assign(place=range(len(rows)))
    claims = claims_of(name, table)
    assert len(set(claims)) == len(rows)
    for place, claim in enumerate(claims):
        assert not any(sign in claim for sign in "\n\r\t\x00\x7f\u2028\u202e")
        assert find_claim(table, claim)["place"].tolist() == [place]
        named, parts = claim_parts(claim)
        assert named == name
        assert list(parts.values()) == ["" if value is None else value for value in rows[place]]
        assert claim_of(name, parts) == claim
