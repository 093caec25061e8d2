"""Stijnen, Hamza and Ozdemir 2010, Statistics in Medicine 29:3046-3067.

Infections by coated and plain catheters: the trials of Niel-Weise 2007 (counts) and 2008 (rates).
"""

from __future__ import annotations

import numpy as np
import pytest
from published_tables import published_table

from evidence.synthesis.count_models import (
    approximate_conditional,
    binomial_normal,
    exact_conditional,
    poisson_normal,
)
from evidence.synthesis.rare import counts


@pytest.fixture
def trials():
    return counts(published_table("nielweise2007"))


@pytest.fixture
def rates():
    """Events and thousands of catheter days."""
    table = published_table("nielweise2008")
    return {name: table[name].to_numpy(float) for name in ("x1i", "x2i")} | {
        name: table[name].to_numpy(float) / 1000 for name in ("t1i", "t2i")
    }


def test_table_ii_page_3050_proportions_of_each_group(trials):
    plain, coated = binomial_normal(trials.c, trials.n2), binomial_normal(trials.a, trials.n1)

    assert [plain.mu, plain.se, plain.tau2] == pytest.approx([-3.50, 0.26, 0.81], abs=0.005)
    assert [coated.mu, coated.se, coated.tau2] == pytest.approx([-4.81, 0.36, 0.83], abs=0.005)


def test_table_iii_page_3052_the_exact_likelihood(trials):
    found = exact_conditional(trials.informative())

    assert [found.mu, found.se] == pytest.approx([-1.353, 0.351], abs=0.0005)
    assert np.sqrt(found.tau2) == pytest.approx(0.83, abs=0.005)


def test_table_iii_page_3052_the_approximate_likelihood(trials):
    found = approximate_conditional(trials.informative())

    assert [found.mu, found.se] == pytest.approx([-1.303, 0.339], abs=0.0005)
    assert np.sqrt(found.tau2) == pytest.approx(0.77, abs=0.01)


def test_table_vii_page_3054_rates_of_each_group(rates):
    plain = poisson_normal(rates["x2i"], rates["t2i"])
    coated = poisson_normal(rates["x1i"], rates["t1i"])

    assert [plain.mu, plain.se, plain.tau2] == pytest.approx([1.401, 0.231, 0.316], abs=0.001)
    assert [coated.mu, coated.se, coated.tau2] == pytest.approx([0.850, 0.330, 0.654], abs=0.001)


def test_table_viii_page_3055_the_ratio_of_rates():
    table = published_table("nielweise2008")

    found = approximate_conditional(counts(table, rates=True).with_events())

    assert [found.mu, found.se] == pytest.approx([-0.476, 0.238], abs=0.0005)
    assert np.sqrt(found.tau2) == pytest.approx(0.35, abs=0.005)
