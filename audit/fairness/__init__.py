"""Group metrics, gaps and their uncertainty: pure functions from a run's tables to tables.

No model is run and no file is read here; verdicts are drawn in `audit.findings`.
"""

from __future__ import annotations

from audit.fairness.agreement import AGREEMENT_COLUMNS, agreement_group_table
from audit.fairness.comparisons import Question, compare, exceedance_level
from audit.fairness.contrasts import Comparison
from audit.fairness.counts import CountTensor, GroupCells, count_predictions
from audit.fairness.coverage import COVERAGE_COLUMNS, coverage_table
from audit.fairness.curves import CURVE_COLUMNS, curve_table
from audit.fairness.explained import (
    QUALITY_GAP_COLUMNS,
    QUALITY_GROUP_COLUMNS,
    quality_gap_table,
    quality_group_table,
)
from audit.fairness.gaps import COMPARABLE, GAP_COLUMNS, gap_metrics, gap_table, measure, small_groups
from audit.fairness.groups import GROUP_COLUMNS, group_table
from audit.fairness.intervals import (
    Mean,
    clopper_pearson,
    korn_graubard,
    mean_interval,
    mover_difference,
    mover_ratio,
    newcombe,
    wilson,
)
from audit.fairness.interventions import (
    INTERVENTION_GROUP_COLUMNS,
    INTERVENTION_METHOD,
    intervention_gap_table,
    intervention_group_table,
)
from audit.fairness.lattice import lattice_table
from audit.fairness.leakage import leakage_table
from audit.fairness.mean_maps import MEAN_MAP_COLUMNS, mean_map_table
from audit.fairness.membership import membership_table
from audit.fairness.metrics import METRICS, Metric, find_metric
from audit.fairness.paired import PAIRED_COLUMNS, paired_table
from audit.fairness.paired_counts import newcombe_paired, sign_flip_p
from audit.fairness.pairing import common_images
from audit.fairness.permutation import Permutations, mean_gap_p, rate_gap_p
from audit.fairness.rates import GroupRates, rate_units
from audit.fairness.regions import (
    REGION_COLUMNS,
    region_excess,
    region_gap_p,
    region_group_table,
    region_means,
    region_rows,
)
from audit.fairness.robustness import robustness_tables
from audit.fairness.rows import EVERYBODY, MISSING, OVERALL, slice_columns
from audit.fairness.shift import shift_table
from audit.fairness.slices import slice_tables
from audit.fairness.smooth import SmoothEstimates, smooth_units

__all__ = [
    "AGREEMENT_COLUMNS",
    "COMPARABLE",
    "COVERAGE_COLUMNS",
    "CURVE_COLUMNS",
    "EVERYBODY",
    "GAP_COLUMNS",
    "GROUP_COLUMNS",
    "INTERVENTION_GROUP_COLUMNS",
    "INTERVENTION_METHOD",
    "MEAN_MAP_COLUMNS",
    "METRICS",
    "MISSING",
    "OVERALL",
    "PAIRED_COLUMNS",
    "QUALITY_GAP_COLUMNS",
    "QUALITY_GROUP_COLUMNS",
    "REGION_COLUMNS",
    "Comparison",
    "CountTensor",
    "GroupCells",
    "GroupRates",
    "Mean",
    "Metric",
    "Permutations",
    "Question",
    "SmoothEstimates",
    "agreement_group_table",
    "clopper_pearson",
    "common_images",
    "compare",
    "count_predictions",
    "coverage_table",
    "curve_table",
    "exceedance_level",
    "find_metric",
    "gap_metrics",
    "gap_table",
    "group_table",
    "intervention_gap_table",
    "intervention_group_table",
    "korn_graubard",
    "lattice_table",
    "leakage_table",
    "mean_gap_p",
    "mean_interval",
    "mean_map_table",
    "measure",
    "membership_table",
    "mover_difference",
    "mover_ratio",
    "newcombe",
    "newcombe_paired",
    "paired_table",
    "quality_gap_table",
    "quality_group_table",
    "rate_gap_p",
    "rate_units",
    "region_excess",
    "region_gap_p",
    "region_group_table",
    "region_means",
    "region_rows",
    "robustness_tables",
    "shift_table",
    "sign_flip_p",
    "slice_columns",
    "slice_tables",
    "small_groups",
    "smooth_units",
    "wilson",
]
