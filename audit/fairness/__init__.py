"""Group metrics, gaps and their uncertainty: pure functions from a run's tables to tables.

No model is run and no file is read here; verdicts are drawn in `audit.findings`.
"""

from __future__ import annotations

from audit.fairness.comparisons import Question, compare, exceedance_level
from audit.fairness.contrasts import Comparison
from audit.fairness.counts import CountTensor, GroupCells, count_predictions
from audit.fairness.gaps import GAP_COLUMNS, gap_metrics, gap_table, measure, small_groups
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
from audit.fairness.metrics import METRICS, Metric, find_metric
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
from audit.fairness.rows import EVERYBODY, MISSING, OVERALL, slice_columns

__all__ = [
    "EVERYBODY",
    "GAP_COLUMNS",
    "GROUP_COLUMNS",
    "METRICS",
    "MISSING",
    "OVERALL",
    "REGION_COLUMNS",
    "Comparison",
    "CountTensor",
    "GroupCells",
    "GroupRates",
    "Mean",
    "Metric",
    "Permutations",
    "Question",
    "clopper_pearson",
    "compare",
    "count_predictions",
    "exceedance_level",
    "find_metric",
    "gap_metrics",
    "gap_table",
    "group_table",
    "korn_graubard",
    "mean_gap_p",
    "mean_interval",
    "measure",
    "mover_difference",
    "mover_ratio",
    "newcombe",
    "rate_gap_p",
    "rate_units",
    "region_excess",
    "region_gap_p",
    "region_group_table",
    "region_means",
    "region_rows",
    "slice_columns",
    "small_groups",
    "wilson",
]
