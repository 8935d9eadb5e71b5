"""The first page: what it says is what the tables say, it is short, and it settles nothing that is not settled."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from audit.run import Run, open_run
from audit.run.claims import find_claim
from audit.run.statements import LOG, REQUIRED_STATEMENTS, add_statement
from reports.document import build_document
from reports.format import count, interval, rate, signed
from reports.html import render_html
from reports.language import speaking
from reports.markdown import render_markdown
from reports.nodes import Callout, Document, KeyValues, Paragraph, Section, Table, VerdictCounts
from reports.pdf import render_pdf
from reports.sections.facts import Facts
from reports.sections.rules import basis_of
from reports.sections.summary import SUMMARY, summary
from reports.tree_json import render_json
from tests.reports.conftest import Change
from tests.reports.hostile import HOSTILE, named_run
from tests.reports.reading import blocks

MOMENT = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)
GRAVEST, LOOKS = "Findings that weigh most", "What the explanations add"
TORCH, KERAS = "biased-torch", "biased-keras"

needs_poppler = pytest.mark.skipif(shutil.which("pdftotext") is None, reason="poppler is not installed")


def made(run: Run) -> Section:
    return summary(Facts(run))


def said(section: Section) -> dict[str, str]:
    """What stands beside each heading."""
    return {name: text for part in blocks(section, KeyValues) for name, text in part.items}


def table(section: Section, caption: str) -> Table:
    found: list[Table] = [part for part in blocks(section, Table) if part.caption.startswith(caption)]
    assert len(found) == 1
    return found[0]


def column(found: Table, title: str) -> list[Any]:
    [place] = [place for place, one in enumerate(found.columns) if one.title == title]
    return [row[place] for row in found.rows]


def pages(section: Section) -> list[str]:
    """Text of the pages of a report that begins with it."""
    pdf = render_pdf(Document("title", "subtitle", True, "", (section, Section("next", "Next"))), created=MOMENT)
    read = subprocess.run(["pdftotext", "-layout", "-", "-"], input=pdf, capture_output=True, check=True)
    return read.stdout.decode().split("\f")


def test_it_comes_first(sample: Run) -> None:
    assert build_document(sample).sections[0].identifier == SUMMARY


def test_what_was_audited(sample: Run) -> None:
    """The sample: 240 drawn images of 120 scenes, of which one cannot be read and six have no tone."""
    text = said(made(sample))
    units = sample.table("images")["cluster"].nunique()
    assert text["Data"] == (
        f"239 of 240 planned images used, of {units} units by scene; classes: cross (positive), disc. "
        "The images are synthetic, made by a program."
    )
    assert text["Models"].startswith(f"{TORCH} (torch, SHA-256 {sample.model(TORCH)['sha256'][:12]}), {KERAS} (keras")
    assert text["Groups"] == "tone: 6 groups (labels by construction), marker: 2 groups (labels by construction)"
    assert "6 images have no tone." in text["What this does not show"]
    assert "1 planned images could not be used." in text["What this does not show"]


def test_data_that_are_not_drawn_are_not_called_synthetic(sample: Run, changed: Change) -> None:
    data = sample.record["data"]
    given = [{**item, "provenance": "self-reported"} for item in data["attributes"]]
    text = said(made(changed(data={**data, "attributes": given})))
    assert "synthetic" not in text["Data"]
    assert "Synthetic" not in text["What this does not show"]
    assert text["Groups"] == "tone: 6 groups (labels self-reported), marker: 2 groups (labels self-reported)"


def test_verdicts_are_counted(sample: Run) -> None:
    section, verdicts = made(sample), sample.table("findings")["verdict"]
    [counts] = blocks(section, VerdictCounts)
    assert {item.verdict: item.count for item in counts.items if item.count} == verdicts.value_counts().to_dict()
    [lead] = [part.text for part in blocks(section, Paragraph) if part.kind == "lead"]
    assert lead.startswith(f"Of {len(verdicts)} findings, {(verdicts == 'fail').sum()} fail, which means")
    assert f"and {verdicts.isin(['inconclusive', 'error']).sum()} are open" in lead


def judged(sample: Run, *verdicts: tuple[str, str, float, float]) -> pd.DataFrame:
    """The first findings of the sample, with these verdicts, tiers, values and limits; every other one passed."""
    findings = sample.table("findings").copy()
    findings["verdict"], findings["tier"] = "pass", "supporting"
    for place, (verdict, tier, value, limit) in enumerate(verdicts):
        for name, cell in (("verdict", verdict), ("tier", tier), ("value", value), ("threshold", limit)):
            findings.loc[findings.index[place], name] = cell
    return findings


def test_the_gravest_five_in_order(sample: Run, changed: Change) -> None:
    """By hand: the limit is exceeded 2, 4 and 3 times, and by a floor of 0.9 that is halved, 2 times."""
    findings = judged(
        sample,
        ("inconclusive", "required", 0.9, 0.1),
        ("fail", "supporting", 0.4, 0.1),
        ("warn", "supporting", 0.4, 0.1),
        ("fail", "required", 0.2, 0.1),
        ("waived", "required", 0.8, 0.1),
        ("fail", "supporting", 0.45, 0.9),
        ("fail", "supporting", 0.3, 0.1),
    )
    names = [f"findings:{row.model}:{row.rule}" for row in findings.itertuples()]
    found = table(made(changed({"findings": findings})), GRAVEST)
    assert found.caption == f"{GRAVEST}: 5 of {len(findings)}"
    assert [cell.claim for cell in column(found, "Value")] == [names[place] for place in (3, 1, 6, 5, 0)]
    assert [cell.text for cell in column(found, "Verdict")] == [*["✕ Fail"] * 4, "? Inconclusive"]
    assert [cell.note for cell in column(found, "Verdict")][:2] == ["required", "supporting"]


def test_every_number_is_that_of_its_claim(sample: Run) -> None:
    found = table(made(sample), GRAVEST)
    held, groups = sample.table("findings"), sample.table("groups")
    assert len(found.rows) == 5
    for number, bounds, limit, about in zip(
        *(column(found, title) for title in ("Value", "Interval", "Limit", "What was judged, and its claim")),
        strict=True,
    ):
        [row] = find_claim(held, number.claim).to_dict("records")
        assert (number.text, limit.text) == (rate(row["value"]), rate(row["threshold"]))
        assert bounds.text == interval(row["low"], row["high"])
        assert about.note == number.claim == bounds.claim == limit.claim
        for claim in [claim for claim in row["claims"] if claim.startswith("groups:")]:
            [side] = find_claim(groups, claim).to_dict("records")
            assert f"{side['group']} {rate(side['value'])} (n={count(side['n'])})" in about.text


def test_nothing_weighs_where_everything_passed(sample: Run, changed: Change) -> None:
    section = made(changed({"findings": judged(sample)}))
    assert [part.text for part in blocks(section, Paragraph) if part.kind == "lead"] == [
        f"Of {len(sample.table('findings'))} findings none fails and none is open."
    ]
    assert not [part for part in blocks(section, Table) if part.caption.startswith(GRAVEST)]


def test_a_finding_without_a_number_and_without_claims(sample: Run, changed: Change) -> None:
    findings = judged(sample, ("error", "required", np.nan, 0.1))
    findings["claims"] = None
    found = table(made(changed({"findings": findings})), GRAVEST)
    assert [cell.text for cell in column(found, "Value")] == ["not measured"]
    assert "n not given" in column(found, "What was judged, and its claim")[0].text


def test_maps_that_are_evidence_and_effects_of_hiding(sample: Run) -> None:
    section = made(sample)
    found, facts = table(section, LOOKS), Facts(sample)
    assert found.columns[1].title == "Effect of hiding marker"
    effects = sample.table("intervention_groups").query(
        "attribute == 'overall' and action == 'effect' and measure == 'changed' and region == 'marker'"
    )
    for row in found.rows:
        name = row[0].text
        stamped = {method for method in facts.methods if facts.stamp(name, method) == "evidence"}
        assert set(row[2].text.split(", ")) - {"none"} == {facts.method(method).title for method in stamped}
        [effect] = effects[effects["model"] == name].to_dict("records")
        assert row[1].text == signed(effect["value"])
        assert row[1].note == f"{interval(effect['low'], effect['high'])}, n={effect['n']}"
    words = "is shown to be above 0" if (effects["low"] > 0).any() else "is not shown to be above 0"
    assert any(words in part.text for part in blocks(section, Paragraph))


def test_without_explanations_it_says_so(changed: Change) -> None:
    section = made(changed(without=("explanations", "stamps", "intervention_groups")))
    assert "No image was explained" in "".join(part.text for part in blocks(section, Paragraph))
    assert not [part for part in blocks(section, Table) if part.caption == LOOKS]


def test_what_people_have_said_is_no_longer_missing(changed: Change) -> None:
    run = changed()
    before = said(made(run))["Left for a person to say"]
    assert before.count(",") == len(REQUIRED_STATEMENTS) - 1
    add_statement(run, kind="statement", about="oversight", author="Ana", role="owner", text="A clerk.", time=MOMENT)
    after = said(made(run))["Left for a person to say"]
    assert "human oversight" in before
    assert after == before.replace("human oversight, ", "")


def test_a_log_that_was_changed_counts_for_nothing(changed: Change) -> None:
    run = changed()
    add_statement(run, kind="statement", about="oversight", author="Ana", role="owner", text="A clerk.", time=MOMENT)
    path = run.path / LOG
    path.write_bytes(path.read_bytes().replace(b"A clerk.", b"Nobody."))
    assert "changed since it was written" in said(made(run))["Left for a person to say"]


@pytest.mark.parametrize(
    ("digest", "named", "preregistered", "expected"),
    [
        (None, {}, False, "Built-in defaults"),
        (
            "a" * 64,
            {"name": "strict", "sha256": "a" * 64},
            True,
            "Policy ‘strict’ (SHA-256 aaaaaaaaaaaa), preregistered",
        ),
        ("b" * 64, {"name": "strict", "sha256": "a" * 64}, False, "Policy (SHA-256 bbbbbbbbbbbb), post hoc"),
        ("b" * 64, {}, False, "Policy (SHA-256 bbbbbbbbbbbb), post hoc"),
    ],
)
def test_which_rules(
    sample: Run, changed: Change, digest: str | None, named: dict[str, str], preregistered: bool, expected: str
) -> None:
    findings = sample.table("findings").assign(policy_sha256=digest, preregistered=preregistered)
    run = changed({"findings": findings}, policy=named)
    assert said(made(run))["Rules"].startswith(expected)
    assert basis_of(Facts(run)).preregistered == preregistered


def test_an_unfinished_run_settles_nothing(changed: Change) -> None:
    run = changed(complete=False)
    section = made(run)
    assert not blocks(section, VerdictCounts)
    assert not [part for part in blocks(section, Table) if part.caption.startswith(GRAVEST)]
    [alarm] = blocks(section, Callout)
    assert (alarm.kind, alarm.title) == ("alarm", "INCOMPLETE: no verdict is settled")
    document = build_document(run)
    page = render_html(document)
    assert page.index("<strong>INCOMPLETE</strong>") < page.index('id="summary"')
    assert render_markdown(document).splitlines()[4].startswith("> **INCOMPLETE.**")
    assert json.loads(render_json(document))["complete"] is False


def test_a_run_of_nothing_has_a_summary(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"schema_version": 1, "complete": True}), encoding="utf-8")
    section = made(open_run(tmp_path))
    assert "No rule was evaluated" in "".join(part.text for part in blocks(section, Paragraph))


def test_chinese_has_no_english_left(sample: Run) -> None:
    english, held = render_markdown(Document("t", "", True, "", (made(sample),))), Facts(sample)
    with speaking("zh"):
        section = summary(held)
    assert section.title == "摘要"
    heads = {name for part in blocks(section, KeyValues) for name, _ in part.items}
    assert heads == {"模型", "数据", "群组", "规则", "不能由此得出的结论", "须由人说明", "核对数值"}
    assert not [name for name in heads if name in english]


@needs_poppler
def test_it_fills_one_printed_page_and_no_more(sample: Run) -> None:
    first, second, *_ = pages(made(sample))
    assert "Summary" in first
    assert "To check a number" in first
    assert "Contents" not in first
    assert "Contents" in second


@needs_poppler
def test_long_and_hostile_names_still_fit_one_page(sample: Run, changed: Change) -> None:
    long = "long name " * 30
    models = [f"{place} {long}" for place in range(9)]
    run = changed(
        {
            "findings": pd.concat(
                [sample.table("findings").assign(model=name, group=long, attribute=long) for name in models]
            ),
            "groups": named_run(sample.path.parent / "named", HOSTILE, models=models).table("groups"),
        },
        models=[{"name": name, "framework": "torch", "sha256": "0" * 64} for name in models],
    )
    first, second, *_ = pages(made(run))
    assert "To check a number" in first
    assert "Contents" in second
