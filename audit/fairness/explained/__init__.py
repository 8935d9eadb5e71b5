"""Measures of maps by group: means with intervals, gaps matched and unmatched, permutation tests."""

from audit.fairness.explained.tables import (
    QUALITY_GAP_COLUMNS,
    QUALITY_GROUP_COLUMNS,
    quality_gap_table,
    quality_group_table,
)

__all__ = ["QUALITY_GAP_COLUMNS", "QUALITY_GROUP_COLUMNS", "quality_gap_table", "quality_group_table"]
