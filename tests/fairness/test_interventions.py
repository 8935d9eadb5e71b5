"""Effects of hidden regions: counted by hand, tested exactly, clusters respected, gaps found and not found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from audit.errors import InputError
from audit.fairness import (
    INTERVENTION_GROUP_COLUMNS,
    QUALITY_GAP_COLUMNS,
    clopper_pearson,
    intervention_gap_table,
    intervention_group_table,
    mean_interval,
    newcombe_paired,
)
from audit.fairness.interventions_effect import flip_p
from tests.fairness.tables import pick

Case = tuple[str, str, bool, list[bool]]
"""Group, cluster, whether hiding changed the prediction, whether each control did."""


def data(cases: list[Case], *, clusters: bool = False, drops: Any = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    ids = [f"i{place}" for place in range(len(cases))]
    images = pd.DataFrame({"image_id": ids, "label": "pos", "status": "ok", "attr_a": [case[0] for case in cases]})
    images["cluster"] = [case[1] for case in cases] if clusters else None
    rows = []
    for place, (name, case) in enumerate(zip(ids, cases, strict=True)):
        for action, changed in [("hide", case[2]), *(("control", one) for one in case[3])]:
            drop = 0.0 if action != "hide" else 0.1 if drops is None else drops[place]
            rows.append(
                {"model": "m", "image_id": name, "region": "marker", "action": action, "area": 0.1, "predicted": "pos"}
                | {"predicted_after": "neg" if changed else "pos", "changed": changed, "probability": 0.9}
                | {"probability_after": 0.9 - drop, "positive_after": None, "status": "ok", "detail": ""}
            )
    return pd.DataFrame(rows), images


def predictions_of(images: pd.DataFrame) -> pd.DataFrame:
    frame = pd.DataFrame({"model": "m", "image_id": images["image_id"], "predicted": "pos", "status": "ok"})
    return frame.assign(confidence=np.linspace(0.5, 0.9, len(images)))


def table_of(cases: list[Case], **options: Any) -> pd.DataFrame:
    return intervention_group_table(*data(cases, **options), ["a"], positive="pos")


TEN: list[Case] = [
    *[("u", "", True, [False])] * 4, *[("u", "", True, [True])], *[("u", "", False, [False])] * 4,
    ("u", "", False, [True]),
]  # fmt: skip
"""Both change one image, hiding alone four, the control alone one, neither four."""


def test_shares_and_paired_effect_by_hand() -> None:
    table = table_of(TEN)
    assert tuple(table.columns) == INTERVENTION_GROUP_COLUMNS
    hide, control = (pick(table, action=name, measure="changed", attribute="a") for name in ("hide", "control"))
    for row, count in ((hide, 5), (control, 2)):
        low, high = (float(bound) for bound in clopper_pearson(count, 10))
        assert row[["n", "clusters", "value", "low", "high"]].tolist() == pytest.approx([10, 10, count / 10, low, high])
    effect = pick(table, action="effect", measure="changed", attribute="a")
    low, high = newcombe_paired([1], [1], [4], [4])
    assert effect["value"] == pytest.approx(0.3)
    assert (effect["low"], effect["high"]) == pytest.approx((low[0], high[0]), abs=0.02)
    assert effect["p"] == pytest.approx(2 * 6 / 32)  # McNemar: 4 against 1 of 5
    change = pick(table, action="hide", measure="positive_rate_change", attribute="a")
    assert change["value"] == pytest.approx(-0.5)
    assert change["high"] < 0


def test_drop_is_a_mean_over_clusters_with_a_sign_flip_test() -> None:
    drops = [0.1, 0.3, 0.5, 0.2]
    cases: list[Case] = [("u", name, False, [False]) for name in "ppqr"]
    table = table_of(cases, clusters=True, drops=drops)
    wanted = mean_interval(drops, list("ppqr"), bounds=(-1, 1))
    for action in ("hide", "effect"):
        row = pick(table, action=action, measure="drop", attribute="a")
        assert row[["value", "low", "high"]].tolist() == pytest.approx([wanted.value, wanted.low, wanted.high])
        assert (row["n"], row["clusters"]) == (4, 3)
    assert row["p"] == pytest.approx(2 / 8)  # all of three clusters on one side
    assert pick(table, action="hide", measure="drop", attribute="a")["p"] is not None
    assert np.isnan(pick(table, action="hide", measure="drop", attribute="a")["p"])


def test_controls_are_averaged_and_each_image_weighs_the_same() -> None:
    # Effects 1 - 1/2, 0 - 1/3, 1 - 0: mean 7/18.
    cases: list[Case] = [
        ("u", "", True, [True, False]), ("u", "", False, [True, False, False]), ("u", "", True, [False] * 3),
    ]  # fmt: skip
    row = pick(table_of(cases), action="effect", measure="changed", attribute="a")
    assert row["value"] == pytest.approx((1 / 2 - 1 / 3 + 1) / 3)
    assert (row["n"], row["clusters"]) == (3, 3)
    assert row["low"] < row["value"] < row["high"]
    control = pick(table_of(cases), action="control", measure="changed", attribute="a")
    assert (control["n"], control["value"]) == (3, pytest.approx(2 / 8))
    # Signs of 3, -2, 6 sixths: |sum| >= 7 for 3-2+6, 3+2+6, 11 and their mirrors: 4 of 8.
    assert row["p"] == pytest.approx(4 / 8)


def test_nothing_changed_is_not_taken_for_certain() -> None:
    row = pick(table_of([("u", "", False, [False])] * 10), action="effect", measure="changed", attribute="a")
    assert (row["value"], row["p"]) == (0, 1)
    assert row["high"] > 0.2


def test_clusters_are_respected() -> None:
    # Four clusters of ten equal images: two in which hiding changes all, two in which it changes none.
    cases: list[Case] = [("u", f"p{place // 10}", place < 20, [False]) for place in range(40)]
    together = pick(table_of(cases, clusters=True), action="effect", measure="changed", attribute="a")
    apart = pick(table_of(cases), action="effect", measure="changed", attribute="a")
    assert together["value"] == apart["value"] == 0.5
    assert together["clusters"] == 4
    assert together["p"] == pytest.approx(2 / 4)
    assert apart["p"] < 1e-4
    assert together["high"] - together["low"] > 2 * (apart["high"] - apart["low"])


def test_what_is_missing_says_why() -> None:
    interventions, images = data([("u", "", True, [False])] * 3 + [("v", "", True, [])] * 3)
    images.loc[5, "attr_a"] = "w"
    interventions.loc[interventions["image_id"] == "i5", "status"] = "undefined"
    more = pd.concat([images, images[:1].assign(image_id="i6", attr_a="z")], ignore_index=True)
    table = intervention_group_table(interventions, more, ["a"])
    assert set(table["measure"]) == {"changed", "drop"}
    own = table[(table["measure"] == "changed") & (table["attribute"] == "a")].set_index(["action", "group"])["status"]
    assert own["hide"].to_dict() == {"u": "ok", "v": "ok", "w": "undefined", "z": "not_measured"}
    assert own["effect"].to_dict() == {"u": "ok", "v": "undefined", "w": "undefined", "z": "not_measured"}
    assert own["control"].to_dict() == {"u": "ok", "v": "not_measured", "w": "not_measured", "z": "not_measured"}


def test_bad_tables_are_refused() -> None:
    interventions, images = data(TEN)
    with pytest.raises(InputError, match="region 'marker' is hidden twice in image_id 'i0'"):
        intervention_group_table(pd.concat([interventions] * 2), images, ["a"])
    with pytest.raises(InputError, match="an intervention names image_id 'i9'"):
        intervention_group_table(interventions, images[:-1], ["a"])
    with pytest.raises(InputError, match="has no column 'changed'"):
        intervention_group_table(interventions.drop(columns="changed"), images, ["a"])


def gap_of(cases: list[Case], measure: str = "effect_changed:marker", **options: Any) -> pd.DataFrame:
    interventions, images = data(cases, **options)
    table = intervention_gap_table(interventions, images, predictions_of(images), ["a"])
    assert tuple(table.columns) == QUALITY_GAP_COLUMNS
    assert set(table["method"]) == {"intervention"}
    return table[table["measure"] == measure]


def test_planted_gap_is_found_and_equal_groups_are_quiet() -> None:
    rng = np.random.default_rng(0)
    planted: list[Case] = [("u" if i % 2 else "v", "", bool(rng.random() < (0.6 if i % 2 else 0.05)), [False])
                           for i in range(120)]  # fmt: skip
    row = pick(gap_of(planted), matching="none")
    assert (row["group"], row["reference"], row["status"]) == ("u", "v", "ok")
    assert row["low"] > 0.3
    assert row["p_adjusted"] < 0.01
    assert pick(gap_of(planted), matching="label_confidence")["p"] < 0.01
    control: list[Case] = [("u" if i % 2 else "v", "", i % 4 < 2, [False]) for i in range(120)]
    row = pick(gap_of(control), matching="none")
    assert (row["value"], row["p"]) == (0, 1)


def test_effects_of_none_leave_a_gap_open() -> None:
    row = pick(gap_of([("u" if i % 2 else "v", "", False, [False]) for i in range(20)]), matching="none")
    assert (row["value"], row["low"], row["p"]) == (0, 0, 1)
    assert row["high"] > 0.2


def test_sign_flips_keep_their_level() -> None:
    rng = np.random.default_rng(1)
    ps = [flip_p(rng.normal(size=20), np.arange(20) // 2 if odd else np.arange(20), 199, rng)
          for odd in (True, False) for _ in range(150)]  # fmt: skip
    assert np.mean(np.array(ps) <= 0.05) <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / 300)
    assert np.mean(np.array(ps) <= 0.5) == pytest.approx(0.5, abs=0.12)
    assert np.isnan(flip_p(np.zeros(0), np.zeros(0, np.int64), 9, rng))
