"""Which models can be compared, and the paired comparison of two: read where the run holds it, else made here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from audit.errors import FaircamError
from audit.fairness.rows import OVERALL
from audit.run import Run
from audit.run.claims import claims_of
from dashboard import data
from reports.comparison import build_comparison, compare_runs
from reports.format import known
from reports.sections.facts import Facts
from reports.sections.paired import Arm, PairedFacts

__all__ = ["Candidate", "agreement", "ask", "candidates", "document", "is_large", "lacking", "paired", "paired_rows"]

_MANY_IMAGES, _MANY_GAPS = 20_000, 30
"""Images, or attributes times metrics, above which a comparison takes seconds and waits for its button."""


@dataclass(frozen=True)
class Candidate:
    """A model of a run.

    Attributes
    ----------
    run : Run
    model : str
    """

    run: Run
    model: str

    @property
    def key(self) -> str:
        """As it stands in the address."""
        return f"{self.run.path.name}/{self.model}"

    @property
    def words(self) -> str:
        """As it is shown."""
        return f"{self.model}, {self.run.name}"


def candidates(first: Run) -> dict[str, Candidate]:
    """Every model of every run that can be opened, those of one run first."""
    runs = [first]
    for path in data.find():
        if path != first.path:
            try:
                runs.append(data.open_cached(path))
            except FaircamError:
                continue
    every = [Candidate(run, model) for run in runs for model in run.models]
    return {candidate.key: candidate for candidate in every}


def paired(first: Candidate, second: Candidate) -> PairedFacts:
    """Two models on the images that they share.

    Raises
    ------
    InputError
        They share no images, or these have other labels, groups or files in the other run.
    """
    return _paired(first.key, _stamps(first.run), second.key, _stamps(second.run), first, second)


def lacking(first: Candidate, second: Candidate) -> list[str]:
    """Names of the runs without the rows that a comparison is made from, where none is stored."""
    if _stored(first, second) is not None:
        return []
    runs = {str(arm.run.path): arm.run for arm in (first, second)}
    return [run.name for run in runs.values() if not (run.has("images") and run.has("predictions"))]


def is_large(first: Candidate, second: Candidate) -> bool:
    """Whether comparing takes long: many images or gaps, and no table of the run to read it from."""
    about = [run.record.get("data", {}) for run in (first.run, second.run)]
    images = min(int(part.get("planned") or 0) for part in about)
    metrics = 3 if about[0].get("positive") is not None else 1 + len(about[0].get("classes") or ())
    gaps = metrics * len(set(data.attributes(first.run)) & set(data.attributes(second.run)))
    many = images > _MANY_IMAGES or gaps > _MANY_GAPS
    return many and (first.key, second.key) not in _asked() and _stored(first, second) is None


def paired_rows(facts: PairedFacts) -> pd.DataFrame:
    """Table `paired` with the claim of each row."""
    return facts.table.assign(claim=claims_of("paired", facts.table))


def agreement(facts: PairedFacts, attribute: str) -> pd.DataFrame:
    """How often both models, one of the two, or neither is right.

    Returns
    -------
    DataFrame
        ``group, n, both, only_first, only_second, neither, difference, low, high, claim``; everybody first.
    """
    rows = facts.table[(facts.table["metric"] == "accuracy") & facts.table["attribute"].isin([OVERALL, attribute])]
    rows = rows[~rows["group"].str.startswith("(range)") & rows["difference"].notna()]
    right = (rows["first_value"] * rows["n"]).round().astype("int64")
    counted = rows.assign(both=right - rows["only_first"], claim=claims_of("paired", rows))
    counted["neither"] = counted["n"] - counted[["both", "only_first", "only_second"]].sum(axis=1)
    names = ["group", "n", "both", "only_first", "only_second", "neither", "difference", "low", "high", "claim"]
    everybody = counted["attribute"] == OVERALL
    return counted.assign(group=counted["group"].where(~everybody, "everybody")).loc[:, names]


def document(pairs: Sequence[PairedFacts]) -> bytes:
    """The comparison as one HTML file, as `faircam compare` writes it."""
    from reports.html import render_html

    return render_html(build_comparison(pairs)).encode("utf-8")


def ask(first: Candidate, second: Candidate) -> None:
    """Remember that a large comparison was asked for."""
    _asked().add((first.key, second.key))


@st.cache_resource(max_entries=32, show_spinner="Comparing image by image")
def _paired(
    one: str,  # noqa: ARG001  keys and stamps make the cache's key
    before: tuple[int, ...],  # noqa: ARG001
    two: str,  # noqa: ARG001
    after: tuple[int, ...],  # noqa: ARG001
    _first: Candidate,
    _second: Candidate,
) -> PairedFacts:
    stored = _stored(_first, _second)
    if stored is not None:
        return stored
    same = _first.run.path == _second.run.path
    runs = [_first.run] if same else [_first.run, _second.run]
    return compare_runs(runs, (_first.model, _second.model))[0]


def _stored(first: Candidate, second: Candidate) -> PairedFacts | None:
    """The comparison that the run itself holds; None where it is of two runs, or the other way round."""
    run = first.run
    if run.path != second.run.path:
        return None
    rows = data.table(run, "paired", filters=(("first", "=", first.model), ("second", "=", second.model)))
    if rows.empty:
        return None
    facts = Facts(run)
    attributes = tuple(str(name) for name in rows["attribute"].drop_duplicates() if name != OVERALL)
    arms = (Arm(run, first.model, first.model), Arm(run, second.model, second.model))
    return PairedFacts(*arms, rows, attributes, (), facts.positive, clustered=known(facts.data.get("cluster")))


@st.cache_resource(show_spinner=False)
def _asked() -> set[tuple[str, str]]:
    return set()


def _stamps(run: Run) -> tuple[int, ...]:
    return tuple(data.changed(run, name) for name in ("images", "predictions", "paired"))
