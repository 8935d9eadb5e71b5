"""Agreement of two models' maps by group and by whether they predict the same, by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from audit.errors import InputError
from audit.fairness import AGREEMENT_COLUMNS, agreement_group_table, mean_interval
from tests.fairness.tables import pick

SPEARMAN = [0.2, 0.4, 0.9, 0.5, 0.7, 0.6]
SAME = [True, False, True, True, None, True]


def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    ids = [f"i{place}" for place in range(6)]
    images = pd.DataFrame({"image_id": ids, "label": "x", "status": "ok", "cluster": list("ppqrst")})
    images["attr_a"] = ["u"] * 4 + ["v"] * 2
    agreement = pd.DataFrame({"first": "m", "second": "k", "method": "saliency", "image_id": ids})
    agreement = agreement.assign(same_prediction=SAME, spearman=SPEARMAN, overlap=0.5, distance=np.arange(6) / 10)
    return agreement.assign(status=["ok"] * 5 + ["undefined"]), images


def test_means_by_hand() -> None:
    table = agreement_group_table(*tables(), ["a"])
    assert tuple(table.columns) == AGREEMENT_COLUMNS
    row = pick(table, measure="spearman", when="all", attribute="a", group="u")
    wanted = mean_interval(SPEARMAN[:4], list("ppqr"), bounds=(-1, 1))
    assert (row["first"], row["second"], row["n"], row["clusters"]) == ("m", "k", 4, 3)
    assert row[["value", "low", "high"]].tolist() == pytest.approx([wanted.value, wanted.low, wanted.high])
    same = pick(table, measure="spearman", when="same", attribute="a", group="u")
    assert (same["n"], same["value"]) == (3, pytest.approx((0.2 + 0.9 + 0.5) / 3))
    other = pick(table, measure="distance", when="different", attribute="a", group="u")
    assert (other["n"], other["value"], other["status"]) == (1, pytest.approx(0.1), "too_few_clusters")


def test_unknown_predictions_and_undefined_maps() -> None:
    table = agreement_group_table(*tables(), ["a"])
    own = table[(table["group"] == "v") & (table["measure"] == "overlap")].set_index("when")
    assert own.loc["all", ["n", "value", "status"]].tolist() == [1, 0.5, "too_few_clusters"]
    assert own.loc["same", "status"] == "undefined"
    assert own.loc["different", "status"] == "not_measured"


def test_bad_and_empty_tables() -> None:
    agreement, images = tables()
    with pytest.raises(InputError, match="image_id 'i0' has two values of saliency all spearman"):
        agreement_group_table(pd.concat([agreement] * 2), images, ["a"])
    with pytest.raises(InputError, match="has no column 'overlap'"):
        agreement_group_table(agreement.drop(columns="overlap"), images, ["a"])
    assert agreement_group_table(agreement[:0], images, ["a"]).empty
