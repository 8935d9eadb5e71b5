"""The tables of the public level: sums over groups, with the cells of a `Pattern` taken out of every one of them.

Tables of counts are here; those of means per image (attribution, quality, interventions) in `public_means`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import pandas as pd

from audit.fairness.composites import COMPOSITES
from audit.fairness.metrics import METRICS
from audit.fairness.rows import OVERALL, has_clusters
from audit.run import Run
from audit.run.claims import claims_of
from reports.bundle.cells import Cell
from reports.bundle.public_means import MEANS, public_means
from reports.bundle.suppression import Pattern

__all__ = ["LEFT_OUT", "SUPPRESSED", "PublicTables", "suppressed_claims"]

SUPPRESSED = "suppressed"
"""Status of a row whose key is published and whose numbers are not."""

LEFT_OUT = {
    "curves": "they are the rates of ever smaller groups",
    "lattice": "it is the rates of ever smaller groups",
    "sensitivity": "it says how many labels decide a verdict",
    "paired": "it counts images on which two models differ",
    "robustness": "it is the rates of samples of each group",
    "robustness_gaps": "they rest on the rates of samples of each group",
    "membership": "it counts training images of each group",
    "leakage": "it rests on the embeddings of single images",
    "slices": "they are found from single images",
    "quality_gaps": "they compare matched samples, which are small",
    "agreement_groups": "they rest on small samples of each group",
    "mean_maps": "they are pictures made of few images",
    "concepts": "they rest on small samples",
}
"""Tables of sums that the public level holds nothing of, and why."""

_KEPT = ("stamps", "training", "work")
_SCORED = ("auc", "log_loss", "brier", "ece", "ece_debiased", "top_3_accuracy", "top_5_accuracy")
_OVER_CLASSES = ("balanced_accuracy", "standardised_accuracy", "macro_precision", "macro_f1")
_TEXT = (
    "{model}: rule '{rule}' is withheld at the public level, as it rests on suppressed cells. It counts neither as "
    "kept nor as exceeded; the auditor level holds its numbers."
)
_BLANK = ("group", "reference", "value", "low", "high", "p", "p_adjusted", "n_to_settle")

Fate = Literal["kept", "suppressed", "dropped"]


def suppressed_claims(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Claims of the suppressed rows of some tables, in columns ``table`` and ``claim``."""
    found = []
    for name, frame in tables.items():
        if name == "coverage":
            rows = frame[frame["images"].isna()]
        elif "status" in frame:
            rows = frame[frame["status"] == SUPPRESSED]
        else:
            continue
        found += [(name, claim) for claim in claims_of(name, rows)]
    return pd.DataFrame(found, columns=["table", "claim"])


@dataclass(frozen=True)
class PublicTables:
    """Takes suppressed cells out of the tables of a run.

    Attributes
    ----------
    run : Run
    pattern : Pattern
    threshold : int
        As the pattern was chosen for.
    """

    run: Run
    pattern: Pattern
    threshold: int

    def tables(self) -> dict[str, pd.DataFrame]:
        """Every table of the public level, by name."""
        found = {"coverage": self.coverage(), "groups": self.groups}
        makers = {"gaps": self.gaps, "shift": self.shift}
        found |= {name: make() for name, make in makers.items() if self.run.has(name)}
        for name in MEANS:
            if self.run.has(name):
                found[name] = public_means(self.run.table(name), MEANS[name], self.pattern, self.threshold)
                self._without_clusters(found[name])
        if self.run.has("findings"):
            found["findings"] = self.findings(found)
        return found | {name: self.run.table(name) for name in _KEPT if self.run.has(name)}

    @cached_property
    def _clustered(self) -> bool:
        return has_clusters(self.run.table("images", columns=["cluster"]))

    def _without_clusters(self, frame: pd.DataFrame) -> None:
        """Numbers of clusters by group are no part of the search, so they go where anything is suppressed."""
        if self._clustered and self.pattern.hidden:
            frame["clusters"] = frame["clusters"].where(frame["attribute"] == OVERALL)

    def coverage(self) -> pd.DataFrame:
        """Table `coverage`; a suppressed row has null numbers. Without rows of labels where some are no class."""
        table = self.run.table("coverage").astype({"images": "Int64", "failed": "Int64", "clusters": "Int64"})
        table = table[table["attribute"].isin(list(self.pattern.slices))]
        classes = {str(name) for name in self.run.record["data"]["classes"]}
        if set(table["label"].dropna()) <= classes:
            shown = table["label"].isna() | table["attribute"].isin([OVERALL, *self.pattern.by_class])
        else:
            shown = table["label"].isna()
        table = table[shown].reset_index(drop=True)
        gone = [
            self._hides(str(attribute), str(group), None if pd.isna(label) else str(label))
            for attribute, group, label in zip(table["attribute"], table["group"], table["label"], strict=True)
        ]
        table.loc[gone, ["images", "failed", "clusters"]] = pd.NA
        self._without_clusters(table)
        return table

    def _hides(self, attribute: str, group: str, label: str | None) -> bool:
        return label in self.pattern.hidden_labels or Cell(attribute, group, label) in self.pattern.hidden

    @cached_property
    def groups(self) -> pd.DataFrame:
        """Table `groups`."""
        table = self.run.table("groups")
        odd = self._oddly_scored(table)
        columns = [table[name].tolist() for name in ("attribute", "group", "metric", "class")]
        fates = [
            self._fate(attribute, group, metric, None if pd.isna(name) else str(name), odd)
            for attribute, group, metric, name in zip(*columns, strict=True)
        ]
        few = (table["attribute"] == OVERALL) & table["n"].between(1, self.threshold - 1)
        fates = ["suppressed" if small and fate == "kept" else fate for fate, small in zip(fates, few, strict=True)]
        table = _blanked(table, fates, ("n", "clusters", "value", "low", "high", "method"))
        self._without_clusters(table)
        return table

    def _oddly_scored(self, table: pd.DataFrame) -> set[str]:
        """Attributes along which probabilities are stored for some images only, so that their number is a count too."""
        whole = table[table["metric"] == "accuracy"].set_index(["model", "attribute", "group"])["n"]
        scored = table[table["metric"].isin(_SCORED) & (table["n"] > 0)]
        keys = pd.MultiIndex.from_frame(scored[["model", "attribute", "group"]])
        return set(scored["attribute"][scored["n"].to_numpy() != whole.reindex(keys).to_numpy()])

    def _fate(self, attribute: str, group: str, metric: str, label: str | None, odd: set[str]) -> Fate:
        pattern = self.pattern
        if attribute not in pattern.slices:
            return "dropped"
        about_classes = label is not None or metric in _OVER_CLASSES
        if attribute != OVERALL and about_classes and attribute not in pattern.by_class:
            return "dropped"
        if label in pattern.hidden_labels or (metric in _OVER_CLASSES and pattern.hidden_labels):
            return "suppressed"
        if attribute == OVERALL:
            return "kept"
        if metric in _SCORED:
            fine = pattern.clean(attribute, group) and attribute not in odd
            crossed = len(pattern.slices[attribute]) > 1 and not pattern.all_clean(attribute)
            return "suppressed" if crossed or not fine else "kept"
        if metric in _OVER_CLASSES:
            return "kept" if pattern.clean(attribute, group) else "suppressed"
        return "suppressed" if self._hides(attribute, group, label) else "kept"

    @cached_property
    def _whole(self) -> dict[tuple[str, str, str | None], bool]:
        """Whether a metric is published of every group, by attribute, metric and class; nothing where of none."""
        table = self.groups
        found: dict[tuple[str, str, str | None], bool] = {}
        for attribute, metric, name, status in zip(
            table["attribute"], table["metric"], table["class"], table["status"], strict=True
        ):
            key = (str(attribute), str(metric), None if pd.isna(name) else str(name))
            found[key] = found.get(key, True) and status != SUPPRESSED
        return found

    def _comparable(self, attribute: str, metric: str, name: str | None) -> Fate:
        """What becomes of a number that rests on every group along an attribute."""
        parts = ("true_positive_rate", "false_positive_rate") if metric in COMPOSITES else (metric,)
        known = [self._whole.get((attribute, part, name)) for part in parts]
        if any(one is None for one in known):
            return "dropped"
        return "kept" if all(known) else "suppressed"

    def _compared(self, table: pd.DataFrame, blank: Iterable[str]) -> pd.DataFrame:
        columns = [table[name].tolist() for name in ("attribute", "metric", "class")]
        fates = [
            self._comparable(str(attribute), str(metric), None if pd.isna(name) else str(name))
            for attribute, metric, name in zip(*columns, strict=True)
        ]
        return _blanked(table, fates, blank)

    def gaps(self) -> pd.DataFrame:
        """Table `gaps`: rows of which every group is published. Adjusted p-values would tell of the other rows."""
        given = self.run.table("gaps")
        numbers = ("value", "low", "high", "p", "p_adjusted", "detectable")
        table = self._compared(given, ("group", "reference", *numbers, "method"))
        if len(table) < len(given) or (table["status"] == SUPPRESSED).any():
            table["p_adjusted"] = float("nan")
        return table

    def shift(self) -> pd.DataFrame:
        """Table `shift`, likewise."""
        return self._compared(self.run.table("shift"), ("observed", "value", "low", "high"))

    def findings(self, tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
        """Table `findings`. Where a number rests on a suppressed cell, so does the verdict: it is withheld too.

        The verdict of such a row is ``inconclusive``, so that nobody takes the rule for kept.
        """
        table = self.run.table("findings")
        there = {name: _published(name, frame) for name, frame in tables.items()}
        gone = [not self._tells(row, there) for row in table.to_dict("records")]
        if not any(gone):
            return table
        table["p_adjusted"] = float("nan")
        table.loc[gone, list(_BLANK)] = None
        table.loc[gone, "verdict"] = "inconclusive"
        texts = [
            _TEXT.format(model=model, rule=rule) for model, rule in zip(table["model"], table["rule"], strict=True)
        ]
        table["text"] = [said if out else text for said, out, text in zip(texts, gone, table["text"], strict=True)]
        table["claims"] = [[] if out else list(claims) for out, claims in zip(gone, table["claims"], strict=True)]
        return table

    def _tells(self, row: dict[Any, Any], there: dict[str, set[str]]) -> bool:
        """Whether a finding rests on published rows alone."""
        claims = [str(claim) for claim in (row["claims"] if row["claims"] is not None else ())]
        if any(claim not in there.get(claim.split(":")[0], set()) for claim in claims):
            return False
        attribute, metric = str(row["attribute"]), str(row["metric"])
        name = None if pd.isna(row["class"]) else str(row["class"])
        if metric in METRICS or metric in COMPOSITES:
            return self._comparable(attribute, metric, name) == "kept"
        return attribute in ("region", OVERALL) or (
            attribute in self.pattern.slices and bool(claims) and self._even(row)
        )

    def _even(self, row: dict[Any, Any]) -> bool:
        """Whether nothing is suppressed along the attribute of a rule about regions."""
        table = self.run.table("intervention_groups")
        own = table[(table["model"] == row["model"]) & (table["attribute"] == row["attribute"])]
        public = public_means(table, MEANS["intervention_groups"], self.pattern, self.threshold)
        left = public[(public["model"] == row["model"]) & (public["attribute"] == row["attribute"])]
        return len(left) == len(own) and not (left["status"] == SUPPRESSED).any()


def _published(name: str, frame: pd.DataFrame) -> set[str]:
    if name not in ("groups", "gaps", *MEANS):
        return set()
    return set(claims_of(name, frame[frame["status"] != SUPPRESSED]))


def _blanked(table: pd.DataFrame, fates: list[Fate], columns: Iterable[str]) -> pd.DataFrame:
    """The rows that are not dropped, the suppressed ones without their numbers."""
    given = pd.Series(fates, index=table.index, dtype=object)
    table = table[given != "dropped"].copy()
    gone = given[given != "dropped"] == "suppressed"
    for name in columns:
        table[name] = table[name].mask(gone)
    table["status"] = table["status"].mask(gone, SUPPRESSED)
    return table.reset_index(drop=True)
