"""Counting and the page, on invented figures whose counts are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.study_explanations.cells import spread, table
from tests.study_explanations.counting import EVIDENCE, Share, kept_stamps, pointing, shares, uses_object
from tests.study_explanations.document import write
from tests.study_explanations.judged import COLUMNS
from tests.study_explanations.methods import FAKES, METHODS
from tests.study_explanations.networks import CONTROL, SHORTCUT
from tests.study_explanations.plan import HELD_OUT, OTHER_NETWORK, PARTS, every_network

Row = dict[str, Any]


def network_rows(shortcut: bool, stamps: dict[str, str]) -> list[Row]:
    """Figures of a network whose evidence all points to the marker, or none of it."""
    rows: list[Row] = [
        {"quantity": quantity, "item": item, "value": 1.0}
        for quantity, items in (("accuracy", ("validation", "test")), ("seconds", ("training", "audit")))
        for item in items
    ]
    for quantity, method, item, result in EVIDENCE.values():
        said = result if shortcut else "away"
        rows.append({"quantity": quantity, "method": method, "item": item, "value": 1.5, "result": said})
    rows.append({"quantity": "effect", "item": "object", "value": 0.4, "result": "open" if shortcut else "points"})
    for method, result in stamps.items():
        rows.append({"quantity": "stamp", "method": method, "item": "overall", "result": result})
        failed = "passed" if result == "evidence" else "failed"
        rows.append({"quantity": "stamp", "method": method, "item": "beats_random", "value": 0.2, "result": failed})
    return rows


@pytest.fixture(scope="module")
def figures() -> pd.DataFrame:
    """All networks; one held-out shortcut is missed, one control gives a false alarm, one fake keeps a stamp."""
    usual = {name: "not_evidence" if name in FAKES else "evidence" for name in METHODS}
    rows: list[Row] = []
    for part, network in every_network():
        shortcut = network.kind == SHORTCUT
        odd = part is HELD_OUT and network.seed == HELD_OUT.seeds[0]
        stamps = usual | ({"centre_blob": "evidence", "rise": "inconclusive"} if odd and not shortcut else {})
        about = {"part": part.name, "architecture": network.architecture, "kind": network.kind, "seed": network.seed}
        rows += [about | row for row in network_rows(shortcut != odd, stamps)]
    return pd.DataFrame(rows).reindex(columns=list(COLUMNS))


def held_out(figures: pd.DataFrame, kind: str) -> pd.DataFrame:
    return figures[(figures["part"] == HELD_OUT.name) & (figures["kind"] == kind)]


def test_shares_have_exact_intervals() -> None:
    assert str(Share(20, 20)) == "20 of 20 (0.832 to 1.000)"  # .025 ** (1 / 20)
    assert str(Share(0, 20)) == "0 of 20 (0.000 to 0.168)"
    assert str(Share(0, 0)) == "none measured"


def test_parts_do_not_share_a_network() -> None:
    networks = [network for _, network in every_network()]
    assert len({network.name for network in networks}) == len(networks) == 80
    assert [len(part.seeds) for part in PARTS] == [10, 20, 10]
    assert OTHER_NETWORK.architecture not in {part.architecture for part in PARTS if part is not OTHER_NETWORK}


def test_pointing_counts_networks(figures: pd.DataFrame) -> None:
    found = shares(pointing(held_out(figures, SHORTCUT)))
    assert list(found) == [*EVIDENCE, "all", "any"]
    assert set(found.values()) == {Share(19, 20)}
    assert set(shares(pointing(held_out(figures, CONTROL))).values()) == {Share(1, 20)}


def test_evidence_that_is_missing_does_not_point(figures: pd.DataFrame) -> None:
    own = held_out(figures, SHORTCUT)
    own = own[~((own["quantity"] == "effect") & (own["item"] == "marker") & (own["seed"] == HELD_OUT.seeds[1]))]
    found = shares(pointing(own))
    assert (found["intervention"], found["all"], found["any"]) == (Share(18, 20), Share(18, 20), Share(19, 20))


def test_stamps_are_counted(figures: pd.DataFrame) -> None:
    own = held_out(figures, CONTROL)
    assert kept_stamps(own, "rise") == {"evidence": 19, "inconclusive": 1}
    assert kept_stamps(own, "centre_blob") == {"evidence": 1, "not_evidence": 19}
    assert uses_object(own) == Share(19, 20)


def test_page_says_the_counts(figures: pd.DataFrame, tmp_path: Path) -> None:
    text = write(figures, tmp_path / "page.md")
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == text
    assert (
        "| plain_cnn | 19 of 20 (0.751 to 0.999) | 1 of 20 (0.001 to 0.249) | 1 of 40 (0.001 to 0.132) | 9 of 10 methods |"
    ) in text
    assert "| **all of these** | 19 of 20 (0.751 to 0.999) | 1 of 20 (0.001 to 0.249) |" in text
    assert "| **all of these** | 10 of 10 (0.692 to 1.000) | 0 of 10 (0.000 to 0.308) |" in text
    assert "| Centre blob | 1 of 40 (0.001 to 0.132) | 0 of 20 (0.000 to 0.168) | `beats_random` failed 59 |" in text
    assert "| RISE | 19 of 20 (0.751 to 0.999) | 1, 0 | 10 of 10 (0.692 to 1.000) | 0, 0 |" in text
    assert "nan" not in text


def test_table_is_markdown() -> None:
    assert table(["a", "b"], [[1, "x"], [2, "y"]]) == "| a | b |\n| --- | --- |\n| 1 | x |\n| 2 | y |\n"


def test_spread_leaves_out_what_was_not_measured() -> None:
    assert spread(pd.Series([0.3, np.nan, 0.1, 0.2])) == "0.20 (0.10 to 0.30)"
    assert spread(pd.Series([np.nan])) == "not measured"


def test_same_seed_same_test_images_for_both_kinds() -> None:
    first, second = (network for _, network in every_network(1) if network.architecture == "deep_cnn")
    assert (first.kind, second.kind) == (SHORTCUT, CONTROL)
    assert np.array_equal(first.test.images, second.test.images)
