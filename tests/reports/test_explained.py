"""What the report says of explanations: stamps, region shares, quality, agreement, methods, and how much is shown."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from audit.findings.stamps import CHECKS
from audit.run import Run
from reports.document import build_document
from reports.format import decimal, decimals, interval, method_words, rate
from reports.html import render_html
from reports.methods import method_of
from reports.nodes import (
    Bullets,
    Callout,
    FigureRow,
    Gallery,
    GalleryCard,
    Legend,
    Paragraph,
    Section,
)
from reports.palette import STAMPS, stamp_style
from reports.sections.agreement import agreement
from reports.sections.closing import limits, methods
from reports.sections.concepts import concepts
from reports.sections.explanations import explanations, maps
from reports.sections.facts import Facts
from reports.sections.gallery import choose, gallery
from reports.sections.interventions import interventions
from reports.sections.mean_maps import mean_maps
from reports.sections.quality import quality
from reports.sections.regions import regions
from reports.sections.stamps import refusals, stamps
from reports.svg import draw
from tests.reports.reading import blocks, cells, page, table, written

Change = Callable[..., Run]
EVIL = '<script>alert(1)</script>" onload="x'
NEW = (
    *("quality", "stamps", "quality_groups", "quality_gaps", "interventions", "intervention_groups", "agreement"),
    *("agreement_groups", "mean_maps", "concepts", "work"),
)
SAID = {
    "saliency": {
        "title": "Saliency of ours",
        "definition": "a definition that is recorded",
        "signed": True,
        "needs_layer": False,
        "provider": "faircam",
        "settings": {"copies": 16, "noise_level": 0.125},
    }
}


@pytest.fixture(scope="module")
def facts(sample: Run) -> Facts:
    return Facts(sample)


def test_every_method_has_its_stamp_on_every_model(sample: Run, facts: Facts) -> None:
    given = sample.table("stamps")
    shown = cells(table(stamps(facts), "Stamp of every method on every model"))
    assert [row["Method"].text for row in shown] == ["Saliency", "Gradient × input", "Grad-CAM"]
    found = {(row["Method"].text, model): row[model] for row in shown for model in sample.models}
    overall = given[given["check"] == "overall"]
    assert len(found) == len(overall) == 6
    for row in overall.to_dict("records"):
        assert found[method_words(row["method"]), row["model"]].stamp == row["result"]
    failed = found["Grad-CAM", "biased-keras"]
    assert (failed.stamp, failed.note) == ("not_evidence", "failed: depends on model; passed: beats random")


def test_a_stamp_is_told_by_sign_and_word(facts: Facts) -> None:
    text = page(stamps(facts))
    for name, style in STAMPS.items():
        assert f'<span class="stamp stamp-{name}"><span class="symbol" aria-hidden="true">{style.symbol}</span>' in text
        assert f"</span> {style.word}</span>" in text
    for part in ("symbol", "word", "border", "meaning"):
        assert len({getattr(style, part) for style in STAMPS.values()}) == len(STAMPS)


def test_a_stamp_that_nobody_knows_is_not_taken_for_evidence(sample: Run, changed: Change) -> None:
    given = sample.table("stamps")
    given.loc[given["check"] == "overall", "result"] = "excellent"
    run = changed({"stamps": given})
    text = page(stamps(Facts(run)))
    assert "stamp stamp-not_measured" in text
    assert "</span> excellent</span>" in text
    assert stamp_style("excellent").symbol == STAMPS["not_measured"].symbol
    assert "stamp-excellent" not in text


def test_checks_show_value_interval_threshold_and_n(sample: Run, facts: Facts) -> None:
    given = written(sample.table("stamps"), model="biased-keras", method="grad_cam", check="depends_on_model")
    found = table(stamps(facts), "Checks behind the stamps of biased-keras")
    [row] = [r for r in cells(found) if r["Method"].text == "Grad-CAM" and r["Check"].text == "depends on model"]
    assert found.folded
    assert row["Result"].text == "✕ failed"
    assert row["Value"].text == decimal(given["value"])
    assert row["95 % interval"].text == decimals(given["low"], given["high"])
    assert row["Wanted"].text == "at most 0.9"
    assert row["n"].text == str(given["n"])
    assert row["What it measures"].text == CHECKS["depends_on_model"].words


def test_what_a_stamp_does_not_say(facts: Facts) -> None:
    text = " ".join(block.text for block in blocks(stamps(facts), Paragraph))
    assert "A stamp does not say that a reader interprets the map rightly" in text


def test_without_stamps_nothing_counts_as_evidence(changed: Change) -> None:
    facts = Facts(changed(without=("stamps",)))
    [callout] = blocks(stamps(facts), Callout)
    assert callout.title == "Not measured"
    assert facts.stamp("biased-torch", "saliency") == "not_measured"
    text = page(regions(facts), gallery(facts))
    assert "stamp-evidence" not in re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)
    assert "stamp stamp-not_measured" in text
    assert "was not measured in this run." in " ".join(blocks(limits(facts), Bullets)[0].items)


def test_methods_that_a_model_refused_are_listed_with_the_reason(sample: Run, changed: Change) -> None:
    explained, problems = sample.table("explanations"), sample.table("problems")
    refused = (explained["model"] == "biased-keras") & (explained["method"] == "grad_cam")
    explained.loc[refused, "status"] = "not_measured"
    problem = {"stage": "explain", "model": "biased-keras", "image_id": None, "path": "model biased-keras"}
    problem |= {"status": "not_measured", "detail": "grad_cam: has no layer with a spatial output."}
    run = changed({"explanations": explained, "problems": pd.concat([problems, pd.DataFrame([problem])])})
    assert refusals(Facts(run)) == ["Grad-CAM on biased-keras: has no layer with a spatial output."]
    assert refusals(Facts(sample)) == []
    assert "has no layer with a spatial output." in page(stamps(Facts(run)))


def test_a_stamp_stands_beside_every_tile(sample: Run, facts: Facts) -> None:
    shown = gallery(facts)
    cards: list[GalleryCard] = [card for block in blocks(shown, Gallery) for card in block.cards]
    tiles = [(card, model, tile) for card in cards for model in card.models for tile in model.tiles]
    assert len(tiles) == len(cards) * 2 * 3
    names = {method_words(name): name for name in facts.methods}
    for card, model, tile in tiles:
        assert tile.stamp == facts.stamp(model.name, names[tile.method])
        outcome = written(sample.table("predictions"), model=model.name, image_id=card.image_id)
        layer = "relu2, " if tile.method == "Grad-CAM" else ""
        assert tile.caption == f"{layer}for {outcome['predicted']} (predicted), logit"
        assert stamp_style(tile.stamp).word.lower() in tile.alternative
    text = page(shown)
    figures = re.findall(r'<figure class="tile">.*?</figure>', text, flags=re.DOTALL)
    assert len(figures) == len(tiles)
    assert all(re.search(r'class="stamp stamp-\w+">.*</span> (Evidence|Not evidence)</span>', one) for one in figures)


def test_a_map_of_nothing_says_so(sample: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Run, "maps", lambda *_: dict.fromkeys(sample.table("images")["image_id"], np.zeros((4, 4))))
    [first, *_] = [card for block in blocks(gallery(Facts(sample)), Gallery) for card in block.cards]
    assert all(tile.caption.endswith(", zero everywhere") for model in first.models for tile in model.tiles)


def test_region_shares_show_the_tables_numbers_with_their_stamps(sample: Run, facts: Facts) -> None:
    part = regions(facts)
    given = sample.table("region_groups")
    row = written(given, model="biased-keras", attribute="overall", region="marker", method="grad_cam")
    [shown] = [
        line
        for line in cells(table(part, "Region shares over everybody"))
        if (line["Region"].text, line["Method"].text) == ("marker", "Grad-CAM")
    ]
    cell = shown["biased-keras"]
    assert cell.text == rate(row["value"])
    assert cell.note == f"{interval(row['low'], row['high'])}, n={row['n']}"
    assert cell.stamp == "not_evidence"
    assert "logit of the predicted class" in table(part, "Region shares over everybody").note
    assert "relu2 in biased-keras" in table(part, "Region shares over everybody").note
    by_tone = cells(table(part, "Region shares, by tone"))
    assert {line["Method"].stamp for line in by_tone} == {"evidence", "not_evidence"}
    assert all(line["Method"].stamp == facts.stamp(line["Model"].text, "saliency")
               for line in by_tone if line["Method"].text == "Saliency")  # fmt: skip


def test_region_figures_carry_stamps_as_sign_and_in_words(facts: Facts) -> None:
    figures = [item for row in blocks(regions(facts), FigureRow) for item in row.figures]
    [keras] = [
        item.figure for item in figures if item.caption == "biased-keras: share of attribution in marker, by method"
    ]
    assert "Grad-CAM (not evidence): " in keras.description
    assert re.search(r"<text[^>]*>Grad-CAM ✕</text>", re.sub(r"\s+", " ", draw(keras, "f")))
    single = [item for item in figures if item.caption.endswith("by tone")]
    assert single
    assert all(item.stamp == "evidence" for item in single)


def test_methods_are_defined_by_the_runs_record(changed: Change) -> None:
    run = changed(methods=SAID)
    rows = {line["Method"].text: line for line in cells(table(methods(Facts(run)), "Explanation methods"))}
    assert list(rows) == ["Saliency of ours", "Gradient × input", "Grad-CAM"]
    ours = [cell.text for cell in rows["Saliency of ours"].values()][1:]
    assert ours == [
        "a definition that is recorded",
        "copies 16; noise level 0.125",
        "for and against the class",
        "faircam",
    ]
    assert "activations of the named layer" in rows["Grad-CAM"]["Definition"].text
    [legend] = blocks(gallery(Facts(run)), Legend)
    assert (legend.unsigned, legend.signed) == ("Grad-CAM", "Saliency of ours, Gradient × input")


@pytest.mark.parametrize("said", [None, [], "x", {"saliency": None}, {"saliency": []}, {"saliency": {"settings": 3}}])
def test_a_record_of_another_shape_falls_back_to_known_words(said: Any) -> None:
    found = method_of({"methods": said}, "saliency")
    assert found.title == "Saliency"
    assert (found.signed, found.needs_layer, found.settings) == (False, False, ())


def test_hostile_method_names_are_escaped(sample: Run, changed: Change) -> None:
    def renamed(name: str) -> pd.DataFrame:
        frame = sample.table(name)
        return frame.assign(method=frame["method"].replace({"saliency": EVIL}))

    names = (
        "explanations",
        "stamps",
        "region_groups",
        "quality_groups",
        "quality_gaps",
        "agreement",
        "agreement_groups",
    )
    said = {EVIL: {"title": EVIL, "definition": EVIL, "provider": EVIL, "settings": {EVIL: EVIL}}}
    run = changed({name: renamed(name) for name in (*names, "mean_maps")}, methods=said)
    facts = Facts(run)
    text = page(explanations(facts), maps(facts), agreement(facts), methods(facts))
    assert "<script" not in text
    assert not re.search(r'<[^>]*\sonload="', text)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_an_old_run_renders_without_the_new_tables(sample: Run, changed: Change) -> None:
    run = changed(without=tuple(name for name in NEW if sample.has(name)))
    document = build_document(run)
    titles = [section.identifier for section in document.sections]
    assert not {"interventions", "agreement", "concepts"} & set(titles)
    [section] = [one for one in document.sections if one.identifier == "explanations"]
    assert [block.identifier for block in section.blocks if isinstance(block, Section)] == ["stamps", "regions"]
    words = " ".join(blocks(limits(Facts(run)), Bullets)[0].items)
    assert "no region was hidden or changed" in words
    assert "whether the maps are evidence" in words
    text = render_html(document)
    assert len(re.findall(r'<figure class="tile">', text)) == 24 * 2 * 3
    assert "Mean maps" not in text


def test_a_run_with_interventions_no_longer_says_that_nothing_was_hidden(facts: Facts) -> None:
    words = " ".join(blocks(limits(facts), Bullets)[0].items)
    assert "no region was hidden" not in words
    assert "The faithfulness of the maps" not in words


def test_pictures_are_chosen_evenly_also_where_few_fit(sample: Run, facts: Facts) -> None:
    images = sample.table("images")
    chosen = choose(facts, images, sample.table("predictions"), 24)
    few = choose(facts, images, sample.table("predictions"), 7)
    assert few == chosen[:7]
    assert len({group for group, _ in few}) == 7


def test_fifteen_methods_stay_below_five_megabytes(
    sample: Run, changed: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Run.maps
    monkeypatch.setattr(Run, "maps", lambda run, model, _, ids=None: kept(run, model, "saliency", ids))
    names = [f"method_{number:02d}" for number in range(15)]

    def many(name: str) -> pd.DataFrame:
        frame = sample.table(name)
        own = frame[frame["method"] == "saliency"]
        return pd.concat([own.assign(method=one) for one in names], ignore_index=True)

    every = (
        "explanations",
        "stamps",
        "region_groups",
        "quality_groups",
        "quality_gaps",
        "agreement",
        "agreement_groups",
    )
    run = changed({name: many(name) for name in (*every, "mean_maps")})
    text = render_html(build_document(run))
    assert len(text.encode()) < 5_000_000
    shown = gallery(Facts(run))
    cards = [card for block in blocks(shown, Gallery) for card in block.cards]
    assert {len(model.tiles) for card in cards for model in card.models} == {15}
    assert f"{len(cards)} of 48 explained images are shown, with the maps of 15 of 15 methods" in (
        blocks(shown, Paragraph)[0].text
    )
    assert len(cards) == 14
    assert len({block.title for block in blocks(shown, Gallery)}) == 7


def test_more_methods_than_fit_on_a_card_are_left_out_and_said(sample: Run, changed: Change) -> None:
    explained = sample.table("explanations")
    own = explained[explained["method"] == "saliency"]
    frames = [own.assign(method=f"method_{number:02d}") for number in range(20)]
    given = sample.table("stamps")
    one = given[given["method"] == "saliency"].assign(method="method_19")
    run = changed({"explanations": pd.concat(frames, ignore_index=True), "stamps": one})
    shown = gallery(Facts(run))
    assert "with the maps of 15 of 20 methods" in blocks(shown, Paragraph)[0].text
    tiles = blocks(shown, Gallery)[0].cards[0].models[0].tiles
    assert [tile.method for tile in tiles] == [*(f"method {number:02d}" for number in range(14)), "method 19"]


def test_sections_without_anything_are_left_out(changed: Change, sample: Run) -> None:
    facts = Facts(changed(without=tuple(name for name in NEW if sample.has(name))))
    assert [part(facts) for part in (quality, interventions, mean_maps, agreement, concepts)] == [None] * 5
