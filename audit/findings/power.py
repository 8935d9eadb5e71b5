"""How many images, or clusters, would settle a rule that the data at hand do not settle."""

from __future__ import annotations

import math

from scipy import special

from audit.findings.measured import Measured

__all__ = ["images_to_settle"]


def images_to_settle(measured: Measured, family: int) -> int | None:
    """Images (clusters) a group that would settle the rule if the value is as observed.

    Parameters
    ----------
    measured : Measured
        An inconclusive rule.
    family : int
        Rules of the model over which claims of failure are corrected.

    Returns
    -------
    int or None
        By normal approximation at the rule's power, groups of equal size, and at the level of one of the
        intervals taken together; never fewer than there are. None where the value equals the tolerance (no
        number would do), where nothing was measured, or where no number of images would make it evidence.
    """
    rule = measured.rule
    if measured.status != "ok" or measured.doubt or math.isnan(measured.unit_variance):
        return None
    value, limit = measured.value, rule.tolerance
    if rule.compare == "ratio":
        if value <= 0 or limit <= 0:
            return None
        value, limit = math.log(value), math.log(limit)
    distance = value - limit
    if abs(distance) < 1e-9:
        return None
    alpha = measured.level(rule.alpha)
    claims_failure = distance > 0 if rule.bad == "above" else distance < 0
    if claims_failure and rule.correction == "holm":
        alpha /= max(family, 1)
    quantiles = float(special.ndtri(1 - alpha / 2) + special.ndtri(rule.power))
    needed = math.ceil(quantiles**2 * measured.unit_variance / distance**2)
    return max(needed, measured.smallest + 1)
