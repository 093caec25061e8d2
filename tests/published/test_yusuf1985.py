"""Yusuf, Peto, Lewis, Collins and Sleight 1985, Progress in Cardiovascular Diseases 27:335-371.

Beta blockers in myocardial infarction: trials of table 6.
"""

from __future__ import annotations

import pytest
from published_tables import published_table

from evidence.synthesis.rare import pool_counts


def test_table_6_pooled_by_observed_minus_expected():
    table = published_table("yusuf1985_t6")

    pooled = pool_counts(table, measure="PETO", direction_better="lower")["pooled"]

    found = [pooled.value, pooled.low, pooled.high]
    assert found == pytest.approx([0.93, 0.74, 1.18], abs=0.005)
