"""Tables of New York City's Local Law 144: selection or scoring rates and impact ratios by sex, race and intersection.

Computed from a run's predictions; where a disclosure level withholds those, from its table of groups. How they read in
a document is in `local_law_144_section`. No threshold is applied to a ratio: that is for a policy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from audit.errors import InputError, nearest
from audit.fairness.rows import JOIN, MISSING, sorted_groups, stored_probabilities, usable_rows
from audit.run import Run
from audit.run.claims import claim_of, claims_of
from reports.spreadsheet import csv_text

__all__ = ["COLUMNS", "FOLDER", "UNKNOWN", "Categories", "Measure", "local_law_144", "local_law_144_files"]

Measure: TypeAlias = Literal["selection", "scoring"]

COLUMNS = (
    "model", "table", "sex", "race_ethnicity", "n", "share", "selected", "rate", "impact_ratio", "status", "claim",
)  # fmt: skip
UNKNOWN = "(unknown)"
"""Category of the images whose sex, race or ethnicity is not known; counted, and in no rate or ratio."""

FOLDER = "local-law-144"
"""Folder of the tables inside a bundle."""

_METRIC = "selection_rate"


@dataclass(frozen=True)
class Categories:
    """Which attributes of a run are which, and what counts as being selected.

    Attributes
    ----------
    sex, race : str
        Attributes that hold sex, and race or ethnicity.
    selected : str or None
        Class that means being selected, or whose probability is the score; the run's positive class by default.
    exclude_below : float
        Categories of a smaller share of the images with a known category are listed, and are in no ratio. The rules
        allow this under two per cent (6 RCNY 5-301(d)), with a reason; 0 leaves none out.
    unknown : tuple of str
        Groups that mean that nobody knows, or that a person did not say; missing values always do.
    """

    sex: str
    race: str
    selected: str | None = None
    exclude_below: float = 0.02
    unknown: tuple[str, ...] = ()


def local_law_144(run: Run, categories: Categories, measure: Measure = "selection") -> pd.DataFrame:
    """Rates and impact ratios of every model by sex, by race or ethnicity, and by both.

    Parameters
    ----------
    run : Run
    categories : Categories
    measure : str
        ``selection``: share of a category's images that are classified as the selected class. ``scoring``: share
        whose probability of that class lies above the median over all images of the model, the unknown ones too.

    Returns
    -------
    DataFrame
        `COLUMNS`. ``table`` is ``sex``, ``race_ethnicity`` or ``intersection``; ``n`` counts images; ``share`` is of
        the images with a known category; ``impact_ratio`` is the rate over the highest rate of the table's categories
        that are not left out. ``status``: ``ok``; ``left_out`` (small); ``unknown``; ``undefined`` (no images, or all
        rates are 0); ``suppressed``, or ``not_comparable`` where another category is suppressed. ``claim`` names the
        row of table ``groups`` with the same rate and its interval, where there is one. An intersection is missing
        where a disclosure level withholds it; scoring rates are where it withholds the predictions.

    Raises
    ------
    InputError
        An attribute or class is unknown, or no class is named.

    Notes
    -----
    Rules of the City of New York, title 6, 5-300 (definitions) and 5-301. They count applicants: where a person has
    several images, give a run with one image for each.
    """
    _check(run, categories)
    rows_there = run.has("predictions") and run.has("images")
    if measure == "scoring" and not rows_there:
        return pd.DataFrame(columns=list(COLUMNS))
    cells = _from_rows(run, categories, measure) if rows_there else _from_groups(run, categories)
    claims = set(claims_of("groups", run.table("groups"))) if measure == "selection" else set()
    parts = [
        _rated(part, categories.exclude_below).assign(claim=lambda part: _claims(part, categories, run, claims))
        for _, part in cells.groupby(["model", "table"], sort=False)
    ]
    return pd.concat(parts, ignore_index=True)[list(COLUMNS)] if parts else pd.DataFrame(columns=list(COLUMNS))


def local_law_144_files(run: Run, categories: Categories) -> dict[str, str]:
    """The tables as CSV, by their place in a bundle; scoring rates only where probabilities are stored."""
    files = {}
    for measure in ("selection", "scoring"):
        table = local_law_144(run, categories, measure)
        if len(table):
            files[f"{FOLDER}/{measure}.csv"] = csv_text(table)
    return files


def selected_class(run: Run, categories: Categories) -> str:
    """The class that means being selected."""
    data = run.record.get("data") or {}
    classes = [str(name) for name in data.get("classes") or []]
    name = categories.selected if categories.selected is not None else data.get("positive")
    if name is None:
        raise InputError(
            f"no class means being selected: the run has no positive class; classes: {', '.join(classes)}",
            fix="name the class that does",
        )
    if name not in classes:
        raise InputError(f"'{name}' is no class, allowed: {', '.join(classes)}.{nearest(str(name), classes)}")
    return str(name)


def _check(run: Run, categories: Categories) -> None:
    selected_class(run, categories)
    known = [str(item["name"]) for item in (run.record.get("data") or {}).get("attributes") or []]
    for title, name in (("sex", categories.sex), ("race or ethnicity", categories.race)):
        if name not in known:
            raise InputError(
                f"attribute '{name}' for {title} is not in the run, allowed: {', '.join(known)}.{nearest(name, known)}"
            )
    if categories.sex == categories.race:
        raise InputError(f"attribute '{categories.sex}' is given for sex and for race or ethnicity; name two")
    if not 0 <= categories.exclude_below < 1:
        raise InputError(f"exclude_below is {categories.exclude_below}, allowed: 0 to below 1, such as 0.02")


def _from_rows(run: Run, categories: Categories, measure: Measure) -> pd.DataFrame:
    classes = [str(name) for name in run.record["data"]["classes"]]
    place = classes.index(selected_class(run, categories))
    rows = usable_rows(run.table("images"), run.table("predictions"), classes, (categories.sex, categories.race))
    rows["hit"] = rows["predicted"] == place
    if measure == "scoring":
        chances = stored_probabilities(rows, len(classes))
        rows["score"] = np.nan if chances is None else chances[:, place]
        rows = rows[rows["score"].notna()]
        rows["hit"] = rows["score"] > rows.groupby("model")["score"].transform("median")
    unknown = {MISSING, *categories.unknown}
    for column, name in (("sex", categories.sex), ("race_ethnicity", categories.race)):
        groups = rows[f"attr_{name}"]
        rows[column] = groups.mask(groups.isin(unknown), UNKNOWN)
    found = [cell for model in run.models for cell in _counted(rows[rows["model"] == model], model)]
    return pd.DataFrame(found, columns=["model", "table", "sex", "race_ethnicity", "n", "selected"])


def _counted(rows: pd.DataFrame, model: str) -> Iterator[tuple[Any, ...]]:
    """Images and selected ones of every category; intersections in which nobody is, too."""
    counts = rows.groupby(["sex", "race_ethnicity"])["hit"].agg(["size", "sum"])
    counted = {(str(sex), str(race)): (int(n), int(hits)) for (sex, race), n, hits in counts.itertuples()}
    sexes, races = (_ordered({pair[axis] for pair in counted}) for axis in (0, 1))
    for sex in sexes:
        yield model, "sex", sex, "", *_sum(counted.get((sex, race)) for race in races)
    for race in races:
        yield model, "race_ethnicity", "", race, *_sum(counted.get((sex, race)) for sex in sexes)
    for sex, race in product(sexes, races):
        if UNKNOWN not in (sex, race):
            yield model, "intersection", sex, race, *counted.get((sex, race), (0, 0))
    beside = [found for pair, found in counted.items() if UNKNOWN in pair]
    if beside:
        yield model, "intersection", UNKNOWN, UNKNOWN, *_sum(beside)


def _sum(pairs: Any) -> tuple[int, int]:
    held = [pair for pair in pairs if pair is not None]
    return sum(n for n, _ in held), sum(hits for _, hits in held)


def _ordered(names: set[str]) -> list[str]:
    return [*sorted_groups(names - {UNKNOWN}), *({UNKNOWN} & names)]


def _from_groups(run: Run, categories: Categories) -> pd.DataFrame:
    """The same counts from rates that a disclosure level leaves; None where it suppresses them."""
    groups = run.table("groups")
    groups = groups[(groups["metric"] == _METRIC) & (groups["class"] == selected_class(run, categories))]
    unknown = {MISSING, *categories.unknown}
    single = {
        name: [str(group) for group in groups.loc[groups["attribute"] == name, "group"].unique()]
        for name in (categories.sex, categories.race)
    }
    pairs = list(product(single[categories.sex], single[categories.race]))
    places: dict[tuple[str, str], tuple[str, str, str]] = {
        (categories.sex, sex): ("sex", sex, "") for sex in single[categories.sex]
    }
    places |= {(categories.race, race): ("race_ethnicity", "", race) for race in single[categories.race]}
    for sex, race in pairs:
        cell = ("intersection", sex, race)
        places[JOIN.join((categories.sex, categories.race)), JOIN.join((sex, race))] = cell
        places[JOIN.join((categories.race, categories.sex)), JOIN.join((race, sex))] = cell
    found: dict[tuple[str, str, str, str], list[tuple[Any, Any]]] = {}
    for row in groups.to_dict("records"):
        place = places.get((str(row["attribute"]), str(row["group"])))
        if place is None:
            continue
        table, *names = place
        if unknown & set(names):
            names = [UNKNOWN if name and (name in unknown or table == "intersection") else name for name in names]
        found.setdefault((str(row["model"]), table, *names), []).append(_known_counts(row))  # type: ignore[arg-type]
    cells = [(*place, *_sum_or_none(counts)) for place, counts in found.items()]
    return pd.DataFrame(cells, columns=["model", "table", "sex", "race_ethnicity", "n", "selected"], dtype=object)


def _known_counts(row: dict[Any, Any]) -> tuple[int | None, int | None]:
    if pd.isna(row["n"]) or (pd.isna(row["value"]) and row["n"] > 0):
        return None, None
    return int(row["n"]), round(row["n"] * row["value"]) if row["n"] else 0


def _sum_or_none(counts: list[tuple[Any, Any]]) -> tuple[int | None, int | None]:
    return (None, None) if any(n is None for n, _ in counts) else _sum(counts)


def _rated(cells: pd.DataFrame, exclude_below: float) -> pd.DataFrame:
    """Shares, rates, ratios and statuses of one model's table."""
    rows = cells.to_dict("records")
    known = [row for row in rows if _is_known(row)]
    hidden = any(row["n"] is None for row in known)
    total = 0 if hidden else sum(row["n"] for row in known)
    for row in rows:
        counts = _is_known(row) and row["n"] is not None
        row["share"] = row["n"] / total if counts and total else None
        row["rate"] = row["selected"] / row["n"] if counts and row["n"] else None
        row["selected"] = row["selected"] if counts else None
        row["status"] = _status(row, hidden, exclude_below)
        row["impact_ratio"] = None
    compared = [row for row in rows if row["status"] == "ok"]
    best = max((row["rate"] for row in compared), default=0)
    for row in compared:
        row["impact_ratio"] = row["rate"] / best if best else None
        row["status"] = "ok" if best else "undefined"
    return pd.DataFrame(rows).astype({"n": "Int64", "selected": "Int64", **dict.fromkeys(_SHARES, "float64")})


def _is_known(row: dict[Any, Any]) -> bool:
    return UNKNOWN not in (row["sex"], row["race_ethnicity"])


_SHARES = ("share", "rate", "impact_ratio")


def _status(row: dict[Any, Any], hidden: bool, exclude_below: float) -> str:
    if row["n"] is None:
        return "suppressed"
    if not _is_known(row):
        return "unknown"
    if row["n"] == 0:
        return "undefined"
    if hidden:
        return "not_comparable"
    return "left_out" if row["share"] < exclude_below else "ok"


def _claims(part: pd.DataFrame, categories: Categories, run: Run, claims: set[str]) -> list[str]:
    """The row of table `groups` with the same rate, where there is one."""
    if not claims:
        return [""] * len(part)
    selected = selected_class(run, categories)
    found = []
    for model, sex, race in zip(part["model"], part["sex"], part["race_ethnicity"], strict=True):
        ways = [[(name, group) for name, group in ((categories.sex, sex), (categories.race, race)) if group]]
        ways.append(ways[0][::-1])
        names = [_claim(model, way, selected) for way in ways]
        found.append(next((name for name in names if name in claims and UNKNOWN not in (sex, race)), ""))
    return found


def _claim(model: str, way: list[tuple[str, str]], selected: str) -> str:
    attribute, group = (JOIN.join(part[axis] for part in way) for axis in (0, 1))
    row = {"model": model, "attribute": attribute, "group": group, "metric": _METRIC, "class": selected}
    return claim_of("groups", row)
