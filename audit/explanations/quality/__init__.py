"""Whether a map is evidence: measures of its quality, one value an image, as functions over maps and the seam.

Every measure comes as a `Measure`: float64 values with NaN exactly where undefined, and beside each the reason, empty
where the value is defined; its `status` is ``ok`` or ``undefined``. Maps go in by name as ``(N, h, w)`` arrays, raw,
those of methods and those of references alike. What is good enough is judged elsewhere.
"""

from audit.explanations.quality.complexity import effective_area, gini
from audit.explanations.quality.curves import Curve
from audit.explanations.quality.explained import Explained
from audit.explanations.quality.faithfulness import Stepping, deletion_and_insertion, faithfulness_cost
from audit.explanations.quality.fills import FILLS, filled
from audit.explanations.quality.likeness import RankedMaps, mass_distance, ranked, same_size, spearman, top_overlap
from audit.explanations.quality.location import pointing_game
from audit.explanations.quality.measured import Measure
from audit.explanations.quality.randomisation import Cascade, Randomisation, cascading_randomisation
from audit.explanations.quality.references import REFERENCES, random_maps, reference_maps
from audit.explanations.quality.road import Removal, road_cost, road_curves
from audit.explanations.quality.sensitivity import Jitter, Sensitivity, map_sensitivity

__all__ = [
    "FILLS",
    "REFERENCES",
    "Cascade",
    "Curve",
    "Explained",
    "Jitter",
    "Measure",
    "Randomisation",
    "RankedMaps",
    "Removal",
    "Sensitivity",
    "Stepping",
    "cascading_randomisation",
    "deletion_and_insertion",
    "effective_area",
    "faithfulness_cost",
    "filled",
    "gini",
    "map_sensitivity",
    "mass_distance",
    "pointing_game",
    "random_maps",
    "ranked",
    "reference_maps",
    "road_cost",
    "road_curves",
    "same_size",
    "spearman",
    "top_overlap",
]
