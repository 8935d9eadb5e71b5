"""The functions of the study, at sizes whose answers are known by hand, and its shortcut against `judge` itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.study import alarms, coverage, power, ranges, slices
from tests.study.document import grid, write
from tests.study.draws import DRAWINGS, cluster_chances, cluster_sizes, rates_of
from tests.study.figures import collect, counted, given
from tests.study.run import PARTS, Size, kept, study


def by_method(rows: list[dict]) -> dict[str, float]:
    return {row["method"]: row["value"] for row in rows}


def test_coverage_at_twenty_images_by_hand() -> None:
    # Clopper-Pearson covers .95 for 17 to 20 successes (16: .563 to .943), the percentile bootstrap for 16 to 19: at 20 it
    # is [1, 1], at 15 the binomial's .975 quantile is 18, and 18/20 lies below .95; 16 gives 19.
    found = by_method(coverage.exact_coverage(20, 0.95))
    chance = stats.binom(20, 0.95).pmf
    assert found["reported"] == pytest.approx(sum(chance(k) for k in (17, 18, 19, 20)), abs=1e-12)
    assert found["percentile bootstrap"] == pytest.approx(sum(chance(k) for k in (16, 17, 18, 19)), abs=1e-12)
    assert round(found["percentile bootstrap"], 2) == 0.64


def test_coverage_of_two_images_by_hand() -> None:
    # Of two images at rate .5: no count's interval misses (0: up to .842, 1: .013 to .987, 2: from .158).
    assert by_method(coverage.exact_coverage(2, 0.5))["reported"] == pytest.approx(1)
    # At rate .9 the one with no success does: .842 < .9.
    assert by_method(coverage.exact_coverage(2, 0.9))["reported"] == pytest.approx(1 - 0.01)


def test_newcombe_coverage_of_one_image_each_by_hand() -> None:
    # One image a group, rates .5: Wilson of 0/1 is 0 to .793, so 1/1 minus 0/1 is 1 - sqrt(2 * .793 ** 2) = -.122 to 1.
    (row,) = ranges.newcombe_coverage((1, 1), (0.5, 0.5))
    assert row["value"] == pytest.approx(1)
    # Rates 1 and 0: 1/1 and 0/1 always, and the difference 1 is covered.
    (row,) = ranges.newcombe_coverage((1, 1), (1.0, 0.0))
    assert row["value"] == 1


@pytest.mark.parametrize("drawing", DRAWINGS)
@pytest.mark.parametrize("icc", [0.0, 0.3, 0.6, 1.0])
def test_clusters_have_the_rate_and_correlation_asked_for(drawing: str, icc: float) -> None:
    rng = np.random.default_rng(0)
    chance = cluster_chances(rng, 200_000, 0.8, icc, drawing)
    two = rng.random((2, 200_000)) < chance
    assert two.mean() == pytest.approx(0.8, abs=0.004)
    assert np.corrcoef(two)[0, 1] == pytest.approx(icc, abs=0.01)


def test_clusters_hold_two_to_five_images() -> None:
    sizes = cluster_sizes(np.random.default_rng(0), 4_000)
    assert np.unique(sizes).tolist() == [2, 3, 4, 5]
    assert sizes.mean() == pytest.approx(3.5, abs=0.1)


def test_groups_as_replicates_are_the_groups_themselves() -> None:
    rates = rates_of([[1, 2], [3, 0]], [[2, 2], [3, 5]], clustered=True)
    assert rates.count.tolist() == [3, 3]
    assert rates.total.tolist() == [4, 8]
    assert rates.clusters.tolist() == [2, 2]
    assert not rates.mixed


def test_clusters_of_equal_outcome_are_covered_as_their_number_says() -> None:
    # At correlation 1 and rate 1 nothing varies: the interval is that of all of 10 clusters, and holds 1.
    rows = coverage.clustered_coverage(10, 1.0, 1.0, "beta", replicates=50, bootstraps=5, seed=0)
    assert {(row["quantity"], row["method"]): row["hits"] for row in rows} == {
        ("coverage", "reported"): 50,
        ("truth above", "reported"): 0,
        ("truth below", "reported"): 0,
        ("coverage", "images taken as independent"): 50,
        ("coverage", "percentile cluster bootstrap"): 5,
    }


def test_cluster_bootstrap_of_equal_clusters_has_no_width() -> None:
    low, high = coverage.cluster_bootstrap(np.ones((1, 4), int), np.full((1, 4), 2), np.random.default_rng(0))
    assert (low[0], high[0]) == (0.5, 0.5)


def test_parts_of_one_simulation_add_up() -> None:
    keys = {"part": "range", "quantity": "coverage", "method": "reported", "n": 100}
    figures = collect([counted(90, 100, **keys), given(0.5, part="rate"), counted(10, 100, **keys)])
    assert figures["value"].tolist() == [0.5, 0.5]
    assert figures["trials"].tolist() == [200, 0]
    assert figures["error"].tolist() == pytest.approx([np.sqrt(0.25 / 200), 0])


def test_unknown_columns_are_refused() -> None:
    with pytest.raises(KeyError, match="prat"):
        counted(1, 2, prat="x")


def test_bootstrap_of_a_range_leaves_zero_out_and_the_reported_interval_does_not() -> None:
    truth = ranges.Truth("equal", (0.9,) * 8, n=100)
    boot = {row["quantity"]: row for row in ranges.bootstrap_ranges(truth, replicates=60, seed=0, draws=200)}
    assert boot["lower bound above 0"]["hits"] == 60
    assert boot["mean observed range"]["value"] == pytest.approx(0.085, abs=0.012)
    own = {row["quantity"]: row for row in ranges.range_coverage(truth, start=0, replicates=20, seed=0)}
    assert own["lower bound above 0"]["hits"] <= 4
    assert own["coverage"]["hits"] == 20 - own["lower bound above 0"]["hits"]


TINY = {
    "plain": alarms.Scenario("plain", (40,) * 4),
    "clusters": alarms.Scenario("clusters", (15,) * 4, icc=0.6),
    "mixed": alarms.Scenario("mixed", (15,) * 4, icc=0.6, mixed=True),
}


@pytest.mark.parametrize("name", TINY)
def test_the_shortcut_decides_as_judge_does(name: str) -> None:
    rules = alarms.policy()  # 199 draws: the least p-value, 1/200, times five rules is still below .05
    decided = []
    for seed in range(4):
        audit = alarms.null_audit(TINY[name], np.random.default_rng(seed))
        if seed % 2:  # half of them with a gap, so that both answers occur
            hurt = (audit.images["attr_group"] == "g01").to_numpy() & (np.arange(len(audit.images)) % 3 > 0)
            wrong = np.where(audit.images["label"] == "yes", "no", "yes")
            audit.predictions["predicted"] = np.where(hurt, wrong, audit.predictions["predicted"])
        decided.append(alarms.alarm(audit, rules, draws=199, seed=seed))
        assert decided[-1] == alarms.judged(audit, rules, draws=199, seed=seed)
    assert any(decided)
    assert not all(decided)


def test_null_audits_serve_everybody_alike() -> None:
    scenario = alarms.Scenario("large", (20_000, 20_000))
    audit = alarms.null_audit(scenario, np.random.default_rng(0))
    images = audit.images
    right = (images["label"] == audit.predictions["predicted"]).groupby(images["attr_group"]).mean()
    assert np.allclose(right, alarms.RIGHT, atol=0.01)
    assert (images["label"] == "yes").mean() == pytest.approx(0.5, abs=0.01)


def test_clusters_of_an_audit_lie_in_one_group_unless_mixed() -> None:
    for name, most in (("clusters", 1), ("mixed", 4)):
        images = alarms.null_audit(TINY[name], np.random.default_rng(0)).images
        assert images.groupby("cluster")["attr_group"].nunique().max() == most
        assert images.groupby("cluster").size().between(2, 5).all()


def test_a_slice_that_stands_far_apart_is_found() -> None:
    found = slices.found_slices(excess=0.5, apart=8.0, cluster_size=1, start=0, seeds=1)
    assert {row["quantity"]: row["hits"] for row in found} == {
        "planted slice confirmed": 1,
        "only another one confirmed": 0,
    }
    (none,) = slices.found_slices(excess=0.0, apart=8.0, cluster_size=1, start=0, seeds=2)
    assert (none["quantity"], none["hits"], none["trials"]) == ("any slice confirmed", 0, 2)


def test_four_fifths_calls_small_equal_groups_unequal() -> None:
    (row,) = alarms.four_fifths(groups=6, n=200, rate=0.1, audits=4_000, seed=0)
    assert row["hits"] / row["trials"] == pytest.approx(0.97, abs=0.02)


def test_a_gap_of_everything_is_always_shown_and_none_rarely() -> None:
    sure = ranges.Truth("one group lower", (0.0, 1.0), n=20)
    rows = power.gap_power(sure, 0.0, replicates=5, draws=199, seed=0)
    assert [row["hits"] for row in rows] == [5, 5]
    same = power.gap_power(power.truth_of(2, 0.0, n=50), 0.0, replicates=40, draws=199, seed=0)
    assert same[0]["hits"] <= 6
    (passed,) = power.pass_power(ranges.Truth("equal", (1.0, 1.0), n=1000), (0.05,), replicates=3, seed=0)
    assert passed["hits"] == 3


def test_the_size_at_eighty_percent_is_where_the_probits_cross() -> None:
    sizes = np.array([50, 100, 200, 400])
    powers = stats.norm.cdf(0.3 * np.sqrt(sizes) - 3.2)
    assert power.solve(sizes, powers) == pytest.approx(((0.8416212 + 3.2) / 0.3) ** 2, rel=1e-6)
    assert np.isnan(power.solve(sizes, np.full(4, 0.5)))


def test_a_small_study_writes_its_page(tmp_path: Path) -> None:
    size = Size(100, 2, (10, 30), 2, 1, 99, {2: 2}, (50,), {2: 4}, 1, 2)
    parts = tuple(part for part in PARTS if part not in ("slices", "range", "alarms"))
    figures = study(size, parts, processes=1)
    text = write(figures, tmp_path / "page.md")
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == text
    assert "## slices\n\nNot measured." in text
    exact = figures[(figures["run"] == "rate") & (figures["method"] == "reported")]
    assert f"is {exact['value'].min():.3f}" in text
    figures.to_csv(tmp_path / "figures.csv", index=False)
    again = kept(tmp_path / "figures.csv", ("clusters",))
    assert (
        write(again, tmp_path / "other.md").split("## One rate, images in")[0]
        == text.split("## One rate, images in")[0]
    )
    assert set(again["run"]) == {"rate", "power"}


def test_a_grid_leaves_unknown_cells_empty() -> None:
    frame = pd.DataFrame({"n": [1.0, 2.0, 2.0], "rate": [0.5, 0.9, 0.5], "value": [0.25, 0.75, 1.0]})
    frame = frame.assign(error=[0.0, 0.01, 0.0], trials=[0, 1875, 40])  # exact, simulated, every replicate
    lines = grid(frame, ("n",), "rate", heads="p = {}").splitlines()
    assert lines[0] == "| images a group | p = 0.5 | p = 0.9 |"
    assert lines[2:] == ["| 1 | 0.250 |  |", "| 2 | 40 of 40 | 0.750 ± 0.010 |"]
