"""What group labels that are wrong at random do to a gap, and how many of them a finding bears."""

from __future__ import annotations

from audit.fairness import GroupRates
from audit.findings.measured import Measured, question_of

__all__ = ["attenuation", "random_share"]


def attenuation(rate: float, share: float) -> float:
    """By what a difference between two groups is multiplied when labels are switched at random.

    Parameters
    ----------
    rate : float
        Chance that a label is switched, the same in both groups and whatever the model did; 0 to 0.5.
    share : float
        True share of the first group.

    Returns
    -------
    float
        ``PPV + NPV - 1``: the chances that a label of the first and of the second group is right, less one.
        It is ``1 - 2 rate`` where the groups are of equal size, and less otherwise.
    """
    first = (1 - rate) * share / ((1 - rate) * share + rate * (1 - share))
    second = (1 - rate) * (1 - share) / ((1 - rate) * (1 - share) + rate * share)
    return first + second - 1


def random_share(item: Measured, rates: GroupRates, *, failed: bool) -> float | None:
    """Rate of labels wrong at random at which the verdict would fall.

    Parameters
    ----------
    item : Measured
        The finding.
    rates : GroupRates
        Of all groups.
    failed : bool
        Whether it failed; else it passed.

    Returns
    -------
    float or None
        For a failure: the labels are taken to be right, and the rate r is that at which switching them at
        random would hide it. The gap shrinks to ``a(r) * value`` (`attenuation`) while the distance from
        value to lower bound stays, so r solves ``a(r) * value - (value - low) = tolerance``. For a pass: the
        labels are taken to have been switched at the rate r, so that the true gap is the observed one over
        ``a(r)``; r solves ``high / a(r) = tolerance``. Null where more or fewer than two groups are compared,
        for ratios and floors, and where the value is not above 0.

    Notes
    -----
    It supposes that whether a label is wrong does not depend on what the model did with the image. Labels
    that are wrong more often where the model errs can make a gap: that is what the worst case is for.
    """
    from scipy import optimize

    rule, left_out = item.rule, {name for name, _ in item.excluded}
    sizes = [int(n) for name, n in zip(rates.groups, rates.total, strict=True) if name not in left_out and n > 0]
    if question_of(rule).kind not in ("range", "reference") or len(sizes) != 2 or rule.judge == "point":
        return None
    observed = sizes[0] / sum(sizes)
    if failed:
        left = (rule.tolerance + item.value - item.low) / item.value if item.value > 0 else 1.0
        return float(optimize.brentq(lambda r: attenuation(r, observed) - left, 0.0, 0.5)) if left < 1 else None
    if item.high <= 0 or rule.tolerance <= 0 or item.high > rule.tolerance:
        return None
    most = min(observed, 1 - observed) - 1e-9

    def excess(rate: float) -> float:
        true = (observed - rate) / (1 - 2 * rate) if rate < 0.5 else 0.5
        return attenuation(rate, true) - item.high / rule.tolerance

    return float(optimize.brentq(excess, 0.0, most)) if excess(most) < 0 else None
