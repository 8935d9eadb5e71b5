"""Membership inference: pairs counted by hand, scikit-learn's AUC, who counts and who does not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from audit.errors import InputError
from audit.fairness.membership import membership_table
from audit.run.schema import columns
from tests.fairness.tables import CLASSES, pick, tables


def members(rows: list[tuple[float, str]], model: str = "m") -> pd.DataFrame:
    """Training images by loss and group."""
    return pd.DataFrame(
        {
            "model": model,
            "image_id": [f"t{place}" for place in range(len(rows))],
            "cluster": None,
            "label": "pos",
            "predicted": ["pos" if loss < 0.69 else "neg" for loss, _ in rows],
            "loss": [loss for loss, _ in rows],
            "status": "ok",
            "attr_a": [group for _, group in rows],
        }
    )


def others(rows: list[tuple[float, str]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Audited images of class pos by loss and group."""
    images, predictions = tables([("pos", "pos" if loss < 0.69 else "neg", group) for loss, group in rows])
    predictions["probabilities"] = [[1 - np.exp(-loss), np.exp(-loss)] for loss, _ in rows]
    return images, predictions


def test_pairs_counted_by_hand() -> None:
    # Members lose .1 and .2, others .3 and .15: three of the four pairs have the smaller loss among the members.
    table = membership_table(members([(0.1, "x"), (0.2, "x")]), *others([(0.3, "x"), (0.15, "x")]), CLASSES, ["a"])
    assert list(table.columns) == columns("membership")
    for row in (pick(table, attribute="overall"), pick(table, attribute="a", group="x")):
        assert (row["members"], row["others"], row["clusters"]) == (2, 2, 4)
        assert row["value"] == pytest.approx(0.75)
        assert row["low"] < 0.75 < row["high"]
        assert (row["member_accuracy"], row["other_accuracy"]) == (1.0, 1.0)
        assert (row["method"], row["status"]) == ("delong", "ok")


def random_losses(
    seed: int, member_scale: float, n: int = 80
) -> tuple[list[tuple[float, str]], list[tuple[float, str]]]:
    rng = np.random.default_rng(seed)
    groups = ["x", "y"]
    return (
        [
            (float(loss), groups[g])
            for loss, g in zip(rng.exponential(member_scale, n), rng.integers(2, size=n), strict=True)
        ],
        [(float(loss), groups[g]) for loss, g in zip(rng.exponential(1, n), rng.integers(2, size=n), strict=True)],
    )


def test_equals_scikit_learn_by_group() -> None:
    inside, outside = random_losses(0, 0.5)
    table = membership_table(members(inside), *others(outside), CLASSES, ["a"])
    for attribute, group, kept in (("overall", "all", ("x", "y")), ("a", "x", ("x",)), ("a", "y", ("y",))):
        scores = [[-loss for loss, g in side if g in kept] for side in (inside, outside)]
        truth = [1] * len(scores[0]) + [0] * len(scores[1])
        row = pick(table, attribute=attribute, group=group)
        assert row["value"] == pytest.approx(roc_auc_score(truth, scores[0] + scores[1]), abs=1e-12)
        assert row["member_accuracy"] == pytest.approx(np.mean([s > -0.69 for s in scores[0]]))


def test_overfitted_is_told_from_not_overfitted() -> None:
    lows = []
    for scale in (0.3, 1.0):
        inside, outside = random_losses(1, scale, 200)
        row = pick(membership_table(members(inside), *others(outside), CLASSES, []), attribute="overall")
        lows.append((row["low"], row["high"]))
    assert lows[0][0] > 0.6
    assert lows[1][0] < 0.5 < lows[1][1]


def test_trained_images_among_the_others_are_left_out_and_counted() -> None:
    inside, outside = members([(0.1, "x"), (0.2, "x"), (0.1, "x")]), others([(0.3, "x"), (0.15, "x"), (9.0, "x")])
    inside.loc[2, "image_id"] = "i2"
    row = pick(membership_table(inside, *outside, CLASSES, []), attribute="overall")
    assert (row["members"], row["others"]) == (3, 2)
    assert row["method"] == "delong; 1 trained images left out of the others"


def test_clusters_on_both_sides_count_once() -> None:
    inside, (images, predictions) = (
        members([(0.1, "x"), (0.2, "x"), (0.4, "x")]),
        others([(0.3, "x"), (0.15, "x"), (1.0, "x")]),
    )
    inside["cluster"] = ["p0", "p1", "p1"]
    images["cluster"] = ["p0", "p2", None]
    row = pick(membership_table(inside, images, predictions, CLASSES, []), attribute="overall")
    assert (row["clusters"], row["method"]) == (4, "obuchowski")


def test_attribute_unknown_for_the_members() -> None:
    inside, outside = random_losses(3, 0.5)
    table = membership_table(members(inside).drop(columns="attr_a"), *others(outside), CLASSES, ["a"])
    assert pick(table, attribute="overall")["status"] == "ok"
    lines = table[table["attribute"] == "a"]
    assert list(lines["group"]) == ["x", "y"]
    assert set(lines["status"]) == {"not_measured"}
    assert lines["value"].isna().all()
    assert (lines["others"] > 0).all()


def test_group_on_one_side_only() -> None:
    table = membership_table(members([(0.1, "x"), (0.2, "x")]), *others([(0.3, "x"), (0.2, "y")]), CLASSES, ["a"])
    row = pick(table, attribute="a", group="y")
    assert (row["members"], row["others"], row["status"]) == (0, 1, "not_measured")
    assert np.isnan(row["member_accuracy"])


def test_without_probabilities_members_or_losses() -> None:
    inside, (images, predictions) = members([(0.1, "x"), (0.2, "x")]), others([(0.3, "x"), (0.2, "x")])
    bare = membership_table(inside, images, predictions.drop(columns="probabilities"), CLASSES, ["a"])
    assert set(bare["status"]) == {"not_measured"}
    another = membership_table(inside.assign(model="other"), images, predictions, CLASSES, ["a"])
    assert set(another["status"]) == {"not_measured"}
    failed = membership_table(inside.assign(status="error"), images, predictions, CLASSES, ["a"])
    assert set(failed["status"]) == {"not_measured"}
    lost = membership_table(inside.assign(loss=[np.nan, 0.2]), images, predictions, CLASSES, [])
    assert lost["members"].tolist() == [1]


def test_losses_beyond_the_largest_are_ties() -> None:
    inside, (images, predictions) = members([(np.inf, "x"), (40.0, "x")]), others([(60.0, "x"), (50.0, "x")])
    row = pick(membership_table(inside, images, predictions, CLASSES, []), attribute="overall")
    assert row["value"] == pytest.approx(0.5)


def test_separated_losses_have_an_exact_bound() -> None:
    inside, outside = members([(0.1, "x")] * 20), others([(1.0, "x")] * 20)
    row = pick(membership_table(inside, *outside, CLASSES, []), attribute="overall")
    assert (row["value"], row["high"], row["method"]) == (1.0, 1.0, "exact_pairs")
    assert row["low"] == pytest.approx(0.025 ** (1 / 20))


def test_order_of_rows_changes_nothing() -> None:
    inside, outside = random_losses(4, 0.5)
    first = members(inside), *others(outside)
    rng = np.random.default_rng(0)
    turned = [frame.iloc[rng.permutation(len(frame))] for frame in first]
    pd.testing.assert_frame_equal(
        membership_table(*first, CLASSES, ["a"]), membership_table(*turned, CLASSES, ["a"]), rtol=1e-9
    )


def test_bad_input() -> None:
    inside, outside = members([(0.1, "x"), (0.2, "x")]), others([(0.3, "x"), (0.2, "x")])
    with pytest.raises(InputError, match="no column 'loss'"):
        membership_table(inside.drop(columns="loss"), *outside, CLASSES, [])
    with pytest.raises(InputError, match="'t0' occurs twice"):
        membership_table(inside.assign(image_id="t0"), *outside, CLASSES, [])
