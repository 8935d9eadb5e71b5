"""The permutation test of many measures at once keeps its level, under clusters and matching too, and has power."""

from __future__ import annotations

import numpy as np
import pytest

from audit.fairness.explained.gaps import mean_gaps
from audit.fairness.explained.permuted import equal_means_ps, exchangeable
from audit.fairness.explained.values import Design

MEASURES = 400
UNKNOWN = np.full((2, MEASURES), np.nan)


def design(group: np.ndarray, cluster: np.ndarray, stratum: np.ndarray | None = None) -> Design:
    names = tuple(f"g{place}" for place in range(int(group.max()) + 1))
    strata = np.zeros(len(group), np.int64) if stratum is None else stratum
    return Design(names, group.astype(np.int64), cluster.astype(np.int64), strata.astype(np.int64))


def clustered(rng: np.random.Generator, cluster: np.ndarray, share: float) -> np.ndarray:
    """Many measures without any difference between groups, `share` of their variance between clusters."""
    between = rng.normal(size=(int(cluster.max()) + 1, MEASURES))[cluster]
    return np.sqrt(share) * between + np.sqrt(1 - share) * rng.normal(size=(len(cluster), MEASURES))


def level(values: np.ndarray, own: Design, rng: np.random.Generator) -> float:
    """Share of the measures with p <= 0.05; their draws differ only in which measures they fall on."""
    return float((equal_means_ps(values, own, 199, rng) <= 0.05).mean())


NEAR = 0.05 + 4 * np.sqrt(0.05 * 0.95 / MEASURES)


def test_uniform_where_there_is_nothing() -> None:
    rng = np.random.default_rng(0)
    own = design(rng.integers(3, size=60), np.arange(60))
    p = equal_means_ps(rng.normal(size=(60, MEASURES)), own, 199, rng)
    for at in (0.05, 0.25, 0.5, 0.75):
        assert (p <= at).mean() == pytest.approx(at, abs=0.08)


def test_clusters_are_respected() -> None:
    rng = np.random.default_rng(1)
    cluster = np.repeat(np.arange(30), 5)
    group = np.repeat(rng.permutation(np.arange(30) % 2), 5)
    values = clustered(rng, cluster, 0.6)
    assert level(values, design(group, cluster), rng) <= NEAR
    # Taken for independent, the same images find gaps everywhere.
    assert level(values, design(group, np.arange(150)), rng) > 0.2


@pytest.mark.parametrize("kind", ["whole", "mixed"])
def test_matched_where_clusters_span_strata_and_groups_differ_in_them(kind: str) -> None:
    rng = np.random.default_rng(2)
    cluster = np.repeat(np.arange(50), 4)
    group = np.repeat(rng.integers(2, size=50), 4) if kind == "whole" else rng.integers(2, size=200)
    latent = rng.normal(size=200) + group + 0.7 * rng.normal(size=50)[cluster]
    stratum = np.searchsorted(np.quantile(latent, np.arange(1, 6) / 6), latent)
    values = clustered(rng, cluster, 0.5) + 0.6 * stratum[:, None]
    own = design(group, cluster, stratum)
    gaps = mean_gaps(values, own, UNKNOWN)
    assert level(gaps.data, gaps.design, rng) <= NEAR
    low, high = gaps.pairs.bounds(0.05)
    assert 0.9 <= ((low <= 0) & (high >= 0)).mean() <= 1
    assert level(values, design(group, cluster), rng) > 0.5  # unmatched, the strata make a gap


def test_a_cluster_that_spans_groups_does_not_freeze_the_others() -> None:
    rng = np.random.default_rng(3)
    cluster = np.concatenate([np.arange(38), [38, 38]])
    group = np.concatenate([np.arange(38) % 2, [0, 1]])
    own = design(group, cluster)
    assert not exchangeable(np.zeros((40, 1)), own).whole
    values = rng.normal(size=(40, MEASURES))
    assert level(values, own, rng) <= NEAR
    assert level(values + 1.5 * group[:, None], own, rng) > 0.95


def test_nothing_to_deal_is_no_evidence() -> None:
    # Every cluster holds both groups once, and is alike within.
    cluster, group = np.repeat(np.arange(10), 2), np.tile([0, 1], 10)
    values = np.repeat(np.random.default_rng(4).normal(size=(10, 3)), 2, axis=0)
    assert equal_means_ps(values, design(group, cluster), 99, np.random.default_rng(0)).tolist() == [1, 1, 1]


def test_exact_by_enumeration() -> None:
    # Two against two: of the 6 ways to deal only the observed one and its mirror are as far apart.
    own = design(np.array([0, 0, 1, 1]), np.arange(4))
    p = equal_means_ps(np.array([[0.0], [1.0], [10.0], [11.0]]), own, 6000, np.random.default_rng(0))
    assert p[0] == pytest.approx(2 / 6, abs=0.03)
    # Within strata of one of each group nothing but the sign of each difference changes: 2 of 4.
    matched = design(np.array([0, 1, 0, 1]), np.arange(4), np.array([0, 0, 1, 1]))
    p = equal_means_ps(np.array([[0.0], [1.0], [5.0], [6.0]]), matched, 6000, np.random.default_rng(0))
    assert p[0] == pytest.approx(2 / 4, abs=0.03)


def test_scale_and_shift_change_nothing() -> None:
    rng = np.random.default_rng(5)
    own, values = design(rng.integers(2, size=30), np.arange(30)), rng.normal(size=(30, 4))
    ps = [
        equal_means_ps(turned, own, 199, np.random.default_rng(1)) for turned in (values, 1e-9 * values, values + 100)
    ]
    np.testing.assert_array_equal(ps[0], ps[1])
    np.testing.assert_array_equal(ps[0], ps[2])


@pytest.mark.parametrize(("sizes", "least"), [((2, 20), 0.95), ((8,) * 6, 0.95), ((10, 40), 0.93)])
def test_intervals_of_the_range_cover(sizes: tuple[int, ...], least: float) -> None:
    rng = np.random.default_rng(6)
    group = np.repeat(np.arange(len(sizes)), sizes)
    gaps = mean_gaps(rng.normal(size=(len(group), MEASURES)), design(group, np.arange(len(group))), UNKNOWN)
    assert (gaps.pairs.range_bounds(0.05)[0] == 0).mean() >= least
