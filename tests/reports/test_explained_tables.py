"""What the report says of gaps in explanations, their quality, agreement of models, and concepts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from audit.run import Run
from reports.format import decimal, decimals, interval, method_words, p_value, rate
from reports.nodes import (
    Bullets,
    Callout,
    Gallery,
)
from reports.sections.agreement import agreement
from reports.sections.concepts import concepts
from reports.sections.facts import Facts
from reports.sections.quality import quality
from reports.sections.regions import regions
from tests.reports.reading import blocks, cells, table, written

Change = Callable[..., Run]


@pytest.fixture(scope="module")
def facts(sample: Run) -> Facts:
    return Facts(sample)


def test_gaps_in_shares_stand_matched_beside_unmatched(sample: Run, facts: Facts) -> None:
    key = {"model": "biased-torch", "method": "saliency", "measure": "share:object", "attribute": "tone"}
    rows = {name: written(sample.table("quality_gaps"), **key, matching=name) for name in ("none", "label_confidence")}
    [shown] = [
        line
        for line in cells(table(regions(facts), "Region shares: gaps between groups"))
        if (line["Region"].text, line["Method"].text, line["Model"].text, line["Attribute"].text)
        == ("object", "Saliency", "biased-torch", "tone")
    ]
    for row, gap, p in (
        (rows["none"], "Gap, all images", "p"),
        (rows["label_confidence"], "Gap, matched images", "p, matched"),
    ):
        assert shown[gap].text == f"{decimal(row['value'])} {decimals(row['low'], row['high'])}"
        assert shown[gap].note == f"{row['group']} over {row['reference']}, n={row['n']}"
        assert shown[p].text == p_value(row["p"])
        assert shown[p].note == p_value(row["p_adjusted"])
    assert shown["Method"].stamp == "evidence"


def gap_rows(**changes: Any) -> pd.DataFrame:
    base = {"model": "biased-torch", "method": "saliency", "measure": "share:marker", "attribute": "tone"}
    base |= {"group": "tone-6", "reference": "tone-1", "n": 40, "clusters": 40, "status": "ok"}
    numbers = {
        "none": {"value": 0.25, "low": 0.125, "high": 0.375, "p": 0.001, "p_adjusted": 0.004},
        "label_confidence": {"value": 0.0625, "low": 0.0, "high": 0.25, "p": 0.25, "p_adjusted": 0.5},
        "correctness": {"value": 0.5, "low": 0.25, "high": 0.75, "p": None, "p_adjusted": None},
    }
    return pd.DataFrame([base | {"matching": name} | found | changes for name, found in numbers.items()])


def test_one_sentence_says_what_was_found(changed: Change) -> None:
    other = gap_rows(method="grad_cam", p_adjusted=0.9)
    run = changed({"quality_gaps": pd.concat([gap_rows(), other])})
    [sentences] = [block for block in blocks(regions(Facts(run)), Bullets) if "marker by tone" in block.items[0]]
    wanted = (
        "biased-torch, marker by tone: 1 of 2 methods show a gap that stands after correction, 0 of them also between "
        "matched images. With Saliency (evidence): all images: tone-6 0.250 above tone-1 [0.125, 0.375], corrected "
        "p = 0.004; matched images: tone-6 0.062 above tone-1 [0.000, 0.250], corrected p = 0.500."
    )
    assert sentences.items == (wanted,)


def test_a_gap_that_could_not_be_compared_says_why(changed: Change) -> None:
    rows = gap_rows()
    rows.loc[rows["matching"] == "label_confidence", ["value", "low", "high", "p", "p_adjusted"]] = None
    rows.loc[rows["matching"] == "label_confidence", "status"] = "too_few_clusters"
    nothing = gap_rows(measure="share:object", value=None, low=None, high=None, p=None, p_adjusted=None)
    found = table(
        regions(Facts(changed({"quality_gaps": pd.concat([rows, nothing])}))), "Region shares: gaps between groups"
    )
    [shown] = cells(found)
    assert shown["Gap, matched images"].text == "too few independent clusters for an interval"
    assert "1 comparisons have no value" in found.note


def test_quality_shows_means_intervals_and_n(sample: Run, facts: Facts) -> None:
    key = {"model": "biased-torch", "attribute": "overall"}
    given = sample.table("quality_groups")
    shown = cells(table(quality(facts), "Do the pixels that a map names move the probability?"))
    column = "Deletion, blur (low is good)"
    for method in ("saliency", "random"):
        row = written(given, **key, method=method, measure="deletion_blur")
        [line] = [c for c in shown if (c["Method"].text, c["Model"].text) == (method_words(method), "biased-torch")]
        assert line[column].text == decimal(row["value"])
        assert line[column].note == f"{decimals(row['low'], row['high'])}\nn={row['n']}"
        assert line["Method"].stamp == ("evidence" if method == "saliency" else "")
    assert [line["Method"].text for line in shown][-6:] == [
        *("Random map", "Map of the centre", "Edge detector", "Random map", "Map of the centre", "Edge detector")
    ]


def test_quality_stands_group_beside_group(sample: Run, facts: Facts, changed: Change) -> None:
    given = sample.table("quality_groups")
    key = {"model": "biased-keras", "method": "grad_cam", "measure": "insertion_blur"}
    [line] = [
        line
        for line in cells(table(quality(facts), "Quality of the maps, by tone"))
        if (line["Measure"].text, line["Method"].text, line["Model"].text)
        == ("Insertion, blur", "Grad-CAM", "biased-keras")
    ]
    assert line["Method"].stamp == "not_evidence"
    for tone in ("tone-1", "tone-6"):
        row = written(given, **key, attribute="tone", group=tone)
        assert line[tone].text == decimal(row["value"])
    more = given[given["attribute"] == "tone"].assign(group=lambda frame: frame["group"] + "-more")
    long = table(quality(Facts(changed({"quality_groups": pd.concat([given, more])}))), "Quality of the maps, by tone")
    assert [column.title for column in long.columns] == ["Measure", "Method", "Model", "Group", "Mean"]
    assert len(long.rows) == 150


def test_how_many_gaps_stand_is_counted(changed: Change) -> None:
    rows = [
        gap_rows(measure="gini"),
        gap_rows(measure="road", p_adjusted=0.01),
        gap_rows(measure="sensitivity", p_adjusted=0.6),
        gap_rows(measure="gini", method="random"),
        gap_rows(measure="effect_changed:marker", method="intervention"),
    ]
    part = quality(Facts(changed({"quality_gaps": pd.concat(rows)})))
    [line] = cells(table(part, "Quality of the maps: how many gaps stand"))
    assert [cell.text for cell in line.values()] == ["biased-torch", "tone", "3", "2", "1", "0"]
    standing = cells(table(part, "Quality of the maps: gaps that stand after correction"))
    assert sorted(cell["Measure"].text for cell in standing) == ["Gini", "ROAD"]
    every = cells(table(part, "Quality of the maps: every gap"))
    assert len(every) == 4


def test_measures_that_were_not_made_are_listed(sample: Run, changed: Change) -> None:
    given = sample.table("quality")
    mask = (given["model"] == "biased-torch") & (given["method"] == "saliency") & (given["measure"] == "randomisation")
    images = given.loc[mask, "image_id"].nunique()
    given.loc[mask, ["value", "status", "detail"]] = [None, "not_measured", "it costs too much"]
    said = blocks(quality(Facts(changed({"quality": given}))), Bullets)
    assert f"Saliency on biased-torch, Randomisation: it costs too much ({images} images)." in said[-1].items


def test_agreement_shows_the_tables_numbers(sample: Run, facts: Facts) -> None:
    given = sample.table("agreement_groups")
    part = agreement(facts)
    shown = cells(table(part, "Agreement of biased-torch and biased-keras, by method"))
    assert [line["Images"].text for line in shown] == ["all images"] * 3
    [line] = [line for line in shown if line["Method"].text == "Grad-CAM"]
    row = written(given, method="grad_cam", measure="spearman", when="all", attribute="overall")
    assert line["Rank correlation"].text == rate(row["value"])
    assert line["Rank correlation"].note == interval(row["low"], row["high"])
    assert line["n"].text == str(row["n"])
    assert line["Method"].note == "✓ evidence on biased-torch; ✕ not evidence on biased-keras"
    assert table(part, "Agreement of biased-torch and biased-keras, by tone").folded


def test_the_gallery_of_disagreement_shows_the_largest_distances_first(sample: Run, facts: Facts) -> None:
    given = sample.table("agreement")
    same = given[(given["method"] == "saliency") & given["same_prediction"].astype(bool)]
    wanted = same.sort_values("distance", ascending=False).head(6)
    [shown] = blocks(agreement(facts), Gallery)
    assert [card.image_id for card in shown.cards] == wanted["image_id"].tolist()
    assert shown.cards[0].facts[-1] == (
        f"distance {rate(wanted['distance'].iloc[0])} of 2, rank correlation {rate(wanted['spearman'].iloc[0])}"
    )
    assert [model.name for model in shown.cards[0].models] == sample.models


def test_models_that_never_say_the_same_have_nothing_to_show(sample: Run, changed: Change) -> None:
    run = changed({"agreement": sample.table("agreement").assign(same_prediction=False)})
    [callout] = blocks(agreement(Facts(run)), Callout)
    assert callout.title == "Nothing to show"


def test_concepts_are_said_in_words_and_numbers(sample: Run, changed: Change) -> None:
    base = {"model": "biased-torch", "concept": "striped", "layer": "relu2", "target_class": "cross"}
    numbers = {"n": 40, "value": 0.875, "low": 0.75, "high": 1.0, "random": 0.5, "p": 0.02, "accuracy": 0.9}
    refused = {"model": "biased-keras", "concept": "striped", "layer": None, "target_class": None}
    rows = [
        base | numbers | {"attribute": "overall", "group": "all", "status": "ok"},
        base | numbers | {"attribute": "tone", "group": "tone-1", "n": 9, "status": "ok"},
        refused | dict.fromkeys(numbers) | {"n": 0, "attribute": None, "group": None, "status": "not_measured"},
    ]
    problem = {"stage": "concepts", "model": "biased-keras", "image_id": None, "path": "model biased-keras"}
    problem |= {"status": "not_measured", "detail": "concept 'striped': TCAV needs gradients of a layer's output"}
    problems = pd.concat([sample.table("problems"), pd.DataFrame([problem])])
    part = concepts(Facts(changed({"concepts": pd.DataFrame(rows), "problems": problems})))
    [said] = blocks(part, Bullets)
    torch = (
        "biased-torch, striped for cross: the score rises along the concept in 0.875 of 40 images (0.750 to 1.000 over "
        "the fits), along random directions in 0.500; p = 0.020."
    )
    keras = "biased-keras, striped: not measured (TCAV needs gradients of a layer's output)."
    assert said.items == (torch, keras)
    assert [line["n"].text for line in cells(table(part, "Concepts"))] == ["40", "9", "0"]
