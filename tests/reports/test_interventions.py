"""What the report says of hidden regions, shows of mean maps, and counts of the work done."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from audit.run import Run
from reports.format import count, interval, p_words, rate, signed
from reports.maps import DIVERGING, UNSIGNED, colours, map_uri
from reports.nodes import Bullets, Callout, FigureRow, Folded, Panel, Paragraph
from reports.sections.closing import methods
from reports.sections.facts import Facts
from reports.sections.interventions import interventions
from reports.sections.mean_maps import MOST_METHODS, mean_maps
from reports.sections.work import work
from tests.reports.reading import blocks, cells, page, table, written

Change = Callable[..., Run]


@pytest.fixture(scope="module")
def facts(sample: Run) -> Facts:
    return Facts(sample)


def of(sample: Run, action: str, **more: Any) -> dict[str, Any]:
    key = {"model": "biased-torch", "region": "marker", "measure": "changed", "attribute": "overall"} | more
    return written(sample.table("intervention_groups"), action=action, **key)


def test_one_sentence_a_model_says_what_hiding_changed(sample: Run, facts: Facts) -> None:
    hide, control, effect = (of(sample, action) for action in ("hide", "control", "effect"))
    said = [item for block in blocks(interventions(facts), Bullets) for item in block.items]
    assert said[0] == (
        f"biased-torch: of {hide['n']} predictions, a share of {rate(hide['value'])} "
        f"{interval(hide['low'], hide['high'])} changed when the region was hidden, {rate(control['value'])} "
        f"{interval(control['low'], control['high'])} when an equal area elsewhere was; effect "
        f"{signed(effect['value'])} {interval(effect['low'], effect['high'])}, {p_words(effect['p'])}."
    )


def test_regions_that_should_not_matter_come_first(facts: Facts) -> None:
    part = interventions(facts)
    assert part is not None
    titles = [block.title for block in part.blocks if hasattr(block, "title")]
    assert titles == ["What this does not show", "Region marker", "Region object"]
    [callout] = [block for block in part.blocks if isinstance(block, Callout)]
    assert "It says nothing of images without the region" in callout.text


def test_what_was_done_stands_side_by_side(sample: Run, facts: Facts) -> None:
    part = interventions(facts)
    effect = of(sample, "effect", region="object", measure="drop", attribute="tone", group="tone-4")
    [line] = [
        line
        for line in cells(table(part, "Hiding object, by tone"))
        if (line["Measure"].text, line["Group"].text, line["Model"].text)
        == ("drop of the probability", "tone-4", "biased-torch")
    ]
    cell = line["Effect: region minus elsewhere"]
    assert cell.text == signed(effect["value"])
    assert cell.note == f"{interval(effect['low'], effect['high'])}, n={effect['n']}\n{p_words(effect['p'])}"
    hide = of(sample, "hide")
    [whole] = [
        line
        for line in cells(table(part, "Hiding marker, over everybody"))
        if (line["Measure"].text, line["Model"].text) == ("predictions changed", "biased-torch")
    ]
    assert whole["Region hidden"].text == rate(hide["value"])
    assert "Region of another image put in" not in whole


def test_effects_are_drawn_by_group_with_their_intervals(sample: Run, facts: Facts) -> None:
    figures = [item for row in blocks(interventions(facts), FigureRow) for item in row.figures]
    [torch] = [item.figure for item in figures if item.caption == "biased-torch: effect of hiding object, by tone"]
    for row in torch.rows:
        given = of(sample, "effect", region="object", attribute="tone", group=row.label)
        assert (row.value, row.low, row.high, row.n) == (given["value"], given["low"], given["high"], given["n"])
    assert torch.reference == 0.0
    assert torch.bounds[0] < 0 < torch.bounds[1]


def test_gaps_between_effects_stand_with_their_region(sample: Run, facts: Facts) -> None:
    gaps = cells(table(interventions(facts), "Effect of hiding object: gaps between groups"))
    assert {line["Measure"].text for line in gaps} == {"effect on predictions", "effect on the probability"}
    assert "Method" not in gaps[0]


def test_effects_that_cannot_be_compared_are_said_not_to_be(sample: Run, changed: Change) -> None:
    gaps = sample.table("quality_gaps")
    gaps.loc[gaps["method"] == "intervention", ["value", "low", "high", "p", "p_adjusted"]] = None
    said = [block.text for block in blocks(interventions(Facts(changed({"quality_gaps": gaps}))), Paragraph)]
    assert said.count("The effects of the groups were not compared: fewer than two groups are large enough.") == 2


def test_images_without_the_region_are_counted(sample: Run, facts: Facts) -> None:
    raw = sample.table("interventions")
    absent = raw[(raw["region"] == "marker") & (raw["action"] == "hide") & (raw["status"] != "ok")]
    said = [item for block in blocks(interventions(facts), Bullets) for item in block.items]
    reason = absent["detail"].iloc[0]
    assert f"Region hidden: not done in {absent['image_id'].nunique()} images, {reason}." in said


def test_without_a_control_no_effect_is_given(sample: Run, changed: Change) -> None:
    given = sample.table("intervention_groups")
    run = changed({"intervention_groups": given[given["action"].isin(["hide", "swap"])]})
    said = [item for block in blocks(interventions(Facts(run)), Bullets) for item in block.items]
    assert said[0].endswith("; there is no control to compare with, so no effect is given.")


def test_a_swap_is_shown_where_there_is_one(sample: Run, changed: Change) -> None:
    given = sample.table("intervention_groups")
    swap = given[given["action"] == "hide"].assign(action="swap", value=0.375, low=0.25, high=0.5)
    part = interventions(Facts(changed({"intervention_groups": pd.concat([given, swap])})))
    shown = cells(table(part, "Hiding object, over everybody"))
    assert {line["Region of another image put in"].text for line in shown} == {"0.375", "+0.375"}


def test_what_was_shown_instead_is_said(sample: Run, changed: Change) -> None:
    config = sample.record["config"] | {"interventions": {"fill": "blur", "controls": 2}}
    first = blocks(interventions(Facts(changed(config=config))), Paragraph)[0]
    assert first.text.startswith(
        "Each region was hidden, with a blurred copy of the image in its place, and the model predicted again."
    )


def pixels(uri: str) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))) as opened:
        return np.asarray(opened.convert("RGB"))


def test_several_maps_share_one_colour_scale() -> None:
    half = pixels(map_uri([[0.0, 2.0]], signed=False, scale=4.0))
    assert (half[0, 0] == colours(UNSIGNED)[0]).all()
    assert (half[0, 1] == colours(UNSIGNED)[128]).all()
    both = pixels(map_uri([[-4.0, 0.0, 4.0]], signed=True, scale=4.0))
    assert (both[0] == colours(DIVERGING)[[0, 128, 255]]).all()
    assert (pixels(map_uri([[0.0, 2.0]], signed=False))[0, 1] == colours(UNSIGNED)[255]).all()


def maps_of(frame: pd.DataFrame, **wanted: Any) -> dict[str, np.ndarray]:
    for name, value in wanted.items():
        frame = frame[frame[name] == value]
    rows = frame.to_dict("records")
    return {r["group"]: np.asarray(r["map"]).reshape(int(r["height"]), int(r["width"])) for r in rows}


def test_mean_maps_and_differences_are_what_the_table_holds(sample: Run, facts: Facts) -> None:
    given = sample.table("mean_maps")
    panels = {panel.title: panel for panel in blocks(mean_maps(facts), Panel)}
    key = {"model": "biased-torch", "method": "saliency", "attribute": "marker"}
    differences = maps_of(given, **key, kind="difference")
    panel = panels["Saliency, biased-torch, by marker: each group less everybody else"]
    largest = max(float(np.abs(one).max()) for one in differences.values())
    assert panel.signed
    assert (panel.low, panel.high) == (f"−{largest:.2g}, less", f"+{largest:.2g}, more")
    for tile in panel.tiles:
        wanted = np.rint((differences[tile.method] / largest + 1) * 127.5).astype(int)
        drawn = pixels(str(tile.uri)).astype(int)
        assert np.abs(drawn - colours(DIVERGING)[wanted].astype(int)).max() <= 8
        row = written(given, **key, kind="difference", group=tile.method)
        clusters = f", {row['clusters']} clusters" if row["n"] != row["clusters"] else ""
        p = "p<0.001" if row["p"] < 0.001 else f"p={row['p']:.3f}"
        assert tile.caption == f"n={row['n']}{clusters}, {p}"
    means = panels["Saliency, biased-torch, by marker: mean share of attribution"]
    assert [tile.method for tile in means.tiles] == ["everybody", "absent", "present"]
    assert (means.low, means.signed, means.stamp) == ("0", False, "evidence")
    assert means.note == "Maps of the logit of the predicted class."


def test_layer_and_stamp_stand_with_a_mean_map(facts: Facts) -> None:
    panels = [panel for panel in blocks(mean_maps(facts), Panel) if panel.title.startswith("Grad-CAM, biased-keras")]
    assert panels
    for panel in panels:
        assert (panel.stamp, panel.note) == ("not_evidence", "Maps of the logit of the predicted class, layer relu2.")
    assert 'class="stamp stamp-not_evidence"' in page(mean_maps(facts))


def test_the_method_with_the_worst_stamp_is_folded_away(facts: Facts) -> None:
    folded = [block.title for block in blocks(mean_maps(facts), Folded)]
    assert folded == ["Mean maps of Gradient × input", "Mean maps of Grad-CAM"]


def test_attributes_of_many_groups_and_further_methods_are_in_the_table_only(sample: Run, changed: Change) -> None:
    given = sample.table("mean_maps")
    tones = given[given["attribute"] == "tone"]
    more = [tones.assign(group=tones["group"] + f"-{number}") for number in range(2)]
    other = [given.assign(method=f"method_{number}") for number in range(3)]
    part = mean_maps(Facts(changed({"mean_maps": pd.concat([given, *more, *other])})))
    titles = [panel.title for panel in blocks(part, Panel)]
    assert titles
    assert not [title for title in titles if ", by tone" in title]
    assert len({title.split(",")[0] for title in titles}) == MOST_METHODS
    assert blocks(part, Paragraph)[-1].text == (
        "3 of 6 methods are drawn; not drawn: method 1, method 2, Grad-CAM. With more than 8 groups, not drawn: tone. "
        "Table mean_maps of the run holds them all."
    )


def test_a_group_without_a_map_says_why(sample: Run, changed: Change) -> None:
    given = sample.table("mean_maps")
    one = (given["group"] == "absent") & (given["kind"] == "difference")
    given.loc[one, "status"] = "too_few_clusters"
    given["map"] = [None if chosen else cells_ for chosen, cells_ in zip(one, given["map"], strict=True)]
    given.loc[one, ["largest", "p"]] = None
    panels = blocks(mean_maps(Facts(changed({"mean_maps": given}))), Panel)
    tiles = [tile for panel in panels if panel.signed for tile in panel.tiles if tile.method == "absent"]
    assert tiles
    assert {(tile.uri, tile.caption) for tile in tiles} == {(None, "too few independent clusters for an interval")}


def test_work_is_compared_with_the_least_possible(sample: Run, changed: Change) -> None:
    rows = [
        {"model": "biased-torch", "stage": "explain", "images": 48, "used": 1500.0, "least": 1200.0, "micro_batch": 8},
        {"model": "biased-keras", "stage": "quality", "images": 16, "used": 600.0, "least": 800.0, "micro_batch": 32},
    ]
    config = sample.record["config"] | {"execution": {"micro_batch": 32}}
    run = changed({"work": pd.DataFrame(rows)}, config=config)
    part = methods(Facts(run))
    said = [block.text for block in blocks(part, Paragraph)]
    assert (
        f"The passes over the models took {count(2100)} forward-equivalents; the least possible for what was asked is "
        f"{count(2000)}, so 1.05 times the least. A backward pass counts as one forward pass."
    ) in said
    assert (
        "Memory was short: fewer images than the 32 asked for were computed at once. explain of biased-torch: 8."
        in said
    )
    shown = cells(table(part, "Work done, by model and stage"))
    assert [line["Times the least"].text for line in shown] == ["1.250", "0.750"]


def test_a_run_that_does_not_count_its_work_says_nothing(changed: Change, sample: Run) -> None:
    without = tuple(name for name in ("work",) if sample.has(name))
    assert work(Facts(changed(without=without))) == []
