"""Raudenbush and Bryk 1985, Journal of Educational Statistics 10:75-98.

Teacher expectancy; pages 83-92 (in the text) and figure 2.
"""

from __future__ import annotations

import numpy as np
import pytest
from published_tables import published_table

from evidence.synthesis.fit import fit
from evidence.synthesis.sensitivity import best_predictions


def test_pages_83_to_86_random_effects():
    table = published_table("raudenbush1985")

    fitted = fit(table["yi"], table["vi"], test="z")

    assert fitted.tau2 == pytest.approx(0.0188, abs=1e-4)
    assert fitted.b[0] == pytest.approx(0.0837, abs=1e-4)
    assert fitted.statistic[0] == pytest.approx(1.62, abs=0.005)
    # the paper prints 35.85
    assert fitted.q == pytest.approx(35.83, abs=0.01)


def test_figure_2_shrunken_effects():
    table = published_table("raudenbush1985").assign(study=range(19))

    values = best_predictions(table).table["value"]

    stated = [0.0543, 0.1006, -0.0064, 0.2144, 0.1051, -0.0082, 0.0174, -0.0293, 0.1604, 0.2485]
    assert values.head(10).tolist() == pytest.approx(stated, abs=1e-4)


def test_pages_90_and_92_weeks_of_contact():
    table = published_table("raudenbush1985")
    x = np.column_stack([np.ones(19), np.minimum(table["weeks"], 3)])

    fitted = fit(table["yi"], table["vi"], x, test="z")

    assert fitted.tau2 == pytest.approx(0.0, abs=1e-4)
    assert fitted.b.tolist() == pytest.approx([0.407, -0.157], abs=5e-4)
    # the paper prints 16.58
    assert fitted.q == pytest.approx(16.57, abs=0.01)
