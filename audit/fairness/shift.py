"""The table `shift`: what the overall figures would be under another mix of groups, by reweighting.

Nothing is measured anew: each group keeps the rates seen in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from audit.errors import InputError, nearest
from audit.fairness.counts import CountTensor, count_predictions
from audit.fairness.groups import check_positive
from audit.fairness.intervals import Floats
from audit.fairness.joint import Family
from audit.fairness.metrics import METRICS
from audit.fairness.rates import GroupRates, rate_units
from audit.fairness.rows import MISSING, OVERALL
from audit.run.schema import columns

__all__ = ["EQUAL", "SHIFT_COLUMNS", "STATED", "STEP", "shift_table"]

SHIFT_COLUMNS = tuple(columns("shift"))
EQUAL = "equal shares"
STATED = "stated population"
STEP = 0.10
ROUNDING = 0.005

Mix = dict[str, float]
Population = Mapping[str, Mapping[str, float]]


def shift_table(
    images: pd.DataFrame,
    predictions: pd.DataFrame,
    classes: Sequence[str],
    positive: str | None,
    attributes: Sequence[str],
    population: Population | None = None,
    *,
    alpha: float = 0.05,
) -> pd.DataFrame:
    """Compute table `shift`.

    Parameters
    ----------
    images, predictions, classes, positive, attributes
        As in `group_table`.
    population : mapping of str to mapping of str to float, optional
        For some attributes, the share of each group in a population of reference; shares add up to 1, and a
        group that is not named has none.
    alpha : float
        One minus the confidence level of each interval, which stands for itself alone.

    Returns
    -------
    DataFrame
        Columns `SHIFT_COLUMNS`. Metrics: accuracy, and the true positive, false positive and selection rate of
        the positive class, or without one the true positive rate of every class. Scenarios: ``equal
        shares`` of all groups (images with a missing group keep their share); ``stated population``; and each
        group up by ten points of share, the others scaled down in proportion. ``observed`` is the figure
        over everybody, ``value`` that under the mix. The interval joins the groups' own (Wilson's, Korn and
        Graubard's where clusters repeat) by MOVER, with their correlation where clusters lie in several groups.

        ``value`` is null where a group with a share has no image (``not_measured``), no image in the
        metric's denominator, or too large a share to be raised (``undefined``).

    Raises
    ------
    InputError
        A column, class or attribute is missing or unknown, or stated shares are no shares.

    Notes
    -----
    Groups are weighted as images are drawn from the mix: a group with more images of the class weighs more
    in the class's true positive rate. It is assumed that within a group nothing else changes.
    """
    check_positive(positive, classes)
    if not 0 < alpha < 1:
        raise InputError(f"alpha is {alpha}, allowed: above 0 and below 1")
    stated = _check_population(population or {}, attributes)
    rows = [
        (tensor.model, *row)
        for tensor in count_predictions(images, predictions, classes, attributes).values()
        for attribute in attributes
        for row in _attribute_rows(tensor, attribute, stated.get(attribute), positive, alpha)
    ]
    table = pd.DataFrame(rows, columns=list(SHIFT_COLUMNS))
    numbers = ("observed", "value", "low", "high")
    return table.astype({name: "float64" if name in numbers else "str" for name in SHIFT_COLUMNS})


def _check_population(population: Population, attributes: Sequence[str]) -> dict[str, Mix]:
    """Shares that add up to exactly 1."""
    out = {}
    for name, shares in population.items():
        if name not in attributes:
            raise InputError(
                f"population names attribute '{name}', allowed: {list(attributes)}.{nearest(name, attributes)}"
            )
        for group, share in shares.items():
            if not 0 <= share <= 1:
                raise InputError(f"population gives '{group}' of {name} the share {share}, allowed: 0 to 1")
        total = sum(shares.values())
        if abs(total - 1) > ROUNDING:
            raise InputError(
                f"the shares of {name} in the population add up to {total:g}, allowed: 1",
                fix="give the share of every group; those not named count as 0",
            )
        out[name] = {group: share / total for group, share in shares.items()}
    return out


def _attribute_rows(
    tensor: CountTensor, attribute: str, stated: Mix | None, positive: str | None, alpha: float
) -> Iterator[tuple[Any, ...]]:
    cells = tensor.along(attribute)
    images = rate_units(cells, METRICS["accuracy"])
    scenarios = dict(_scenarios(images, stated))
    for metric, name in _metrics(tensor.classes, positive):
        rates = rate_units(cells, METRICS[metric], name)
        everybody = rate_units(tensor.along(OVERALL), METRICS[metric], name)
        for scenario, mix in scenarios.items():
            key = (attribute, scenario, metric, name, float(everybody.rate[0]))
            yield (*key, *_reweighted(images, rates, mix, alpha))


def _metrics(classes: Sequence[str], positive: str | None) -> list[tuple[str, str | None]]:
    if positive is None:
        return [("accuracy", None), *(("true_positive_rate", name) for name in classes)]
    rates = ("true_positive_rate", "false_positive_rate", "selection_rate")
    return [("accuracy", None), *((metric, positive) for metric in rates)]


def _scenarios(images: GroupRates, stated: Mix | None) -> Iterator[tuple[str, Mix | None]]:
    """Share of each group in each scenario; None where the scenario cannot be."""
    total = int(images.total.sum())
    seen = {name: n / total if total else 0.0 for name, n in zip(images.groups, images.total.tolist(), strict=True)}
    missing = seen.get(MISSING, 0.0)
    named = [name for name in images.groups if name != MISSING]
    if len(named) > 1:
        yield EQUAL, {MISSING: missing} | {name: (1 - missing) / len(named) for name in named}
    if stated is not None:
        yield STATED, stated
    for name in named if len(images.groups) > 1 else ():
        raised = seen[name] + STEP
        left = 1 - seen[name]
        mix = {other: share * (1 - raised) / left for other, share in seen.items()} if left > 0 else {}
        yield f"{name} up by {100 * STEP:.0f} points", mix | {name: raised} if raised <= 1 else None


def _reweighted(
    images: GroupRates, rates: GroupRates, mix: Mix | None, alpha: float
) -> tuple[float, float, float, str]:
    """Value, interval and status of a rate under a mix."""
    nan = float("nan")
    if mix is None:
        return nan, nan, nan, "undefined"
    wanted = [name for name, share in mix.items() if share > 0]
    sizes = dict(zip(images.groups, images.total.tolist(), strict=True))
    if any(not sizes.get(name) for name in wanted):
        return nan, nan, nan, "not_measured"
    part = rates.only(wanted)
    if not part.total.all():
        return nan, nan, nan, "undefined"
    weight: Floats = np.array([mix[name] / sizes[name] for name in wanted]) * part.total
    weight /= weight.sum()
    low, high = Family(weight[None], part.rate, part.score_intervals, part.correlation).bounds(alpha)
    value = float(weight @ part.rate)
    if np.isnan(low[0]):
        return value, nan, nan, "too_few_clusters"
    return value, float(np.clip(low[0], 0, 1)), float(np.clip(high[0], 0, 1)), "ok"
