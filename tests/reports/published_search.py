"""What an outsider can work out from published tables alone: a search over whole numbers, written apart from faircam's.

It reads `coverage` and `groups`, and sets up one system over every combination of all groups, labels and answers, for
all models at once. Nothing of `reports.bundle` takes part.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from scipy import sparse, stats
from scipy.optimize import Bounds, LinearConstraint, milp

JOIN = " x "
RATES = (
    "accuracy",
    "true_positive_rate",
    "false_negative_rate",
    "false_positive_rate",
    "true_negative_rate",
    "precision",
    "selection_rate",
    "f1",
)


def invert(low: float, high: float, most: int) -> tuple[int, int]:
    """Hits and trials of a 95 % Clopper-Pearson interval; the trials are at most `most`."""
    for n in range(1, most + 1):
        k = np.arange(n + 1)
        lows = np.where(k == 0, 0.0, stats.beta.ppf(0.025, k, n - k + 1))
        highs = np.where(k == n, 1.0, stats.beta.ppf(0.975, k + 1, n - k))
        hit = np.flatnonzero((abs(lows - low) < 1e-9) & (abs(highs - high) < 1e-9))
        if len(hit):
            return int(hit[0]), n
    raise AssertionError(f"[{low}, {high}] is no Clopper-Pearson interval")


class Outsider:
    """The published equations, and what they leave open."""

    def __init__(self, folder: Path, attributes: list[str], classes: list[str]) -> None:
        self.classes = classes
        self.coverage = pq.read_table(folder / "tables" / "coverage.parquet").to_pandas()
        self.groups = pq.read_table(folder / "tables" / "groups.parquet").to_pandas()
        listed = self.coverage[["attribute", "group"]].drop_duplicates()
        self.listed = list(listed.itertuples(index=False, name=None))
        self.attributes = [name for name in attributes if name in set(listed["attribute"])]
        values = [[group for name, group in self.listed if name == each] for each in self.attributes]
        self.leaves = [dict(zip(self.attributes, found, strict=True)) for found in product(*values)]
        self.models = list(self.groups["model"].unique())
        k, size = len(classes), len(self.leaves)
        self.shape = (2 + len(self.models) * k, size, k)  # planned, failed, then per model one layer an answer
        self.rows: list[np.ndarray] = []
        self.least: list[float] = []
        self.most: list[float] = []
        self.solutions: list[np.ndarray] = []
        self._set_up()

    def _set_up(self) -> None:
        for place, leaf in enumerate(self.leaves):
            if not all(self._is_listed(leaf, name) for name, _ in self.listed):
                self._add(self._mask(0, np.arange(len(self.leaves)) == place), 0, 0)
        for where, label in product(range(len(self.leaves)), range(len(self.classes))):
            read = self._one(0, where, label) - self._one(1, where, label)
            self._add(read, 0, np.inf)
            for model in range(len(self.models)):
                layers = [self._layer(model, answer) for answer in range(len(self.classes))]
                self._add(read - np.sum([self._one(layer, where, label) for layer in layers], axis=0), 0, np.inf)
        for attribute, group in self.listed:
            self._add(self._mask(0, self._of(attribute, group)), 1, np.inf)
        for row in self.coverage.to_dict("records"):
            for layer, name in ((0, "images"), (1, "failed")):
                if not pd.isna(row[name]):
                    self._add(self._covered(row, layer), row[name], row[name])
        for row in self.groups[self.groups["metric"].isin(RATES)].to_dict("records"):
            self._publish(row)

    def _publish(self, row: dict[str, Any]) -> None:
        counts = self.counts(row)
        if not pd.isna(row["n"]) and not pd.isna(row["value"]):
            n, value = int(row["n"]), float(row["value"])
            hits = n / (1 - value / 2) - n if row["metric"] == "f1" else n * value
            self._add(counts[0], n, n)
            self._add(counts[1], round(hits), round(hits))
        elif not pd.isna(row["n"]):
            self._add(counts[0], row["n"], row["n"])
        elif not pd.isna(row["low"]):
            hits, n = invert(row["low"], row["high"], int(self.coverage["images"].max()))
            self._add(counts[0], n, n)
            self._add(counts[1], hits, hits)

    def counts(self, row: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients of denominator and numerator of a row of `groups`; for F1 of images and hits."""
        model, of = self.models.index(row["model"]), self._of(row["attribute"], row["group"])
        k = len(self.classes)

        def images(chosen: Callable[[int, int], bool]) -> np.ndarray:
            out = np.zeros(self.shape)
            for label, answer in product(range(k), range(k)):
                if chosen(label, answer):
                    out[self._layer(model, answer), of, label] += 1
            return out.ravel()

        if row["metric"] == "accuracy":
            return images(lambda _t, _p: True), images(lambda t, p: t == p)
        c = self.classes.index(row["class"])
        ways: dict[str, tuple[Callable[[int, int], bool], Callable[[int, int], bool]]] = {
            "true_positive_rate": (lambda t, _p: t == c, lambda t, p: t == p == c),
            "false_negative_rate": (lambda t, _p: t == c, lambda t, p: t == c != p),
            "false_positive_rate": (lambda t, _p: t != c, lambda t, p: t != c == p),
            "true_negative_rate": (lambda t, _p: t != c, lambda t, p: t != c != p),
            "precision": (lambda _t, p: p == c, lambda t, p: t == p == c),
            "selection_rate": (lambda _t, _p: True, lambda _t, p: p == c),
            "f1": (lambda t, p: c in (t, p), lambda t, p: t == p == c),
        }
        return images(ways[row["metric"]][0]), images(ways[row["metric"]][1])

    def covered(self, row: dict[str, Any]) -> np.ndarray:
        """Coefficients of the planned images of a row of `coverage`."""
        return self._covered(row, 0)

    def is_known(self, row: np.ndarray) -> bool:
        """Whether the published numbers leave only one value of a number."""
        if not self.solutions:
            first = self._solve(np.zeros(len(row)), -np.inf, np.inf)
            assert first is not None, "the published numbers contradict each other"
            self.solutions.append(first)
        values = [round(float(solution @ row)) for solution in self.solutions]
        if max(values) > min(values):
            return False
        for least, most in ((values[0] + 1, np.inf), (-np.inf, values[0] - 1)):
            other = self._solve(row, least, most)
            if other is not None:
                self.solutions.append(other)
                return False
        return True

    def range(self, row: np.ndarray) -> tuple[int, int]:
        """Smallest and largest value of a number."""
        ends = [self._solve(row, -np.inf, np.inf, objective=sign * row) for sign in (1.0, -1.0)]
        low, high = (round(float(end @ row)) for end in ends if end is not None)
        return low, high

    def _solve(
        self, row: np.ndarray, least: float, most: float, *, objective: np.ndarray | None = None
    ) -> np.ndarray | None:
        """Numbers that fit everything published, with one of them bounded; None where there are none."""
        found = milp(
            np.zeros(len(row)) if objective is None else objective,
            constraints=[
                LinearConstraint(sparse.csr_array(np.stack(self.rows)), self.least, self.most),
                LinearConstraint(row[None], least, most),
            ],
            integrality=np.ones(len(row)),
            bounds=Bounds(0, np.inf),
        )
        assert found.status in (0, 2), found.message
        return None if found.x is None else np.asarray(np.round(found.x))

    def _add(self, row: np.ndarray, least: float, most: float) -> None:
        self.rows.append(row)
        self.least.append(float(least))
        self.most.append(float(most))

    def _layer(self, model: int, answer: int) -> int:
        return 2 + model * len(self.classes) + answer

    def _is_listed(self, leaf: dict[str, str], name: str) -> bool:
        return (name, self._named(leaf, name)) in self.listed

    def _named(self, leaf: dict[str, str], name: str) -> str:
        return "all" if name == "overall" else JOIN.join(leaf[part] for part in name.split(JOIN))

    def _of(self, attribute: str, group: str) -> np.ndarray:
        return np.array([self._named(leaf, attribute) == group for leaf in self.leaves])

    def _mask(self, layer: int, of: np.ndarray) -> np.ndarray:
        out = np.zeros(self.shape)
        out[layer, of, :] = 1
        return out.ravel()

    def _one(self, layer: int, leaf: int, label: int) -> np.ndarray:
        out = np.zeros(self.shape)
        out[layer, leaf, label] = 1
        return out.ravel()

    def _covered(self, row: dict[str, Any], layer: int) -> np.ndarray:
        of, out = self._of(row["attribute"], row["group"]), np.zeros(self.shape)
        if pd.isna(row["label"]):
            out[layer, of, :] = 1
        else:
            out[layer, of, self.classes.index(row["label"])] = 1
        return out.ravel()
