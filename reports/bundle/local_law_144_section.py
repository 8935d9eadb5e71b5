"""How the tables of New York City's Local Law 144 read in a document: what was counted, on whom, what was left out."""

from __future__ import annotations

from typing import Any

import pandas as pd

from audit.run import Run
from reports.bundle.local_law_144 import UNKNOWN, Categories, Measure, local_law_144, selected_class
from reports.format import NOTHING, clean, count, known, rate, share
from reports.nodes import Block, Bullets, Cell, Column, Paragraph, Section, Table

__all__ = ["local_law_144_section"]

_TITLES = {"sex": "sex", "race_ethnicity": "race or ethnicity", "intersection": "sex and race or ethnicity"}
_NAMES = {"sex": ("sex",), "race_ethnicity": ("race_ethnicity",), "intersection": ("race_ethnicity", "sex")}
_HEADS = {"sex": "Sex", "race_ethnicity": "Race or ethnicity"}
_STATUSES = {
    "ok": "",
    "left_out": "left out of the ratios: small share",
    "unknown": "category not known: in no rate",
    "undefined": "undefined: nobody, or no rate above 0",
    "suppressed": "suppressed: the cell is small, or would give one away",
    "not_comparable": "no ratio: another category is suppressed",
}
_RATES: dict[Measure, str] = {"selection": "Selection rate", "scoring": "Scoring rate"}

_ABSENT: dict[Measure, str] = {"selection": "the groups are withheld", "scoring": "no scores are held"}


def local_law_144_section(run: Run, categories: Categories) -> Section:
    """The tables as a section of a document.

    Parameters
    ----------
    run : Run
    categories : Categories

    Raises
    ------
    InputError
        As `local_law_144`.
    """
    name = clean(selected_class(run, categories))
    blocks: list[Block] = [
        Paragraph(
            f"Rates of class {name} by {clean(categories.sex)} (sex) and {clean(categories.race)} (race or ethnicity), "
            "in the form that 6 RCNY 5-301 describes. Whether that law applies, and whether a ratio is large enough, "
            "is not said here: the first is for a person, the second for a policy.",
            "lead",
        ),
        Bullets(_read(run, categories, name)),
    ]
    for measure, title in _RATES.items():
        table = local_law_144(run, categories, measure)
        if table.empty:
            blocks.append(Paragraph(f"{title}s: not measured; {_ABSENT[measure]} at this level.", "note"))
        elif "intersection" not in set(table["table"]):
            blocks.append(
                Paragraph(f"{title}s by intersection are withheld at this level, or were not computed.", "note")
            )
        for model in table["model"].unique():
            part = table[table["model"] == model]
            parts = tuple(_table(part[part["table"] == kind], kind, measure) for kind in part["table"].unique())
            blocks.append(
                Section(_identifier(run, str(model), measure), f"{_RATES[measure]}s of {clean(model)}", parts)
            )
    return Section("local-law-144", "Selection and scoring rates, New York City Local Law 144", tuple(blocks))


def _identifier(run: Run, model: str, measure: Measure) -> str:
    return f"local-law-144-{measure}-{run.models.index(model)}"


def _read(run: Run, categories: Categories, name: str) -> tuple[str, ...]:
    clustered = known((run.record.get("data") or {}).get("cluster"))
    units = "images, of which one person may have several" if clustered else "images; that each is of another person"
    least = categories.exclude_below
    read = (
        f"Selection rate: share of a category's images that the model classifies as {name}. Scoring rate: share whose "
        f"probability of {name} lies above the median over all images. Impact ratio: rate over the highest rate of the "
        "table's categories."
    )
    small = (
        f"Categories of less than {share(round(1e6 * least), 10**6)} of the images with a known category are listed "
        "and left out of the ratios; why is for a person to say."
    )
    return (
        read,
        f"n counts {units}{'' if clustered else ' was not checked'}.",
        f"Images without a known category are counted as {UNKNOWN} and are in no rate or ratio.",
        small if least else "No category was left out for being small.",
        "Ratios of small samples are unsure; intervals of rates are in table groups, of the smallest ratio in gaps.",
    )


def _table(part: pd.DataFrame, kind: str, measure: Measure) -> Table:
    heads = tuple(_HEADS[name] for name in _NAMES[kind])
    numbers = ("n", "Share", "Selected" if measure == "selection" else "Above median", _RATES[measure], "Impact ratio")
    columns = (*map(Column, heads), *(Column(title, numeric=True) for title in numbers), Column("Remark"))
    rows = tuple(_row(row, kind) for row in part.to_dict("records"))
    caption = f"{_RATES[measure]} and impact ratio by {_TITLES[kind]}"
    return Table(caption, columns, rows, source="groups" if any(part["claim"]) else "")


def _row(row: dict[Any, Any], kind: str) -> tuple[Cell, ...]:
    part = f"{100 * row['share']:.1f} %" if known(row["share"]) else NOTHING
    return (
        *(Cell(clean(row[name])) for name in _NAMES[kind]),
        Cell(count(row["n"]), claim=row["claim"]),
        Cell(part),
        Cell(count(row["selected"])),
        Cell(rate(row["rate"]), claim=row["claim"]),
        Cell(rate(row["impact_ratio"])),
        Cell(_STATUSES[row["status"]], "muted"),
    )
