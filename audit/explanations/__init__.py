"""Explanations over the adapter seam: methods, shares of regions, cross-checks by other packages.

captum and tf-explain are imported only by their providers, when a method of theirs or a cross-check needs them.
"""

from audit.explanations.explainer import Batch, Explainer
from audit.explanations.maps import Maps, resize_map
from audit.explanations.regions import RegionShare, region_mass, total_attribution
from audit.explanations.registry import build, explainers, register

__all__ = [
    "Batch",
    "Explainer",
    "Maps",
    "RegionShare",
    "build",
    "explainers",
    "region_mass",
    "register",
    "resize_map",
    "total_attribution",
]
