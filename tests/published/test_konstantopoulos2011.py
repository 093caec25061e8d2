"""Konstantopoulos 2011, Research Synthesis Methods 2:61-76.

Modified school calendars; table 4 on page 70 (two levels), table 5 on page 71 (three levels).
"""

from __future__ import annotations

import numpy as np
import pytest
from published_tables import published_table

from evidence.synthesis.dependent import fit_levels, levels
from evidence.synthesis.fit import fit


def test_table_4_two_levels():
    table = published_table("konstantopoulos2011")

    fitted = fit(table["yi"], table["vi"], test="z")

    found = [fitted.b[0], fitted.se[0], fitted.tau2, fitted.tau2_se]
    assert found == pytest.approx([0.1279, 0.0439, 0.0884, 0.0202], abs=5e-5)


def test_table_5_three_levels_by_maximum_likelihood():
    table = published_table("konstantopoulos2011")
    data = levels(table["yi"], table["vi"], table["district"], table["study"])

    fitted = fit_levels(data, restricted=False)

    found = [fitted.b[0], np.sqrt(fitted.vcov[0, 0]), *fitted.variances]
    assert found == pytest.approx([0.1845, 0.0805, 0.0577, 0.0329], abs=5e-5)


def test_table_5_with_year():
    table = published_table("konstantopoulos2011")
    x = np.column_stack([np.ones(len(table)), table["year"] - table["year"].mean()])
    data = levels(table["yi"], table["vi"], table["district"], table["study"], x=x)

    fitted = fit_levels(data, restricted=False)

    # the intercept is printed as 0.183, a misprint by the other figures of the table
    assert fitted.b.tolist() == pytest.approx([0.1780, 0.0051], abs=5e-5)
    assert fitted.variances.tolist() == pytest.approx([0.0565, 0.0329], abs=5e-5)
