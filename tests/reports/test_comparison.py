"""The comparison of two models as a document, a CSV and a command: true to the table, worded with care, refusals."""

from __future__ import annotations

import io
import re
import shutil
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import pandas as pd
import pytest

from audit.errors import InputError
from audit.fairness.paired import PAIRED_COLUMNS
from audit.run import Run, open_run
from audit.run.schema import TABLES
from audit.run.tables import write_table
from reports.comparison import build_comparison, choose_arms, compare_runs, write_comparison
from reports.format import known, rate, signed
from reports.html import render_html
from reports.nodes import Bullets, Document, Paragraph, Section, Table
from reports.palette import verdict_style
from reports.sections.paired import PairedFacts
from tests.integration.small import faircam
from tests.reports.test_html import EVIL, Page

BEFORE, AFTER = "biased-torch", "biased-keras"
DRAWS = 199


@pytest.fixture(scope="module")
def pairs(sample: Run) -> list[PairedFacts]:
    return compare_runs([sample], draws=DRAWS)


@pytest.fixture(scope="module")
def page(pairs: list[PairedFacts]) -> str:
    return render_html(build_comparison(pairs))


@pytest.fixture
def other(sample: Run, tmp_path: Path) -> Run:
    """The same audit once more, in another folder."""
    shutil.copytree(sample.path, tmp_path / "other")
    return open_run(tmp_path / "other")


def sentences(pairs: list[PairedFacts]) -> str:
    blocks = list(build_comparison(pairs).walk())
    texts = [block.text for block in blocks if isinstance(block, Paragraph)]
    return "\n".join(texts + [item for block in blocks if isinstance(block, Bullets) for item in block.items])


def test_a_run_of_two_models(pairs: list[PairedFacts], sample: Run) -> None:
    (pair,) = pairs
    assert (pair.first.name, pair.second.name) == (BEFORE, AFTER)
    assert pair.attributes == ("tone", "marker", "tone x marker")
    assert (pair.table["first"] == BEFORE).all()
    whole = pair.table.query("attribute == 'overall' and metric == 'accuracy'").iloc[0]
    predictions = sample.table("predictions")
    usable = predictions[predictions["status"] == "ok"]
    right = (usable["predicted"] == usable["label"]).groupby(usable["model"]).mean()
    assert whole["first_value"] == pytest.approx(right[BEFORE])
    assert whole["second_value"] == pytest.approx(right[AFTER])


def test_tables_show_the_numbers(pairs: list[PairedFacts]) -> None:
    table = pairs[0].table
    [shown] = [
        block
        for block in build_comparison(pairs).walk()
        if isinstance(block, Table) and block.caption == "Accuracy, by tone: before and after"
    ]
    rows = table[(table["attribute"] == "tone") & (table["metric"] == "accuracy")]
    assert len(shown.rows) == len(rows) + 1  # and everybody
    cells = {row[0].text: [cell.text for cell in row] for row in shown.rows}
    for row in rows[rows["group"] != "(range)"].to_dict("records"):
        texts = cells[row["group"]]
        assert texts[1] == str(row["n"])
        if known(row["difference"]):
            assert texts[3:6] == [rate(row["first_value"]), rate(row["second_value"]), signed(row["difference"])]


def test_what_improved_and_what_it_cost(pairs: list[PairedFacts]) -> None:
    text = sentences(pairs)
    table = pairs[0].table
    shown = table[(table["p_adjusted"] < 0.05) & (table["attribute"] == "tone") & (table["metric"] == "accuracy")]
    better = shown[(shown["group"] != "(range)") & (shown["difference"] > 0)]
    assert len(better) > 0
    bullets, _ = section(build_comparison(pairs), "changed-0-0", Bullets)
    [sentence] = re.findall(r"^Accuracy: better for ([^;]*); worse for [^;]*; not shown .*tone-[123]", bullets.items[0])
    assert set(sentence.split(", ")) == set(better["group"])
    [found] = [block for block in build_comparison(pairs).walk() if is_table(block, "Who gained and who lost, by tone")]
    cells = {row[0].text: row[1] for row in found.rows}
    for row in better.to_dict("records"):
        word, values, bounds = cells[row["group"]].note.split("\n")
        assert cells[row["group"]].text == signed(row["difference"])
        assert (word, values) == ("▲ better", f"{rate(row['first_value'])} to {rate(row['second_value'])}")
        assert bounds == f"[{signed(row['low'])}, {signed(row['high'])}], n={row['n']}"
    assert "leaves open a loss of up to" in text
    assert "the observed range over the groups goes from" in text


def is_table(block: object, caption: str) -> TypeGuard[Table]:
    return isinstance(block, Table) and block.caption == caption


def turned(sample: Run, folder: Path) -> Run:
    """The sample with the two models' predictions under each other's name."""
    shutil.copytree(sample.path, folder)
    predictions = sample.table("predictions")
    predictions["model"] = predictions["model"].map({BEFORE: AFTER, AFTER: BEFORE})
    write_table(folder, "predictions", predictions)
    return open_run(folder)


def test_a_cost_is_said(sample: Run, tmp_path: Path) -> None:
    text = sentences(compare_runs([turned(sample, tmp_path / "turned")], draws=DRAWS))
    assert re.search(r"^Accuracy: better for nobody; worse for [^;]*tone-4", text, re.MULTILINE)


def test_a_smaller_gap_is_called_smaller(sample: Run, changed: Any) -> None:
    predictions = sample.table("predictions")
    perfect = predictions["model"] == AFTER
    predictions.loc[perfect, "predicted"] = predictions.loc[perfect, "label"]
    run = changed({"predictions": predictions})
    pattern = re.compile(r"^accuracy: the observed range.*: (.*)\.$", re.MULTILINE)
    for models, expected in (((BEFORE, AFTER), "smaller after"), ((AFTER, BEFORE), "larger after")):
        found = pattern.findall(sentences(compare_runs([run], models, draws=DRAWS)))
        assert found[0] == expected


def test_nothing_changes_against_itself(sample: Run, other: Run) -> None:
    text = sentences(compare_runs([sample, other], (BEFORE, BEFORE), draws=DRAWS))
    assert "Accuracy: better for nobody; worse for nobody; not shown to differ for " in text
    assert "not shown to change" in text
    assert "smaller after" not in text


def test_two_runs_are_told_apart(sample: Run, other: Run) -> None:
    ((first, second),) = choose_arms([sample, other], (BEFORE, BEFORE))
    assert first.name != second.name
    assert (first.run.path, second.run.path) == (sample.path, other.path)
    assert len(choose_arms([sample, other])) == 3


def test_page(page: str) -> None:
    read = Page(page)
    levels = [level for level, _ in read.headings]
    assert levels.count(1) == 1
    titles = [text for level, text in read.headings if level == 2 and text != "Contents"]
    assert titles == [
        "What changed, for whom",
        "Verdicts that flipped",
        "Who was compared",
        "Every group",
        "All models in one table",
        "How it was measured",
        "What this comparison does not show",
        "Where this comes from",
    ]
    identifiers = [a["id"] for _, a in read.tags if "id" in a]
    assert len(identifiers) == len(set(identifiers))
    assert not {tag for tag, _ in read.tags} & {"script", "iframe", "link"}
    words = " ".join(read.text).lower().replace("faircam", "")
    for forbidden in ("fair", "unbiased", "compliant"):
        assert not re.search(rf"\b{forbidden}\b", words), forbidden


def test_several_models_keep_their_identifiers_apart(sample: Run, other: Run) -> None:
    page = render_html(build_comparison(compare_runs([sample, other], draws=9)))
    identifiers = [a["id"] for _, a in Page(page).tags if "id" in a]
    assert len(identifiers) == len(set(identifiers))


def test_hostile_names(sample: Run, tmp_path: Path) -> None:
    shutil.copytree(sample.path, tmp_path / "evil")
    images = sample.table("images")
    images["attr_tone"] = images["attr_tone"].replace("tone-4", EVIL)
    write_table(tmp_path / "evil", "images", images)
    page = render_html(build_comparison(compare_runs([open_run(tmp_path / "evil")], draws=9)))
    assert not [tag for tag, _ in Page(page).tags if tag == "script"]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_images_left_out_are_listed(sample: Run, other: Run) -> None:
    images, predictions = other.table("images"), other.table("predictions")
    gone = set(images.loc[images["attr_tone"] == "tone-2", "image_id"].head(5))
    write_table(other.path, "images", images[~images["image_id"].isin(gone)])
    write_table(other.path, "predictions", predictions[~predictions["image_id"].isin(gone)])
    pairs = compare_runs([sample, other], (BEFORE, AFTER), draws=9)
    [table] = [
        b for b in build_comparison(pairs).walk() if isinstance(b, Table) and b.caption == "Images left out, by group"
    ]
    assert ["tone-2", "tone", "5", "5", "0"] in [[cell.text for cell in row] for row in table.rows]


def refused(sample: Run, other: Run, column: str, value: str) -> None:
    images = other.table("images")
    images.loc[0, column] = value
    write_table(other.path, "images", images)
    compare_runs([sample, other], (BEFORE, AFTER), draws=9)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("sha256", "0" * 64, "'synthetic-0000' is another file in the other run"),
        ("label", "cross", "'synthetic-0000' has label"),
        ("cluster", "someone", "'synthetic-0000' has cluster"),
    ],
)
def test_other_images_are_refused(sample: Run, other: Run, column: str, value: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        refused(sample, other, column, value)


def test_bad_choices(sample: Run, changed: Any) -> None:
    with pytest.raises(InputError, match="model 'biased-torchh' is in none of the runs.*Did you mean 'biased-torch'"):
        choose_arms([sample], ("biased-torchh", AFTER))
    with pytest.raises(InputError, match="compared with itself"):
        choose_arms([sample], (BEFORE, BEFORE))
    with pytest.raises(InputError, match="a run is given twice"):
        choose_arms([sample, sample])
    one = changed(models=sample.record["models"][:1])
    with pytest.raises(InputError, match="there is one model only"):
        choose_arms([one])
    other_positive = changed_positive(sample, one.path.parent / "disc")
    with pytest.raises(InputError, match="different positive classes: 'cross' and 'disc'"):
        compare_runs([sample, other_positive], draws=9)


def changed_positive(sample: Run, folder: Path) -> Run:
    shutil.copytree(sample.path, folder)
    run = open_run(folder)
    run.record["data"] = {**run.record["data"], "positive": "disc"}
    return run


def test_unfinished_runs_say_so(changed: Any) -> None:
    page = render_html(build_comparison(compare_runs([changed(complete=False)], draws=9)))
    assert "<strong>INCOMPLETE</strong>" in page


def test_csv_is_the_table(pairs: list[PairedFacts], tmp_path: Path) -> None:
    path = write_comparison(pairs, tmp_path / "c.csv", "csv")
    read = pd.read_csv(path)
    assert tuple(read.columns) == PAIRED_COLUMNS
    assert len(read) == len(pairs[0].table)
    assert read["difference"].to_numpy() == pytest.approx(pairs[0].table["difference"].to_numpy(), nan_ok=True)


def test_command(other: Run, tmp_path: Path) -> None:
    done = faircam("compare", other.path, "--models", BEFORE, AFTER, "--out", tmp_path / "c.html")
    assert done.returncode == 0, done.stderr
    assert f"{BEFORE} → {AFTER}" in done.stdout
    assert "tone-4" in done.stdout
    assert "<h1" in (tmp_path / "c.html").read_text(encoding="utf-8")
    done = faircam("compare", other.path, "--format", "csv")
    assert done.returncode == 0, done.stderr
    assert pd.read_csv(io.StringIO((other.path / "comparison.csv").read_text(encoding="utf-8")))["n"].sum() > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--models", "a", "b"), "model 'a' is in none of the runs"),
        (("--format", "htm"), "'htm' is unknown, allowed: html, csv, md. Did you mean 'html'"),
        (("--models", "a"), "requires 2 arguments"),
    ],
)
def test_command_refuses(sample: Run, arguments: tuple[str, ...], message: str) -> None:
    done = faircam("compare", sample.path, *arguments)
    assert done.returncode == 2
    assert message in done.stderr


def test_command_shows_an_example() -> None:
    done = faircam("compare", "--help", NO_COLOR="1", COLUMNS="160")
    assert done.returncode == 0
    assert "Example: faircam compare runs/before runs/after" in done.stdout


def test_a_flipped_verdict_is_named_and_every_model_has_a_row(sample: Run, tmp_path: Path) -> None:
    folder = tmp_path / "after"
    shutil.copytree(sample.path, folder)
    findings = sample.table("findings")
    own = findings["model"] == BEFORE
    rule = str(findings.loc[own & (findings["verdict"] == "fail"), "rule"].iloc[0])
    findings.loc[own & (findings["rule"] == rule), "verdict"] = "pass"
    write_table(folder, "findings", findings)
    document = build_comparison(compare_runs([sample, open_run(folder)], (BEFORE, BEFORE), draws=9))
    section = next(part for part in document.sections if part.identifier == "flipped-0")
    lead, table, *_ = section.blocks
    assert isinstance(lead, Paragraph)
    assert lead.text == f"1 of {int(own.sum())} verdicts changed. Fail → Pass: {rule}."
    assert isinstance(table, Table)
    assert [cell.text for cell in table.rows[0][:4:3]] == [rule, f"{verdict_style('pass').symbol} Pass"]
    release = next(part for part in document.sections if part.identifier == "release").blocks[1]
    assert isinstance(release, Table)
    assert len(release.rows) == 2
    whole = sample.table("groups").query("attribute == 'overall' and metric == 'accuracy' and model == @BEFORE").iloc[0]
    assert release.rows[0][1].text.startswith(f"{whole['value']:.3f} [")


RIGHT = {"before": {"a": 20, "b": 40}, "after": {"a": 40, "b": 30}}
"""Of 40 images of each group, how many are classified correctly."""
JUDGED = {
    "before": {"least-a": ("fail", 0.5), "least-b": ("pass", 1.0), "gap": ("fail", 0.5)},
    "after": {"least-a": ("pass", 1.0), "least-b": ("fail", 0.75), "gap": ("fail", 0.25)},
}


def made(folder: Path, when: str) -> Run:
    """A run of one model on 80 images, made by hand: group a gains by what group b loses."""
    images = pd.DataFrame({"image_id": [f"i{place:02d}" for place in range(80)], "status": "ok"})
    images["sha256"], images["attr_who"] = images["image_id"], ["a"] * 40 + ["b"] * 40
    images["label"] = ["yes", "no"] * 40
    wrong = [place % 40 >= RIGHT[when]["a" if place < 40 else "b"] for place in range(80)]
    predicted = images["label"].where(~np.array(wrong), images["label"].map({"yes": "no", "no": "yes"}))
    predictions = images[["image_id", "label", "status"]].assign(model="plain", predicted=predicted, confidence=0.9)
    findings = [
        {"model": "plain", "rule": rule, "metric": "accuracy", "verdict": verdict, "value": value, "threshold": 0.8}
        for rule, (verdict, value) in JUDGED[when].items()
    ]
    tables = {"images": images, "predictions": predictions, "findings": pd.DataFrame(findings)}
    for name, frame in tables.items():
        write_table(folder / when, name, frame.assign(**dict.fromkeys(set(TABLES[name]) - set(frame))))
    data = {"attributes": [{"name": "who", "provenance": "self-reported"}], "classes": ["yes", "no"]}
    record = {"name": when, "complete": True, "models": [{"name": "plain"}], "data": data}
    return Run(folder / when, record)


def test_who_gained_who_lost_and_which_verdicts_flipped(tmp_path: Path) -> None:
    """McNemar by hand: 20 against 0 gives p = 2 / 2^20, 10 against 0 gives 2 / 2^10, which Holm leaves as it is."""
    [pair] = compare_runs([made(tmp_path, "before"), made(tmp_path, "after")], draws=99)
    groups = pair.table.query("attribute == 'who' and metric == 'accuracy'").set_index("group")
    assert groups.loc["a", "p"] == pytest.approx(2 / 2**20)
    assert groups.loc["b", "p_adjusted"] == pytest.approx(2 / 2**10)
    assert groups.loc[["a", "b"], "difference"].tolist() == pytest.approx([0.5, -0.25])
    said, _ = section(build_comparison([pair]), "changed-0-0", Bullets)
    assert said.items[0] == "Accuracy: better for a; worse for b."
    [gained] = section(build_comparison([pair]), "changed-0-0", Table)
    assert [(row[0].text, row[1].text, row[1].note.split("\n")[0]) for row in gained.rows] == [
        ("b", "-0.250", "▼ worse"),
        ("a", "+0.500", "▲ better"),
    ]
    [lead, *_] = section(build_comparison([pair]), "flipped-0", Paragraph)
    assert lead.text == "2 of 3 verdicts changed. Fail → Pass: least-a; Pass → Fail: least-b."
    [flipped] = section(build_comparison([pair]), "flipped-0", Table)
    shown = {row[0].text: [cell.text for cell in row[2:6]] for row in flipped.rows}
    assert shown["least-b"] == ["✓ Pass", "✕ Fail", "1.000", "0.750"]
    assert list(shown) == ["least-b", "least-a", "gap"]


def section(document: Document, identifier: str, kind: type) -> list[Any]:
    """Blocks of a kind that stand in one section."""
    [found] = [block for block in document.walk() if isinstance(block, Section) and block.identifier == identifier]
    return [block for block in found.blocks if isinstance(block, kind)]
