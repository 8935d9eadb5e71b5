"""Explanations over the adapter seam: methods, shares of regions, cross-checks by other packages.

captum and tf-explain are imported only by their providers, when a cross-check needs them.
"""

from audit.explanations.methods import METHODS, resize_map
from audit.explanations.regions import RegionShare, region_mass, total_attribution

__all__ = ["METHODS", "RegionShare", "region_mass", "resize_map", "total_attribution"]
