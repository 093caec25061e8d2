"""The fixed words that definition files, results and pages share; it imports nothing."""

DESIGNS = (
    "rct",
    "cluster_rct",
    "did",
    "its",
    "controlled_before_after",
    "before_after",
    "descriptive",
)
"""Design tiers, strongest first; results of different tiers are never pooled silently."""

CAUTION_KINDS = (
    "synthetic",
    "suspected_error",
    "series_break",
    "designs_differ",
    "uncontrolled_design",
    "dependence",
    "ecological",
    "reconciliation",
    "few_studies",
    "few_units",
    "small_counts",
    "not_converged",
    "boundary",
    "interval_narrow",
    "prediction_interval",
    "overdispersion",
    "short_series",
    "missing_periods",
    "denominator_period",
    "suppression",
    "rounding",
    "old_data",
    "multiple_testing",
    "other",
)
"""Kinds of statistical doubt, weightiest first: the order in which a reader meets them."""

LONGEST_FINDING = 40
"""Words that the finding of a page may have."""

DIRECTIONS = ("higher", "lower", "none")
"""Which way of a measure is better; "none" where neither is."""
