"""Suppression at the public level: small examples by hand, then an outsider's search over random tables."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.errors import IncompleteRun, RunError
from audit.fairness import coverage_table, gap_table, group_table, shift_table
from audit.fairness.metrics import METRICS
from audit.run import Run, open_run
from audit.run.files import write_json
from audit.run.tables import write_table
from reports.bundle.cells import Block, Cell, blocks_of, cell_sizes
from reports.bundle.public_means import MEANS, public_means
from reports.bundle.public_tables import SUPPRESSED, PublicTables
from reports.bundle.suppression import Pattern, choose
from tests.reports.published_search import RATES, Outsider, invert

CLASSES = ("cat", "dog")


def small_run(
    folder: Path,
    images: pd.DataFrame,
    answers: dict[str, list[str]],
    *,
    classes: tuple[str, ...] = CLASSES,
    crossings: tuple[tuple[str, ...], ...] = (),
    more: bool = False,
) -> Run:
    """A run of these images (``label, attr_*``) and of what each model says, with the tables that follow."""
    images = images.assign(image_id=[f"image-{place}" for place in range(len(images))], path=None, sha256=None)
    images = images.assign(**{name: None for name in ("split", "cluster") if name not in images})
    images = images if "status" in images else images.assign(status="ok")
    predictions = pd.concat(
        [
            pd.DataFrame({"model": model, "image_id": images["image_id"], "label": images["label"], "predicted": said})
            for model, said in answers.items()
        ],
        ignore_index=True,
    ).assign(probabilities=None, confidence=None, status="ok", disagrees=False)
    attributes = [str(name).removeprefix("attr_") for name in images if str(name).startswith("attr_")]
    counted = (images, predictions, classes, None, attributes)
    tables = {
        "images": images,
        "predictions": predictions,
        "coverage": coverage_table(images, attributes, crossings),
        "groups": group_table(*counted, crossings),
    }
    if more:
        tables |= {"gaps": gap_table(*counted, crossings, draws=99), "shift": shift_table(*counted)}
    for name, frame in tables.items():
        write_table(folder, name, frame)
    data = {"classes": list(classes), "intersections": [list(crossing) for crossing in crossings]}
    data |= {"attributes": [{"name": name} for name in attributes], "planned": len(images)}
    models = [{"name": name} for name in answers]
    record = {"schema_version": 1, "name": "small", "complete": True, "models": models, "data": data}
    write_json(folder / "run.json", {**record, "config": {"seed": 0}})
    return open_run(folder)


def publish(run: Run, threshold: int, *, complements: bool = True) -> tuple[Pattern, Path]:
    """Public tables of a run, in a folder beside it."""
    pattern = choose(run, threshold, complements=complements)
    folder = run.path.parent / f"public-{complements}"
    shutil.rmtree(folder, ignore_errors=True)
    for name, frame in PublicTables(run, pattern, threshold).tables().items():
        write_table(folder, name, frame)
    return pattern, folder


def outsider(run: Run, folder: Path) -> Outsider:
    data = run.record["data"]
    return Outsider(folder, [item["name"] for item in data["attributes"]], list(data["classes"]))


def known_cells(seen: Outsider) -> list[str]:
    """Suppressed rows that the published ones give away."""
    found = []
    for row in seen.groups[(seen.groups["status"] == SUPPRESSED) & seen.groups["metric"].isin(RATES)].to_dict(
        "records"
    ):
        n, hits = seen.counts(row)
        own = row["metric"] not in ("selection_rate", "f1")  # theirs is the group's, or a sum of others
        if seen.is_known(n) and (own or seen.is_known(hits)):
            found.append(f"groups {row['model']} {row['attribute']} {row['group']} {row['metric']} {row['class']}")
    found += [
        f"coverage {row['attribute']} {row['group']} {row['label']}"
        for row in seen.coverage[seen.coverage["images"].isna()].to_dict("records")
        if seen.is_known(seen.covered(row))
    ]
    return found


def table_of(counts: Mapping[Any, tuple[int, int, int, int]], names: tuple[str, ...]) -> tuple[Any, list[str]]:
    """Images and answers from counts per group: cats right, cats wrong, dogs right, dogs wrong."""
    rows, said = [], []
    for group, numbers in counts.items():
        kinds = (("cat", "cat"), ("cat", "dog"), ("dog", "dog"), ("dog", "cat"))
        for (label, answer), n in zip(kinds, numbers, strict=True):
            rows += [{"label": label, **dict(zip(names, group, strict=True))}] * n
            said += [answer] * n
    return pd.DataFrame(rows).rename(columns={name: f"attr_{name}" for name in names}), said


ONE = {("a",): (30, 5, 25, 10), ("b",): (20, 4, 18, 8), ("c",): (15, 5, 12, 8), ("d",): (2, 0, 1, 1)}
"""Groups of 70, 50, 40 and 4 images."""


@pytest.fixture
def one(tmp_path: Path) -> Run:
    images, said = table_of(ONE, ("hair",))
    return small_run(tmp_path / "run", images, {"m": said}, more=True)


def test_sizes_are_the_fewest_images_that_a_row_of_the_cell_counts(one: Run) -> None:
    sizes = cell_sizes(one.table("groups"), one.table("coverage"), CLASSES)
    assert sizes[Cell("hair", "a")] == 70
    assert sizes[Cell("hair", "c")] == 40
    # Cats of c: 20; others 20; called so 15 + 8. Of d: 2 cats, 2 others, 3 called cat.
    assert sizes[Cell("hair", "c", "cat")] == 20
    assert sizes[Cell("hair", "d", "cat")] == 2
    assert sizes[Cell("hair", "d", "dog")] == 1, "one image of d is called a dog"


def test_attributes_that_are_crossed_make_one_block() -> None:
    found = blocks_of(("a", "b", "c", "d"), (("a", "c"), ("c", "d")))
    assert found == [(("a", "c", "d"), [("a", "c"), ("c", "d")]), (("b",), [])]


def test_a_block_counts_every_kind_of_image(one: Run) -> None:
    slices = {"hair": ("hair",)}
    block = Block.of(one.table("images"), one.table("predictions"), slices, CLASSES, CLASSES)
    assert block.counts.sum() == 164
    place = block.places["hair", "b"]
    planned, failed, used, right = (int(block.counts[np.ix_(kinds, place)].sum()) for kinds in block.counted(None))
    assert (planned, failed, used, right) == (50, 0, 50, 38)
    numbers = [int(block.counts[np.ix_(kinds, place)].sum()) for kinds in block.counted("cat")]
    assert numbers == [24, 0, 24, 28, 20], "planned, failed, counted, called so, both"


def test_a_small_group_takes_the_next_smallest_with_it(one: Run) -> None:
    pattern, folder = publish(one, 10)
    whole = {cell.group for cell in pattern.hidden if cell.label is None}
    assert whole == {"c", "d"}, "4 images hide among those of the 40"
    groups = open_table(folder, "groups")
    shown = groups[(groups["metric"] == "accuracy") & (groups["attribute"] == "hair")].set_index("group")
    assert shown.loc["a", "n"] == 70
    assert shown.loc["d", ["n", "clusters", "value", "low", "high", "method"]].isna().all()
    assert set(shown.loc[["c", "d"], "status"]) == {SUPPRESSED}
    seen = outsider(one, folder)
    n, _ = seen.counts({"model": "m", "attribute": "hair", "group": "d", "metric": "accuracy"})
    assert seen.range(n) == (1, 43), "44 images are left for two groups that are listed"
    assert known_cells(seen) == []


def open_table(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(folder / "tables" / f"{name}.parquet")


def test_a_small_cell_alone_is_found_by_the_search(one: Run) -> None:
    """The leak that complements prevent: without them, 164 less 160 are 4."""
    _, folder = publish(one, 10, complements=False)
    seen = outsider(one, folder)
    found = known_cells(seen)
    assert "groups m hair d accuracy nan" in found
    assert "coverage hair d nan" in found
    assert "groups m hair d true_positive_rate cat" in found


def test_a_small_class_takes_the_other_and_the_same_of_another_group(tmp_path: Path) -> None:
    counts = {("a",): (30, 5, 25, 10), ("b",): (20, 4, 18, 8), ("c",): (3, 1, 30, 6)}
    images, said = table_of(counts, ("hair",))
    run = small_run(tmp_path / "run", images, {"m": said})
    pattern, folder = publish(run, 10)
    # Four cats in c. Cats and dogs of c add up to its 40, cats of all groups to 63.
    assert pattern.hidden == {Cell("hair", group, label) for group in "bc" for label in CLASSES}
    groups = open_table(folder, "groups")
    assert groups.loc[groups["metric"] == "accuracy", "n"].tolist() == [160, 70, 50, 40], "groups are published whole"
    over = groups[(groups["metric"] == "balanced_accuracy") & (groups["attribute"] == "hair")].set_index("group")
    assert over["status"].to_dict() == {"a": "ok", "b": SUPPRESSED, "c": SUPPRESSED}
    assert known_cells(outsider(run, folder)) == []


def test_a_small_crossing_takes_a_rectangle(tmp_path: Path) -> None:
    cells = {(a, b): (12, 3, 11, 4) for a in ("a1", "a2", "a3") for b in ("b1", "b2", "b3")}
    cells["a1", "b1"] = (2, 1, 1, 1)
    images, said = table_of(cells, ("hair", "eyes"))
    run = small_run(tmp_path / "run", images, {"m": said}, crossings=(("hair", "eyes"),))
    pattern, folder = publish(run, 8)
    whole = {tuple(cell.group.split(" x ")) for cell in pattern.hidden if cell.label is None}
    assert all(cell.attribute == "hair x eyes" for cell in pattern.hidden)
    for place in (0, 1):
        for name in {group[place] for group in whole}:
            assert len([group for group in whole if group[place] == name]) >= 2, "no row or column has only one"
    assert known_cells(outsider(run, folder)) == []


def test_a_crossing_that_is_its_group_takes_the_group_with_it(tmp_path: Path) -> None:
    """All images of a1 are of b1, so that its count is the group's."""
    cells = {
        ("a1", "b1"): (2, 1, 1, 1),
        ("a2", "b1"): (9, 3, 9, 4),
        ("a2", "b2"): (9, 3, 9, 4),
        ("a3", "b2"): (9, 3, 9, 4),
    }
    images, said = table_of(cells, ("hair", "eyes"))
    run = small_run(tmp_path / "run", images, {"m": said}, crossings=(("hair", "eyes"),))
    pattern, folder = publish(run, 8)
    assert Cell("hair", "a1") in pattern.hidden
    assert known_cells(outsider(run, folder)) == []


def test_a_class_that_everybody_has_few_of_is_published_nowhere(tmp_path: Path) -> None:
    counts = {("a",): (50, 5, 25, 10), ("b",): (40, 4, 18, 8)}
    images, said = table_of(counts, ("hair",))
    images.loc[images.index[:5], "label"] = "owl"
    run = small_run(tmp_path / "run", images, {"m": said}, classes=("cat", "dog", "owl"))
    pattern, folder = publish(run, 10)
    # Owls are 5 and never called. Dogs are 61, cats 94: the dogs go with them.
    assert pattern.hidden_labels == ("dog", "owl")
    groups = open_table(folder, "groups")
    assert set(groups.loc[groups["class"].isin(["dog", "owl"]), "status"]) == {SUPPRESSED}
    assert set(groups.loc[groups["metric"] == "balanced_accuracy", "status"]) == {SUPPRESSED}
    assert known_cells(outsider(run, folder)) == []


def test_few_clusters_are_few_however_many_images(tmp_path: Path) -> None:
    images, said = table_of(ONE, ("hair",))
    persons = [f"{group}{place % (2 if group == 'b' else 15)}" for place, group in enumerate(images["attr_hair"])]
    run = small_run(tmp_path / "run", images.assign(cluster=persons), {"m": said})
    pattern, folder = publish(run, 10)
    assert {"b", "d"} <= {cell.group for cell in pattern.hidden if cell.label is None}
    groups = open_table(folder, "groups")
    assert groups.loc[groups["attribute"] != "overall", "clusters"].isna().all(), "no part of the search"


def test_comparisons_rest_on_no_suppressed_cell(one: Run) -> None:
    pattern = choose(one, 10)
    tables = PublicTables(one, pattern, 10).tables()
    for name in ("gaps", "shift"):
        assert set(tables[name]["status"]) == {SUPPRESSED}, name
        assert tables[name][["value", "low", "high"]].isna().all(axis=None)
    assert tables["gaps"][["group", "reference", "p", "p_adjusted", "detectable"]].isna().all(axis=None)


def test_nothing_is_suppressed_where_nothing_is_small(one: Run) -> None:
    pattern = choose(one, 2)
    assert Cell("hair", "d", "dog") in pattern.hidden, "one image of d is called a dog"
    images = one.table("images")
    kept = images["attr_hair"] != "d"
    said = one.table("predictions")["predicted"][kept.to_numpy(bool)].tolist()
    columns = images.loc[kept, ["label", "attr_hair"]].reset_index(drop=True)
    run = small_run(one.path.parent / "less", columns, {"m": said}, more=True)
    pattern = choose(run, 10)
    assert pattern.hidden == frozenset()
    tables = PublicTables(run, pattern, 10).tables()
    for name in ("groups", "gaps", "shift"):
        pd.testing.assert_frame_equal(tables[name], run.table(name), check_dtype=False)


def test_fewer_images_than_the_threshold_are_refused(one: Run) -> None:
    with pytest.raises(RunError, match=r"164 images.*allowed at the public level: 200"):
        choose(one, 200)


def test_a_run_without_rows_is_refused(one: Run) -> None:
    (one.path / "tables" / "predictions.parquet").unlink()
    with pytest.raises(IncompleteRun, match="no table 'predictions'"):
        choose(one, 10)


def test_an_interval_is_inverted_to_its_counts() -> None:
    """For no hit of n the upper end is 1 - 0.025**(1/n), for n hits the lower end 0.025**(1/n)."""
    assert invert(0.0, 1 - 0.025 ** (1 / 20), 30) == (0, 20)
    assert invert(0.025 ** (1 / 7), 1.0, 30) == (7, 7)


def test_many_groups_and_classes_are_published_by_group_alone(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    classes, n = tuple(f"class-{place:02d}" for place in range(40)), 6000
    weights = random.dirichlet(np.full(30, 0.7))
    labels = random.choice(classes, n)
    images = pd.DataFrame(
        {"label": labels, "attr_hair": random.choice([f"g{place}" for place in range(30)], n, p=weights)}
    )
    said = {f"m{place}": np.where(random.random(n) < 0.8, labels, random.choice(classes, n)).tolist() for place in "12"}
    run = small_run(tmp_path / "run", images, said, classes=classes)
    pattern, folder = publish(run, 10)
    assert pattern.by_class == ()
    assert any("too many cells" in sentence for sentence in pattern.withheld)
    groups = open_table(folder, "groups")
    by_group = groups[groups["attribute"] == "hair"]
    assert by_group["class"].isna().all()
    assert (by_group.loc[by_group["status"] == "ok", "n"] >= 10).all()


def random_run(folder: Path, seed: int) -> tuple[Run, int]:
    """Two or three attributes with rare groups, two or three classes, one or two models, some images that failed."""
    random = np.random.default_rng(seed)
    n, classes = int(random.integers(35, 120)), ("cat", "dog", "owl")[: int(random.integers(2, 4))]
    names = ("hair", "eyes", "age")[: int(random.integers(2, 4))]
    columns: dict[str, Any] = {}
    for name in names:
        size = int(random.integers(2, 4))
        chance = random.dirichlet(np.full(size, 0.8)) * 0.9 + 0.1 / size
        columns[f"attr_{name}"] = random.choice([f"{name}{place}" for place in range(size)], n, p=chance)
    columns["label"] = random.choice(classes, n, p=random.dirichlet(np.full(len(classes), 3.0)))
    if random.random() < 0.3:
        columns["status"] = np.where(random.random(n) < 0.05, "unreadable", "ok")
    if random.random() < 0.2:
        columns["attr_hair"] = pd.Series(columns["attr_hair"]).where(random.random(n) > 0.05, None)
    ways: list[tuple[tuple[str, ...], ...]] = [(), (names[:2],), (names[:2], names[-2:]), (names,)]
    crossings = ways[int(random.integers(0, 4))]
    if len(set(crossings)) < len(crossings):
        crossings = crossings[:1]
    answers = {}
    for model in ("m1", "m2")[: int(random.integers(1, 3))]:
        right = random.random(n) < random.uniform(0.5, 1.0)
        answers[model] = np.where(right, columns["label"], random.choice(classes, n)).tolist()
    run = small_run(folder, pd.DataFrame(columns), answers, classes=classes, crossings=crossings)
    return run, int(random.integers(3, 9))


@given(seed=st.integers(0, 10**6))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_suppressed_cell_is_found_from_the_published_ones(seed: int) -> None:
    with TemporaryDirectory() as place:
        run, threshold = random_run(Path(place) / "run", seed)
        try:
            pattern, folder = publish(run, threshold)
        except RunError:
            return  # everybody together is too few
        seen = outsider(run, folder)
        assert known_cells(seen) == []
        shown = seen.groups[seen.groups["status"] != SUPPRESSED]
        assert (shown.loc[shown["metric"].isin(RATES), "n"] >= threshold).all(), "no small denominator is published"
        assert (seen.coverage["images"].dropna() >= threshold).all()
        whole = shown[~shown["metric"].isin(RATES) & (shown["attribute"] != "overall")]
        for row in whole.to_dict("records"):
            assert pattern.clean(row["attribute"], row["group"]), "what is not searched rests on whole groups"
        assert set(shown["metric"]) <= set(METRICS)


def test_samples_of_groups_hide_small_ones_and_lose_crossings() -> None:
    """A sample of 46 images: 4 of c go with the 12 of b; with nobody of d explained, d and its neighbour go too."""
    slices = {"overall": (), "hair": ("hair",), "eyes": ("eyes",), "hair x eyes": ("hair", "eyes")}
    pattern = Pattern(frozenset({Cell("hair", "d")}), (), (), slices)
    numbers = [
        *(("overall", "all", 46), ("hair", "a", 30), ("hair", "b", 12), ("hair", "c", 4), ("hair", "d", 0)),
        *(("eyes", "x", 26), ("eyes", "y", 20), ("hair x eyes", "a x x", 16), ("lips", "z", 46)),
    ]
    table = pd.DataFrame(numbers, columns=["attribute", "group", "n"]).assign(model="m", method="s", region="r")
    table = table.assign(clusters=table["n"], value=0.5, area=0.1, low=0.4, high=0.6, method_interval="t", status="ok")
    found = public_means(table, MEANS["region_groups"], pattern, 10).set_index("group")
    assert found["status"].to_dict() == {
        "all": "ok",
        "a": "ok",
        **dict.fromkeys("bcd", SUPPRESSED),
        "x": "ok",
        "y": "ok",
    }
    assert found.loc[["b", "c", "d"], ["n", "clusters", "value", "area", "low", "high"]].isna().all(axis=None)
    assert found.loc["a", "n"] == 30
