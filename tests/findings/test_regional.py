"""Rules about regions: attribution by group, effects of hiding a region, and methods that are stamped no evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from audit.derived import Facts, derive
from audit.errors import ConfigError
from audit.findings import check_policy, default_policy, judge, parse_policy, sensitivity_table
from audit.run.tables import read_table, write_table
from tests.fairness.tables import CLASSES, repeated, tables
from tests.findings.runs import RULE

SHARE: dict[str, Any] = {
    "metric": "region_share", "region": "marker", "method": "saliency", "attribute": "tone", "compare": "range",
    "tolerance": 0.05,
}  # fmt: skip
EFFECT: dict[str, Any] = {
    "metric": "intervention_effect", "region": "marker", "attribute": "overall", "compare": "floor", "tolerance": 0.05,
}  # fmt: skip


def images_and_predictions(groups: Sequence[str], confidence: Any = 0.9) -> tuple[pd.DataFrame, pd.DataFrame]:
    images, predictions = tables([("pos", "pos", group) for group in groups], ("tone",))
    return images, predictions.assign(confidence=np.broadcast_to(confidence, len(groups)))


def mass_of(shares: Any, area: Any = 0.02) -> pd.DataFrame:
    ids = [f"i{place}" for place in range(len(shares))]
    frame = pd.DataFrame({"model": "m", "image_id": ids, "method": "saliency", "region": "marker"})
    return frame.assign(share=shares, area=area, status="ok")


def hidden(changed: Any, control: Any = False) -> pd.DataFrame:
    ids = [f"i{place}" for place in range(len(changed))]
    parts = []
    for action, did in (("hide", changed), ("control", np.broadcast_to(control, len(changed)))):
        frame = pd.DataFrame({"model": "m", "image_id": ids, "region": "marker", "action": action, "area": 0.02})
        frame = frame.assign(predicted="pos", predicted_after=np.where(did, "neg", "pos"), changed=did)
        parts.append(frame.assign(probability=0.9, probability_after=np.where(did, 0.4, 0.9), status="ok"))
    return pd.concat(parts, ignore_index=True)


def stamps_of(result: str) -> pd.DataFrame:
    row = {"model": "m", "method": "saliency", "check": "overall", "n": 9, "result": result, "text": "fails: it does."}
    return pd.DataFrame([row])


def finding(data: tuple[pd.DataFrame, pd.DataFrame], rule: Mapping[str, Any], **options: Any) -> pd.Series:
    rules = parse_policy({"name": "p", "rules": [{**RULE, "id": "r", **rule}]})
    table = judge(rules, *data, options.pop("mass", None), CLASSES, "pos", draws=options.pop("draws", 999), **options)
    assert len(table) == 1
    return table.iloc[0]


RNG = np.random.default_rng(0)
TONES = ["dark", "light"] * 60
DARK = np.array(TONES) == "dark"
WIDE = np.clip(np.where(DARK, 0.4, 0.1) + RNG.normal(0, 0.05, 120), 0, 1)
EVEN = np.clip(0.2 + RNG.normal(0, 0.03, 120), 0, 1)


def test_reliance_on_a_region_by_group_fails_where_planted() -> None:
    row = finding(images_and_predictions(TONES), SHARE, mass=mass_of(WIDE))
    assert (row["verdict"], row["attribute"], row["group"], row["reference"]) == ("fail", "tone", "dark", "light")
    assert row["value"] == pytest.approx(WIDE[DARK].mean() - WIDE[~DARK].mean())
    assert row["low"] > 0.05
    assert row["p"] == 1e-3
    assert row["claims"] == [
        "region_groups:m:saliency:marker:tone:dark",
        "region_groups:m:saliency:marker:tone:light",
        "quality_gaps:m:saliency:share%3Amarker:tone:none",
    ]
    for part in ("share of absolute attribution (saliency) on region 'marker' is 0.4", "for tone dark (95 % interval",
                 "for tone light", "a gap of 0.", "60 images in the smaller group", "the tolerance of 0.05",
                 "no image was changed to see"):  # fmt: skip
        assert part in row["text"]


def test_equal_reliance_passes_and_few_images_settle_nothing() -> None:
    row = finding(images_and_predictions(TONES), SHARE, mass=mass_of(EVEN))
    assert (row["verdict"], row["p"]) == ("pass", 1)
    assert "nor that the region has no part" in row["text"]
    few = finding(images_and_predictions(TONES[:24]), SHARE, mass=mass_of(EVEN[:24] + 0.06 * DARK[:24]))
    assert few["verdict"] == "inconclusive"
    assert few["n_to_settle"] > 12
    assert f"about {few['n_to_settle']:.0f} images a group would" in few["text"]


def test_matched_rule_takes_out_what_confidence_explains() -> None:
    counts = [6, 9, 12, 15, 18]  # five levels of 24 images each; dark ones at the higher
    levels = np.empty(120)
    levels[DARK], levels[~DARK] = np.repeat(range(5), counts), np.repeat(range(5), counts[::-1])
    data, mass = (
        images_and_predictions(TONES, 0.5 + levels / 10),
        mass_of(0.1 + 0.15 * levels + RNG.normal(0, 0.01, 120)),
    )
    plain, matched = (finding(data, {**SHARE, "matched": flag}, mass=mass) for flag in (False, True))
    assert (plain["verdict"], matched["verdict"]) == ("fail", "pass")
    assert plain["value"] == pytest.approx(0.15, abs=0.02)
    assert abs(matched["value"]) < 0.01
    assert "between images of the same label and similar confidence a gap of 0.00" in matched["text"]
    assert matched["claims"][-1] == "quality_gaps:m:saliency:share%3Amarker:tone:label_confidence"


def test_images_without_the_region_do_not_count_and_small_groups_are_listed() -> None:
    data = images_and_predictions([*TONES, *["rare"] * 12])
    area = np.full(132, 0.02)
    area[120:128] = 0
    mass = mass_of(np.concatenate([WIDE, np.ones(12)]), area)
    row = finding(data, SHARE, mass=mass)
    assert (row["verdict"], row["group"]) == ("fail", "dark")
    assert "Left out as smaller than 10: rare (4)." in row["text"]
    blocked = finding(data, {**SHARE, "small_groups": "block"}, mass=mass)
    assert blocked["verdict"] == "inconclusive"
    none = finding(data, SHARE, mass=mass.assign(area=0.0))
    assert none["verdict"] == "inconclusive"
    assert "by tone was undefined, as fewer than two groups have an image that has the region" in none["text"]
    missing = finding(data, {**SHARE, "method": "grad_cam"}, mass=mass)
    assert "was not measured" in missing["text"]


@pytest.mark.parametrize("compare", ["excess", "range"])
@pytest.mark.parametrize("shares", [WIDE, EVEN / 20])
def test_a_method_that_is_no_evidence_settles_nothing(compare: str, shares: np.ndarray) -> None:
    rule = {**SHARE, "compare": compare, "tolerance": {"excess": 3, "range": 0.05}[compare]}
    rule["attribute"] = "overall" if compare == "excess" else "tone"
    data, mass = images_and_predictions(TONES), mass_of(shares)
    plain = finding(data, rule, mass=mass, stamps=stamps_of("evidence"))
    assert plain["verdict"] in ("fail", "pass")
    row = finding(data, rule, mass=mass, stamps=stamps_of("not_evidence"))
    assert (row["verdict"], row["value"], row["low"]) == ("inconclusive", plain["value"], plain["low"])
    assert row[["p_adjusted", "n_to_settle"]].isna().all()
    assert "but saliency is stamped not evidence on this model (fails: it does), so it settles nothing" in row["text"]
    pointed = finding(data, {**rule, "judge": "point"}, mass=mass, stamps=stamps_of("not_evidence"))
    assert pointed["verdict"] == "inconclusive"
    elsewhere = finding(data, rule, mass=mass, stamps=stamps_of("not_evidence").assign(model="other"))
    assert elsewhere["verdict"] == plain["verdict"]


def test_hiding_a_region_fails_passes_or_is_open() -> None:
    data = images_and_predictions(TONES)
    row = finding(data, EFFECT, interventions=hidden(np.arange(120) % 3 == 0))
    assert (row["verdict"], row["attribute"], row["group"]) == ("fail", "region", "marker")
    assert (row["value"], row["threshold"]) == (pytest.approx(1 / 3), 0.05)
    assert row["claims"] == ["intervention_groups:m:marker:effect:changed:overall:all"]
    for part in ("hiding region 'marker' changes 0.33 of the predictions (95 % interval", "elsewhere 0.00",
                 "0.33 more (95 % interval", "120 images)", "shown to exceed the ceiling of 0.05",
                 "it depends on what the region was filled with"):  # fmt: skip
        assert part in row["text"]
    quiet = finding(data, EFFECT, interventions=hidden(np.zeros(120, bool)))
    assert (quiet["verdict"], quiet["value"]) == ("pass", 0)
    assert "changes that turn no prediction, are not counted" in quiet["text"]
    few = finding(data, EFFECT, interventions=hidden(np.zeros(12, bool)))
    assert few["verdict"] == "inconclusive"
    # As many change when as large an area elsewhere is hidden: it is not the region.
    both = np.arange(120) % 3 == 0
    assert finding(data, EFFECT, interventions=hidden(both, both))["value"] == 0


def test_effect_by_group() -> None:
    data, changed = images_and_predictions(TONES), DARK & (np.arange(120) % 4 < 2)
    worst = finding(data, {**EFFECT, "attribute": "tone"}, interventions=hidden(changed))
    assert (worst["verdict"], worst["group"], worst["attribute"]) == ("fail", "dark", "tone")
    assert worst["value"] == pytest.approx(changed[DARK].mean())
    assert "of the predictions of tone dark" in worst["text"]
    gap = finding(data, {**EFFECT, "attribute": "tone", "compare": "range"}, interventions=hidden(changed))
    assert (gap["verdict"], gap["group"], gap["reference"]) == ("fail", "dark", "light")
    assert gap["value"] == pytest.approx(changed[DARK].mean())
    assert gap["claims"][-1] == "quality_gaps:m:intervention:effect_changed%3Amarker:tone:none"
    same = finding(data, {**EFFECT, "attribute": "tone", "compare": "range", "tolerance": 0.25},
                   interventions=hidden(np.arange(120) % 4 < 2))  # fmt: skip
    assert (same["verdict"], same["value"]) == ("pass", 0)


def test_effect_that_was_not_measured_says_so() -> None:
    data = images_and_predictions(TONES)
    row = finding(data, EFFECT)
    assert row["verdict"] == "inconclusive"
    assert "m: the effect on the prediction of hiding region 'marker' was not measured" in row["text"]
    lone = hidden(np.ones(120, bool))
    row = finding(data, EFFECT, interventions=lone[lone["action"] == "hide"])
    assert "undefined, as no changed image has the region hidden, and as large an area elsewhere" in row["text"]
    row = finding(data, EFFECT, interventions=hidden(np.ones(5, bool)))
    assert "too few" in row["text"]


def test_tolerance_that_is_reached_agrees_with_p() -> None:
    data = images_and_predictions(TONES)
    for tolerance in (0.2, 0.25, 0.3):
        row = finding(data, {**EFFECT, "tolerance": tolerance, "correction": "none"},
                      interventions=hidden(np.arange(120) % 3 == 0))  # fmt: skip
        assert (row["verdict"] == "fail") == (row["p"] < 0.05) == (row["low"] > tolerance)


def test_default_policy_judges_interventions_where_they_were_made() -> None:
    plain = {rule.id for rule in default_policy(["tone"], None, ["marker"]).rules}
    more = {rule.id: rule for rule in default_policy(["tone"], None, ["marker"], interventions=True).rules}
    assert set(more) - plain == {"intervention_effect-marker"}
    rule = more["intervention_effect-marker"]
    assert (rule.tolerance, rule.tier, rule.compare, rule.attribute, rule.bad) == (
        0.05, "supporting", "floor", "overall", "above",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({**SHARE, "region": None}, "'region' is needed"),
        ({**SHARE, "method": None}, "'method' is needed for metric region_share, and only there"),
        ({**EFFECT, "method": "saliency"}, "'method' is needed for metric region_share, and only there"),
        ({**SHARE, "compare": "overall"}, "compare is 'overall' for metric 'region_share', allowed: excess, range"),
        (
            {**EFFECT, "compare": "excess"},
            "compare is 'excess' for metric 'intervention_effect', allowed: floor, range",
        ),
        ({**SHARE, "compare": "excess"}, "compare excess is judged over everybody"),
        ({**SHARE, "attribute": "overall"}, "attribute overall has one group"),
        (
            {**EFFECT, "matched": True},
            "'matched' is for metrics region_share and intervention_effect with compare range",
        ),
        ({"matched": True}, "'matched' is for metrics"),
        ({"region": "marker"}, "'region' is needed for metrics region_share and intervention_effect, and only there"),
        ({**EFFECT, "tolerance": 5}, "tolerance is 5.0, allowed: 0 to 1"),
        ({**EFFECT, "direction": "lower"}, "'direction' has no meaning"),
    ],
)
def test_what_a_rule_may_not_say(rule: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_policy({"name": "p", "rules": [{**RULE, **rule}]})


def test_names_that_the_run_lacks_are_refused() -> None:
    data = images_and_predictions(TONES)
    with pytest.raises(ConfigError, match="region 'markr' is not in the data.*Did you mean 'marker'"):
        finding(data, {**EFFECT, "region": "markr"}, interventions=hidden(DARK))
    rules = parse_policy({"name": "p", "rules": [{**RULE, **SHARE}]})
    with pytest.raises(ConfigError, match="attribute 'tone' has one group only"):
        check_policy(rules, {"tone": {"dark"}}, CLASSES, "pos", ["marker"], {"pos"})
    check_policy(rules, {"tone": {"dark", "light"}}, CLASSES, "pos", ["marker"], {"pos"})


def test_rules_of_both_kinds_stand_side_by_side() -> None:
    data = tables(repeated({("pos", "pos", "dark"): 40, ("neg", "neg", "light"): 40}), ("tone",))
    rules = parse_policy({"name": "p", "rules": [RULE, {**RULE, **SHARE, "id": "share"}]})
    table = judge(rules, *data, mass_of(EVEN[:80]), CLASSES, "pos", draws=99)
    assert table["metric"].tolist() == ["accuracy", "region_share"]
    labels = sensitivity_table(table, rules, *data, CLASSES, "pos", draws=99)
    assert labels["status"].tolist()[1] == "not_measured"


def test_derived_tables_hold_what_was_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, predictions = images_and_predictions(TONES)
    rules = parse_policy({"name": "p", "rules": [{**RULE, **EFFECT, "id": "effect"}, {**RULE, **SHARE, "id": "share"}]})
    facts = Facts(("m",), tuple(CLASSES), "pos", ("tone",), (), rules)
    chances = [[0.1, 0.9] if place % 2 else [0.2, 0.8] for place in range(120)]
    base = {
        "images": images.assign(path="", sha256="", split=""),
        "predictions": predictions.assign(probabilities=chances),
    }
    empty = derive(base, facts)
    assert all(
        empty[name].empty for name in ("quality_groups", "quality_gaps", "intervention_groups", "agreement_groups")
    )
    assert set(empty["findings"]["verdict"]) == {"inconclusive"}
    monkeypatch.setattr("audit.derived.stamp_table", lambda *_: stamps_of("not_evidence"))
    row = {"model": "m", "image_id": images["image_id"].iloc[0], "method": "saliency", "measure": "deletion_mean"}
    measured = pd.DataFrame([{**row, "value": 0.5, "status": "ok", "detail": ""}])
    raw = {"region_mass": mass_of(WIDE), "interventions": hidden(DARK), "quality": measured}
    full = derive(base | raw, facts)
    assert full["findings"]["verdict"].tolist() == ["fail", "inconclusive"]
    assert set(full["quality_gaps"]["method"]) == {"saliency", "intervention"}
    assert full["quality_groups"]["measure"].unique().tolist() == ["deletion_mean", "share:marker"]
    for name in ("quality_groups", "quality_gaps", "intervention_groups", "agreement_groups"):
        write_table(tmp_path, name, full[name])
        assert len(read_table(tmp_path, name)) == len(full[name])
