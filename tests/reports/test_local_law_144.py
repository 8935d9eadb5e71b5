"""Local Law 144: rates and impact ratios against a small example that is worked out by hand here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from audit.errors import InputError
from audit.fairness import group_table
from audit.run import Run, open_run
from audit.run.claims import find_claim
from audit.run.files import write_json
from audit.run.schema import columns
from audit.run.tables import write_table
from reports.bundle.local_law_144 import COLUMNS, UNKNOWN, Categories, local_law_144, local_law_144_files
from reports.bundle.local_law_144_section import local_law_144_section
from reports.nodes import Document, Paragraph, Table

BY = Categories("sex", "race")

HAND = {
    # sex, race: (images, of which selected, of which with a score above the median)
    ("female", "A"): (40, 20, 10),
    ("female", "B"): (20, 5, 5),
    ("male", "A"): (30, 24, 24),
    ("male", "B"): (9, 3, 6),
    ("male", "C"): (1, 1, 1),
    ("female", None): (4, 2, 2),
    (None, "A"): (2, 1, 2),
}
"""106 images. Known sex: 104 (female 64, male 40). Known race: 102 (A 72, B 29, C 1). Both known: 100."""


def make(folder: Path, cells: dict[tuple[str | None, str | None], tuple[int, int, int]] = HAND, **data: object) -> Run:
    """A run of one model with these counts, and its table of groups."""
    rows = [
        (sex, race, place < selected, place < high)
        for (sex, race), (n, selected, high) in cells.items()
        for place in range(n)
    ]
    ids = [f"i{place:03d}" for place in range(len(rows))]
    images = pd.DataFrame({"image_id": ids, "label": "yes", "status": "ok"})
    images = images.assign(attr_sex=[row[0] for row in rows], attr_race=[row[1] for row in rows])
    predictions = pd.DataFrame({"model": "m", "image_id": ids, "label": "yes", "status": "ok"})
    predictions["predicted"] = ["yes" if row[2] else "no" for row in rows]
    predictions["probabilities"] = [[0.1, 0.9] if row[3] else [0.8, 0.2] for row in rows]
    facts = {
        "classes": ["no", "yes"],
        "positive": "yes",
        "attributes": [{"name": "sex"}, {"name": "race"}],
        "cluster": None,
        **data,
    }
    write_json(folder / "run.json", {"schema_version": 1, "models": [{"name": "m"}], "data": facts})
    attributes, crossed = ["sex", "race"], [["sex", "race"]]
    groups = group_table(images, predictions, ["no", "yes"], "yes", attributes, crossed)
    for name, frame in (("images", images), ("predictions", predictions), ("groups", groups)):
        full = frame.reindex(columns=[*columns(name), *(c for c in frame if c.startswith("attr_"))])
        write_table(folder, name, full.astype(object).where(full.notna(), None))
    return open_run(folder)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make(tmp_path_factory.mktemp("law") / "run")


def part(table: pd.DataFrame, kind: str) -> dict[tuple[str, str], dict[str, object]]:
    chosen = table[table["table"] == kind]
    return {(row["sex"], row["race_ethnicity"]): row for row in chosen.to_dict("records")}


def test_by_sex(run: Run) -> None:
    cells = part(local_law_144(run, BY), "sex")
    female, male = cells["female", ""], cells["male", ""]
    # female: 20 + 5 + 2 = 27 of 64; male: 24 + 3 + 1 = 28 of 40
    assert (female["n"], female["selected"], male["n"], male["selected"]) == (64, 27, 40, 28)
    assert (female["rate"], male["rate"]) == (27 / 64, 28 / 40)
    assert male["impact_ratio"] == 1
    assert female["impact_ratio"] == pytest.approx((27 / 64) / (28 / 40))
    assert female["share"] == 64 / 104
    unknown = cells[UNKNOWN, ""]
    assert (unknown["n"], unknown["status"]) == (2, "unknown")
    assert pd.isna(unknown["rate"])
    assert pd.isna(unknown["selected"])
    assert pd.isna(unknown["share"])


def test_by_race_a_category_under_two_per_cent_is_listed_and_left_out(run: Run) -> None:
    cells = part(local_law_144(run, BY), "race_ethnicity")
    # A: 20 + 24 + 1 = 45 of 72 = 0.625; B: 5 + 3 = 8 of 29; C: 1 of 1, but 1 of 102 is under 2 %
    assert [cells["", race]["rate"] for race in "ABC"] == [45 / 72, 8 / 29, 1.0]
    assert [cells["", race]["status"] for race in "ABC"] == ["ok", "ok", "left_out"]
    assert cells["", "A"]["impact_ratio"] == 1
    assert cells["", "B"]["impact_ratio"] == pytest.approx(8 / 29 / 0.625)
    assert pd.isna(cells["", "C"]["impact_ratio"])
    assert cells["", UNKNOWN]["n"] == 4


def test_nothing_is_left_out_where_nobody_asks_for_it(run: Run) -> None:
    cells = part(local_law_144(run, Categories("sex", "race", exclude_below=0.0)), "race_ethnicity")
    assert [cells["", race]["impact_ratio"] for race in "ABC"] == [45 / 72, pytest.approx(8 / 29), 1.0]


def test_exactly_two_per_cent_is_kept(tmp_path: Path) -> None:
    # 7 of 350 is 2 %, for which 0.02 * 350 is 7.000000000000001 in floats
    run = make(tmp_path, {("female", "A"): (343, 100, 100), ("male", "A"): (7, 7, 7)})
    cells = part(local_law_144(run, BY), "sex")
    assert (cells["male", ""]["status"], cells["female", ""]["impact_ratio"]) == ("ok", 100 / 343)


def test_by_intersection(run: Run) -> None:
    cells = part(local_law_144(run, BY), "intersection")
    rates = {("female", "A"): 20 / 40, ("female", "B"): 5 / 20, ("male", "A"): 24 / 30, ("male", "B"): 3 / 9}
    for pair, expected in rates.items():
        assert cells[pair]["rate"] == expected
        assert cells[pair]["impact_ratio"] == pytest.approx(expected / 0.8)
        assert cells[pair]["share"] == HAND[pair][0] / 100
    assert (cells["male", "C"]["status"], cells["male", "C"]["rate"]) == ("left_out", 1.0)
    nobody = cells["female", "C"]
    assert (nobody["n"], nobody["status"]) == (0, "undefined")
    assert pd.isna(nobody["rate"])
    assert cells[UNKNOWN, UNKNOWN]["n"] == 6
    assert len(cells) == 2 * 3 + 1


def test_scoring(run: Run) -> None:
    # 50 of 106 scores are 0.9 and 56 are 0.2: the median is 0.2, and the 50 lie above it.
    table = local_law_144(run, BY, "scoring")
    sex, race = part(table, "sex"), part(table, "race_ethnicity")
    # female: 10 + 5 + 2 = 17 of 64; male: 24 + 6 + 1 = 31 of 40
    assert (sex["female", ""]["rate"], sex["male", ""]["rate"]) == (17 / 64, 31 / 40)
    assert sex["female", ""]["impact_ratio"] == pytest.approx((17 / 64) / (31 / 40))
    # A: 10 + 24 + 2 = 36 of 72; B: 5 + 6 = 11 of 29
    assert [race["", name]["rate"] for name in "AB"] == [0.5, 11 / 29]
    assert set(table["claim"]) == {""}


def test_a_score_at_the_median_is_not_above_it(tmp_path: Path) -> None:
    run = make(tmp_path, {("female", "A"): (4, 2, 4), ("male", "A"): (4, 2, 4)})
    table = local_law_144(run, BY, "scoring")
    assert table["rate"].tolist() == [0.0] * 5
    assert set(table["status"]) == {"undefined"}
    assert table["impact_ratio"].isna().all()


def test_groups_that_mean_unknown_are_counted_as_such(tmp_path: Path) -> None:
    cells = {("female", "A"): (10, 5, 5), ("male", "A"): (10, 10, 5), ("not said", "A"): (5, 5, 5)}
    run = make(tmp_path, cells)
    table = local_law_144(run, Categories("sex", "race", unknown=("not said",)))
    assert part(table, "sex")[UNKNOWN, ""]["n"] == 5
    assert part(table, "sex")["female", ""]["share"] == 0.5
    assert part(table, "race_ethnicity")["", "A"]["n"] == 25


def test_claims_lead_to_the_same_rate(run: Run) -> None:
    table, groups = local_law_144(run, BY), run.table("groups")
    named = table[table["claim"] != ""]
    assert set(named["table"]) == {"sex", "race_ethnicity", "intersection"}
    for row in named.to_dict("records"):
        found = find_claim(groups, row["claim"])
        assert (found["n"].item(), found["value"].item()) == (row["n"], pytest.approx(row["rate"]))


def public(run: Run, folder: Path, groups: pd.DataFrame) -> Run:
    """What is left where no row about an image is."""
    write_json(folder / "run.json", run.record)
    write_table(folder, "groups", groups)
    return open_run(folder)


def test_without_predictions_the_table_of_groups_gives_the_same(run: Run, tmp_path: Path) -> None:
    left = public(run, tmp_path / "left", run.table("groups"))
    table, expected = local_law_144(left, BY), local_law_144(run, BY)
    shown = expected[expected["n"] > 0]
    order = ["table", "sex", "race_ethnicity"]
    both = [frame.sort_values(order, ignore_index=True) for frame in (table[table["n"] > 0], shown)]
    pd.testing.assert_frame_equal(both[0], both[1], check_dtype=False)
    assert local_law_144(left, BY, "scoring").empty
    assert list(local_law_144_files(left, BY)) == ["local-law-144/selection.csv"]


def test_beside_a_suppressed_category_no_ratio_is_given(run: Run, tmp_path: Path) -> None:
    groups = run.table("groups")
    hidden = (groups["attribute"] == "race") & groups["group"].isin(["B", "C"])
    for column in ("n", "clusters", "value", "low", "high"):
        groups[column] = groups[column].mask(hidden)
    groups["status"] = groups["status"].mask(hidden, "suppressed")
    groups = groups[groups["attribute"] != "sex x race"]
    table = local_law_144(public(run, tmp_path / "left", groups), BY)
    cells = part(table, "race_ethnicity")
    assert [cells["", race]["status"] for race in "ABC"] == ["not_comparable", "suppressed", "suppressed"]
    assert cells["", "A"]["rate"] == 45 / 72
    for race in "ABC":
        assert pd.isna(cells["", race]["impact_ratio"])
        assert pd.isna(cells["", race]["share"])
    assert part(table, "sex")["female", ""]["impact_ratio"] == pytest.approx((27 / 64) / (28 / 40))
    assert not part(table, "intersection")


@pytest.mark.parametrize(
    ("categories", "said"),
    [
        (Categories("sexe", "race"), "'sexe' for sex is not in the run.*Did you mean 'sex'"),
        (Categories("sex", "sex"), "given for sex and for race"),
        (Categories("sex", "race", selected="yess"), "Did you mean 'yes'"),
        (Categories("sex", "race", exclude_below=2.0), "exclude_below is 2.0"),
    ],
)
def test_what_cannot_be_asked(run: Run, categories: Categories, said: str) -> None:
    with pytest.raises(InputError, match=said):
        local_law_144(run, categories)


def test_without_a_positive_class_one_has_to_be_named(tmp_path: Path) -> None:
    run = make(tmp_path, positive=None)
    with pytest.raises(InputError, match="no class means being selected"):
        local_law_144(run, BY)
    table = local_law_144(run, Categories("sex", "race", selected="no"))
    assert part(table, "sex")["female", ""]["selected"] == 64 - 27


def test_the_files_are_the_same_twice_and_the_section_says_what_was_left_out(run: Run) -> None:
    files = local_law_144_files(run, BY)
    assert files == local_law_144_files(open_run(run.path), BY)
    assert list(files) == ["local-law-144/selection.csv", "local-law-144/scoring.csv"]
    assert files["local-law-144/selection.csv"].splitlines()[0] == ",".join(COLUMNS)
    blocks = list(Document("t", "s", True, sections=(local_law_144_section(run, BY),)).walk())
    tables = [block for block in blocks if isinstance(block, Table)]
    assert len(tables) == 6
    race = next(table for table in tables if table.caption.endswith("by race or ethnicity"))
    texts = [[cell.text for cell in row] for row in race.rows]
    assert texts[1] == ["B", "29", "28.4 %", "8", "0.276", "0.441", ""]
    assert texts[2] == ["C", "1", "1.0 %", "1", "1.000", "–", "left out of the ratios: small share"]
    words = " ".join(block.text for block in blocks if isinstance(block, Paragraph))
    assert "for a policy" in words
    assert "compliant" not in words


def test_the_section_draws_as_html_and_says_where_scores_are_withheld(run: Run, tmp_path: Path) -> None:
    from reports.html import render_html

    groups = run.table("groups")
    left = public(run, tmp_path / "left", groups[groups["attribute"] != "sex x race"])
    section = local_law_144_section(left, Categories("sex", "race", exclude_below=0.0))
    text = render_html(Document("t", "s", True, sections=(section,)))
    assert "Scoring rates: not measured" in text
    assert "No category was left out" in text
    assert "Selection rates by intersection are withheld" in text


def test_many_rates_against_a_plain_count(tmp_path: Path) -> None:
    """The same as counting with a loop, on invented data."""
    random = np.random.default_rng(3)
    cells = {(sex, race): (n, int(random.integers(0, n + 1)), 0) for sex in "fmx" for race in "abcd"
             for n in [int(random.integers(1, 40))]}  # fmt: skip
    table = local_law_144(make(tmp_path, cells), Categories("sex", "race", exclude_below=0.0))
    for sex in "fmx":
        n = sum(cells[sex, race][0] for race in "abcd")
        hits = sum(cells[sex, race][1] for race in "abcd")
        best = max(sum(cells[s, r][1] for r in "abcd") / sum(cells[s, r][0] for r in "abcd") for s in "fmx")
        row = part(table, "sex")[sex, ""]
        assert (row["n"], row["rate"], row["impact_ratio"]) == (n, hits / n, pytest.approx(hits / n / best))
