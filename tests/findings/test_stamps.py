"""Stamps on hand-made tables of quality: every result of a check, and every stamp that follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from audit.findings.stamps import CHECKS, OVERALL, REFERENCES, StampRules, stamp_table
from audit.run.schema import columns

RULES = StampRules(randomisation=0.9, gain=0.0, noise_floor=0.5, completeness=0.05, difference=1e-3)
NAMES = [f"i{place}" for place in range(4)]
Values = Sequence[float | None]


def quality(**methods: Mapping[str, Values]) -> pd.DataFrame:
    """Table `quality` of one model: by method and measure a value an image, None where it is undefined."""
    rows = [
        {"model": "m", "image_id": image, "method": method, "measure": measure, "value": value, "detail": ""}
        | {"status": "undefined" if value is None else "ok"}
        for method, measures in methods.items()
        for measure, values in measures.items()
        for image, value in zip(NAMES, values, strict=True)
    ]
    return pd.DataFrame(rows, columns=columns("quality"))


def faithful(gain: float, spread: float = 0.1) -> Mapping[str, Values]:
    """Insertion less deletion is `gain` on average, and differs between images."""
    around = np.array([-1.0, -1.0, 1.0, 1.0]) * spread
    return {"insertion_blur": (0.5 + gain + around).tolist(), "deletion_blur": [0.5] * 4}


RANDOM = {"random": faithful(0.0, 0.0)}
ALIVE: Values = [0.1, 0.2, 0.1, 0.2]
"""Rank correlations of a method that depends on the model."""


def crosschecks(spearman: float | None = 0.5, **differences: Sequence[float | None]) -> pd.DataFrame:
    """Table `crosschecks`; the rank correlation is the same for every image."""
    rows = [
        {"model": "m", "method": method, "provider": "captum", "image_id": image, "max_difference": value, "note": ""}
        | {"spearman": spearman, "status": "not_measured" if value is None else "ok"}
        for method, values in differences.items()
        for image, value in zip(NAMES, values, strict=False)
    ]
    return pd.DataFrame(rows, columns=columns("crosschecks"))


def images(clusters: Sequence[str | None] = (None,) * 4) -> pd.DataFrame:
    return pd.DataFrame({"image_id": NAMES, "cluster": list(clusters), "status": "ok"})


def stamps(table: pd.DataFrame, method: str = "map", **others: Any) -> dict[str, dict[str, Any]]:
    """Rows of one method by check."""
    found = stamp_table(
        table,
        others.get("crosschecks", crosschecks()),
        images(*others.get("clusters", ())),
        [method],
        ["m"],
        others.get("rules", RULES),
    )
    return {str(row["check"]): {str(key): value for key, value in row.items()} for row in found.to_dict("records")}


def test_shape_of_the_table() -> None:
    found = stamp_table(quality(map=faithful(1.0)), crosschecks(), images(), ["map", "other"], ["m", "n"], RULES)
    assert list(found.columns) == columns("stamps")
    wanted = [(model, method, check) for model in "mn" for method in ("map", "other") for check in (*CHECKS, OVERALL)]
    assert list(found[["model", "method", "check"]].itertuples(index=False, name=None)) == wanted
    assert set(found[found["model"] == "n"]["result"]) == {"not_measured"}


def test_interval_of_a_check_by_hand() -> None:
    row = stamps(quality(map={"randomisation": [0.1, 0.2, 0.3, 0.6]}))["depends_on_model"]
    half = t.ppf(0.975, 3) * np.std([0.1, 0.2, 0.3, 0.6], ddof=1) / 2
    assert (row["n"], row["threshold"]) == (4, 0.9)
    assert [row[name] for name in ("value", "low", "high")] == pytest.approx([0.3, 0.3 - half, 0.3 + half])


@pytest.mark.parametrize(
    ("values", "result"),
    [
        ([0.1, 0.2, 0.1, 0.2], "passed"),
        ([1.0, 1.0, 1.0, 1.0], "failed"),  # an edge detector: no interval to speak of, and beyond the threshold
        ([0.9, 0.9, 0.9, 0.9], "failed"),  # at the threshold itself nothing is shown
        ([0.7, 1.0, 0.8, 1.0], "inconclusive"),
        ([None, None, None, None], "not_measured"),
        ([0.1, None, None, None], "inconclusive"),  # one image has no interval
    ],
)
def test_depends_on_model(values: Values, result: str) -> None:
    assert stamps(quality(map={"randomisation": values}))["depends_on_model"]["result"] == result


@pytest.mark.parametrize(("gain", "result"), [(0.4, "passed"), (-0.4, "failed"), (0.05, "inconclusive")])
def test_beats_random(gain: float, result: str) -> None:
    row = stamps(quality(map=faithful(gain), **RANDOM))["beats_random"]
    assert row["value"] == pytest.approx(gain)
    assert row["result"] == result


def test_gain_is_paired_on_the_image_and_a_mean_over_the_fills() -> None:
    own = {
        "insertion_blur": [0.9, 0.8, 0.7, 0.6],
        "deletion_blur": [0.1, 0.1, 0.1, 0.1],  # .8 .7 .6 .5
        "insertion_mean": [0.5, 0.5, 0.5, 0.5],
        "deletion_mean": [0.3, 0.3, 0.3, 0.3],  # .2: means .5 .45 .4 .35
    }
    reference = {"insertion_blur": [0.6, 0.55, 0.5, 0.45], "deletion_blur": [0.2, 0.2, 0.2, 0.2]}  # .4 .35 .3 .25
    row = stamps(quality(map=own, random=reference))["beats_random"]
    assert [row[name] for name in ("value", "low", "high")] == pytest.approx([0.1, 0.1, 0.1])


def test_images_where_a_map_is_undefined_do_not_count() -> None:
    partly = {"insertion_blur": [0.9, 0.8, None, None], "deletion_blur": [0.5, 0.5, None, None]}
    row = stamps(quality(map=partly, **RANDOM))["beats_random"]
    assert (row["n"], row["value"]) == (2, pytest.approx(0.35))


def test_unfilled_curves_are_left_out() -> None:
    own = {**faithful(0.4), "insertion_mean": [0.9] * 4}  # no deletion with that fill
    assert stamps(quality(map=own, **RANDOM))["beats_random"]["value"] == pytest.approx(0.4)


@pytest.mark.parametrize("reference", REFERENCES)
def test_every_reference_is_compared(reference: str) -> None:
    found = stamps(quality(map=faithful(0.4), **{reference: faithful(0.1, 0.0)}))
    assert found[f"beats_{reference}"]["value"] == pytest.approx(0.3)
    others = [f"beats_{name}" for name in REFERENCES if name != reference]
    assert {found[name]["result"] for name in others} == {"not_measured"}


@pytest.mark.parametrize(
    ("check", "measure", "good", "bad"),
    [("same_again", "noise_floor", 0.8, 0.1), ("adds_up", "completeness", 0.001, 0.2)],
)
def test_noise_and_completeness(check: str, measure: str, good: float, bad: float) -> None:
    base = {"randomisation": ALIVE, **faithful(0.4)}
    for value, result, stamp in ((good, "passed", "evidence"), (bad, "failed", "not_evidence")):
        found = stamps(quality(map={**base, measure: [value] * 4}, **RANDOM))
        assert (found[check]["result"], found[OVERALL]["result"]) == (result, stamp)


def test_second_opinion_is_the_worst_image() -> None:
    row = stamps(quality(), crosschecks=crosschecks(map=[1e-7, 1e-5, 1e-6]))["second_opinion"]
    assert (row["n"], row["value"], row["low"], row["high"], row["result"]) == (3, 1e-5, 1e-5, 1e-5, "passed")
    assert stamps(quality(), crosschecks=crosschecks(map=[1e-7, 0.5]))["second_opinion"]["result"] == "failed"
    assert stamps(quality(), crosschecks=crosschecks(map=[None, None]))["second_opinion"]["result"] == "not_measured"


@pytest.mark.parametrize(
    ("difference", "spearman", "value", "result"),
    [
        (0.02, 0.99999, 1e-5, "passed"),  # a tie resolved the other way: some pixels are off, their order is not
        (0.02, 0.9, 0.02, "failed"),
        (0.02, None, 0.02, "failed"),  # a map that is the same everywhere has no ranks
        (0.5, 1.0, 0.5, "failed"),  # twice as large is no tie
        (1e-5, 0.99, 1e-5, "passed"),  # pixels without any evidence change places
    ],
)
def test_second_opinion_forgives_a_tie(difference: float, spearman: float | None, value: float, result: str) -> None:
    row = stamps(quality(), crosschecks=crosschecks(spearman, map=[1e-7, difference]))["second_opinion"]
    assert (row["value"], row["result"]) == (pytest.approx(value), result)


def test_default_thresholds_are_those_of_the_study() -> None:
    """Set on planted sets: change them together with docs/study-explanations.md."""
    assert StampRules() == StampRules(0.9, 0.05, 0.1, 0.05, 1e-3)


def test_evidence_needs_both_and_nothing_that_fails() -> None:
    found = stamps(quality(map={"randomisation": ALIVE, **faithful(0.4)}, **RANDOM))
    assert found[OVERALL]["result"] == "evidence"
    assert pd.isna(found[OVERALL]["value"])
    assert found[OVERALL]["text"].startswith("passes every check that applies")


def test_fake_that_ignores_the_model_is_no_evidence_however_faithful() -> None:
    """An edge detector beats a random map where objects have edges; shuffled weights leave it as it is."""
    found = stamps(quality(map={"randomisation": [1.0] * 4, **faithful(0.4)}, **RANDOM))
    assert found["beats_random"]["result"] == "passed"
    assert found[OVERALL]["result"] == "not_evidence"
    assert found[OVERALL]["text"] == (
        "fails: rank correlation with the maps of the model with shuffled weights: 1, wanted at most 0.9"
    )


def test_fake_that_changes_with_the_model_is_no_evidence_if_no_better_than_random() -> None:
    for gain, stamp in ((-0.4, "not_evidence"), (0.0, "inconclusive")):
        found = stamps(quality(map={"randomisation": [0.0, 0.01, -0.01, 0.0], **faithful(gain)}, **RANDOM))
        assert found[OVERALL]["result"] == stamp


def test_black_box_cannot_be_randomised_so_its_stamp_stays_open() -> None:
    found = stamps(quality(map=faithful(0.4), **RANDOM))
    assert found["depends_on_model"]["result"] == "not_measured"
    assert found[OVERALL]["result"] == "inconclusive"
    assert found[OVERALL]["text"] == (
        "not settled: rank correlation with the maps of the model with shuffled weights: not measured"
    )


def test_failed_check_outweighs_what_was_not_measured() -> None:
    assert stamps(quality(map=faithful(-0.4), **RANDOM))[OVERALL]["result"] == "not_evidence"


def test_nothing_measured() -> None:
    found = stamps(quality(other=faithful(0.4)))
    assert {row["result"] for row in found.values()} == {"not_measured"}
    assert found[OVERALL]["text"] == "no check was made on this model"
    assert {row["result"] for row in stamps(quality()).values()} == {"not_measured"}


def test_losing_to_the_centre_or_to_edges_decides_nothing() -> None:
    own = {"randomisation": ALIVE, **faithful(0.4)}
    found = stamps(quality(map=own, centre=faithful(0.9, 0.0), edges=faithful(0.9, 0.0), **RANDOM))
    assert {found[name]["result"] for name in ("beats_centre", "beats_edges")} == {"failed"}
    assert found[OVERALL]["result"] == "evidence"


def test_clusters_count_once() -> None:
    table = quality(map={"randomisation": [0.1, 0.1, 0.1, 0.5]})
    row = stamps(table, clusters=(["a", "a", "a", "b"],))["depends_on_model"]
    assert (row["value"], row["n"]) == (pytest.approx(0.3), 4)  # 0.2 over images


def test_one_cluster_has_no_interval_and_settles_nothing() -> None:
    table = quality(map={"randomisation": [1.0] * 4, **faithful(0.4)}, **RANDOM)
    found = stamps(table, clusters=(["a"] * 4,))
    assert found["depends_on_model"]["result"] == "inconclusive"
    assert np.isnan(found["depends_on_model"]["low"])
    assert found["depends_on_model"]["text"].endswith("(one cluster only, so there is no interval)")
    assert found[OVERALL]["result"] == "inconclusive"


def test_another_model_does_not_count() -> None:
    table = quality(map={"randomisation": [1.0] * 4})
    found = stamps(pd.concat([table.assign(model="n"), quality(map={"randomisation": ALIVE})], ignore_index=True))
    assert found["depends_on_model"]["value"] == pytest.approx(0.15)
