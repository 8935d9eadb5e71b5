"""The model card, parsed back by huggingface_hub and held against table `groups` slice by slice."""

from __future__ import annotations

import math
import re
import tempfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from audit.run import Run
from reports.bundle.card_text import escaped
from reports.bundle.model_card import model_card
from reports.bundle.slices import results_by_slice, slice_name
from tests.reports.conftest import Change
from tests.reports.hostile import HOSTILE, named_run

hub = pytest.importorskip("huggingface_hub")


def results(text: str) -> list:
    return hub.ModelCard(text).data.eval_results or []


def values(text: str) -> dict[tuple[str, str, str | None], float]:
    """Value by slice, metric and class; fails where two results share them."""
    found: dict[tuple[str, str, str | None], float] = {}
    for result in results(text):
        key = (result.dataset_config, result.metric_type, result.metric_config)
        assert key not in found
        found[key] = result.metric_value
    return found


def table_values(run: Run) -> dict[tuple[str, str, str | None], float]:
    """The same straight from the table, by names put together here."""
    frame = run.table("groups")
    frame = frame[frame["class"].isna() | (frame["class"] == run.record["data"]["positive"])]
    found = {}
    for row in frame[frame["value"].notna()].to_dict("records"):
        where = "overall" if row["attribute"] == "overall" else f"{row['attribute']}={row['group']}"
        name = f"model={row['model']};{where}" if len(run.models) > 1 else where
        found[name, row["metric"], None if pd.isna(row["class"]) else row["class"]] = row["value"]
    return found


def test_every_slice_comes_back_with_its_own_value(sample: Run) -> None:
    expected = table_values(sample)
    assert values(model_card(sample)) == expected
    assert len(expected) > 300
    assert len({where for where, _, _ in expected}) == 2 * (1 + 7 + 2 + 14)


def test_n_and_interval_stand_beside_the_value(sample: Run) -> None:
    groups = sample.table("groups")
    rows = groups[(groups["model"] == "biased-torch") & (groups["group"] == "tone-4")]
    row = rows[rows["metric"] == "accuracy"].iloc[0]
    where = "model=biased-torch;tone=tone-4"
    [said] = [
        item.metric_args
        for item in results(model_card(sample))
        if (item.dataset_config, item.metric_type) == (where, "accuracy")
    ]
    assert said["claim"] == "groups:biased-torch:tone:tone-4:accuracy:"
    assert (said["n"], said["clusters"], said["interval"]) == (row["n"], row["clusters"], [row["low"], row["high"]])
    assert said["interval_method"] == row["method"]


def test_merging_by_dataset_args_would_have_mixed_up_groups() -> None:
    """Why the slice stands in the config: the library gives one group's value another group's name."""
    common = {"task_type": "t", "dataset_type": "d", "dataset_name": "n", "metric_type": "accuracy"}
    cards = [
        hub.EvalResult(**common, metric_value=value, dataset_args={"g": g}) for g, value in (("a", 0.1), ("b", 0.9))
    ]
    back = results(f"---\n{hub.ModelCardData(model_name='m', eval_results=cards).to_yaml()}\n---\n")
    assert [item.dataset_args for item in back] == [{"g": "a"}, {"g": "a"}]


def test_one_model_needs_no_model_in_the_slice(tmp_path: Path) -> None:
    found = values(model_card(named_run(tmp_path, ["light", "dark"])))
    assert found == {("tone=light", "accuracy", None): 0.0001, ("tone=dark", "accuracy", None): 0.0002}


def test_hostile_names_come_back(tmp_path: Path) -> None:
    found = values(model_card(named_run(tmp_path, HOSTILE)))
    assert found == {(f"tone={name}", "accuracy", None): (place + 1) / 10_000 for place, name in enumerate(HOSTILE)}


def test_hostile_models_and_attributes_come_back(tmp_path: Path) -> None:
    models = ("a;b=c", "a", "b%3Dc")
    found = values(model_card(named_run(tmp_path, ["x", "y=z"], attribute="at=tr;%", models=models)))
    assert found["model=a%3Bb%3Dc;at%3Dtr%3B%25=x", "accuracy", None] == 0.0001
    assert found["model=b%253Dc;at%3Dtr%3B%25=y=z", "accuracy", None] == 0.2002
    assert len(found) == 6


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@settings(max_examples=60, deadline=None)
@example(names=["\u0085", "\n", "\r", "\u2028", " ", "\t"])
@example(names=["a\n---", "\n---\n"])
@given(names=st.lists(TEXT, min_size=1, max_size=5, unique=True))
def test_any_names_come_back(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = values(model_card(named_run(Path(folder), names)))
    assert found == {(f"tone={name}", "accuracy", None): (place + 1) / 10_000 for place, name in enumerate(names)}


@given(first=st.tuples(TEXT, TEXT), second=st.tuples(TEXT, TEXT))
def test_different_slices_have_different_names(first: tuple[str, str], second: tuple[str, str]) -> None:
    assert (slice_name(*first) == slice_name(*second)) == (first == second)


def test_what_has_no_value_is_listed_and_not_indexed(sample: Run, changed: Change) -> None:
    groups = sample.table("groups")
    cell = (groups["model"] == "biased-keras") & (groups["group"] == "tone-5") & (groups["metric"] == "accuracy")
    groups.loc[cell, ["n", "clusters", "value", "low", "high"]] = None
    groups.loc[cell, "status"] = "suppressed"
    text = model_card(changed({"groups": groups}))
    assert ("model=biased-keras;tone=tone-5", "accuracy", None) not in values(text)
    assert ("model=biased-torch;tone=tone-5", "accuracy", None) in values(text)
    assert "- biased-keras, tone: tone-5: suppressed: the cell is small (accuracy)" in text


def test_a_suppressed_value_left_in_the_table_is_still_not_shown(sample: Run, changed: Change) -> None:
    groups = sample.table("groups")
    cell = (groups["model"] == "biased-keras") & (groups["group"] == "tone-5") & (groups["metric"] == "accuracy")
    groups.loc[cell, "status"] = "suppressed"
    groups.loc[cell, "value"] = 0.987654321
    text = model_card(changed({"groups": groups}))
    assert "0.987654321" not in text
    assert "| biased-keras | tone: tone-5 | accuracy |" not in text
    assert "| biased-torch | tone: tone-5 | accuracy |" in text


def test_infinite_values_are_no_numbers(tmp_path: Path) -> None:
    run = named_run(tmp_path, ["light", "dark"])
    groups = run.table("groups")
    groups.loc[0, "value"] = math.inf
    from audit.run.tables import write_table

    write_table(tmp_path, "groups", groups)
    assert values(model_card(run)) == {("tone=dark", "accuracy", None): 0.0002}


def test_above_the_limit_intersections_go_first_and_no_group_ever(sample: Run) -> None:
    rows = len(sample.table("groups"))
    every = results_by_slice(sample)
    fewer = results_by_slice(sample, most=len(every.shown) + len(every.silent) - 1)
    fewest = results_by_slice(sample, most=1)
    assert {result.attribute for result in every.shown} == {"overall", "tone", "marker", "tone x marker"}
    assert {result.attribute for result in fewer.shown} == {"overall", "tone", "marker"}
    assert {result.metric for result in fewest.shown} == {"accuracy", "true_positive_rate", "false_positive_rate"}
    names = set(sample.table("images")["attr_tone"])
    for selection in (every, fewer, fewest):
        assert {result.group for result in selection.shown if result.attribute == "tone"} == names
        assert len(selection.shown) + len(selection.silent) + selection.left_out == rows


def test_text_says_what_on_whom_how_sure_and_what_not(sample: Run) -> None:
    text = hub.ModelCard(model_card(sample)).text
    for head in ("What was measured", "On whom", "How sure", "Results by slice", "Verdicts", "What this does not show",
                 "What only a person can say", "Where this comes from"):  # fmt: skip
        assert f"## {head}\n" in text
    assert "built-in default rules" in text
    assert "240 images planned: 239 ok; 1 unreadable file." in text
    assert "tone: group labels by construction" in text
    assert not re.search(r"\b(is|are) (fair|unbiased|compliant)\b", text)
    assert "INCOMPLETE" not in text


def test_incomplete_is_said_first(changed: Change) -> None:
    body = hub.ModelCard(model_card(changed(complete=False))).text
    assert body.index("INCOMPLETE") < body.index("## ")


def test_names_in_the_text_are_no_markup(tmp_path: Path) -> None:
    body = hub.ModelCard(model_card(named_run(tmp_path, HOSTILE))).text
    assert "<script" not in body
    assert "\u202e" not in body
    rows = [line for line in body.splitlines() if line.startswith("| m |")]
    assert len(rows) == len(HOSTILE)
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 7 for row in rows)
    assert "x" * 300 in body


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a|b", "a\\|b"),
        ("<b>&", "&lt;b&gt;&amp;"),
        ("*a* _b_ `c`", "\\*a\\* \\_b\\_ \\`c\\`"),
        ("# x", "\\# x"),
        ("- x", "\\- x"),
        ("1. x", "1\\. x"),
        ("see http://a.b", "see http\\://a.b"),
        ("0.832", "0.832"),
        ("a\nb", "a b"),
    ],
)
def test_escaping(name: str, shown: str) -> None:
    assert escaped(name) == shown


def test_the_same_run_gives_the_same_text_and_no_path(sample: Run) -> None:
    text = model_card(sample)
    assert text == model_card(Run(sample.path, sample.record))
    assert str(sample.path) not in text
    assert "manifest" not in text


def test_a_run_without_results_is_still_a_card(tmp_path: Path) -> None:
    run = Run(tmp_path, {"name": "empty", "models": [], "complete": False})
    card = hub.ModelCard(model_card(run))
    assert card.data.eval_results is None
    assert "No value can be given." in card.text
