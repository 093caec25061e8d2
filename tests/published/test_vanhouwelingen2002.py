"""van Houwelingen, Arends and Stijnen 2002, Statistics in Medicine 21:589-624.

BCG vaccine, log odds ratios by maximum likelihood; pages 596-599 and 608-609 (in the text).
"""

from __future__ import annotations

import numpy as np
import pytest
from published_tables import published_table

from evidence.synthesis.effects import effect_sizes
from evidence.synthesis.fit import fit, quantile
from evidence.synthesis.regression import explained


@pytest.fixture
def effects():
    return effect_sizes(published_table("bcg_or"), measure="OR")


def test_page_596_common_effect(effects):
    fitted = fit(effects["yi"], effects["vi"], model="common", test="z")

    found = np.exp([fitted.b[0], fitted.low[0]])
    assert found == pytest.approx([0.647, 0.595], abs=5e-4)
    # the paper prints 0.703 for the upper limit
    assert np.exp(fitted.high[0]) == pytest.approx(0.7025, abs=1e-3)


def test_page_597_random_effects(effects):
    fitted = fit(effects["yi"], effects["vi"], tau2="ML", test="z")

    found = np.exp([fitted.b[0], fitted.low[0], fitted.high[0]])
    assert found == pytest.approx([0.476, 0.336, 0.675], abs=5e-4)
    assert fitted.tau2 == pytest.approx(0.302, abs=5e-4)


def test_page_599_interval_of_true_effects(effects):
    fitted = fit(effects["yi"], effects["vi"], tau2="ML", test="z")

    half = quantile(0.975, None) * np.sqrt(fitted.tau2)
    found = [fitted.b[0] - half, fitted.b[0] + half]
    assert found == pytest.approx([-1.820, 0.336], abs=6e-4)


def test_pages_608_609_latitude(effects):
    x = np.column_stack([np.ones(len(effects)), effects["ablat"]])
    fitted = fit(effects["yi"], effects["vi"], x, tau2="ML", test="z")
    null = fit(effects["yi"], effects["vi"], tau2="ML", test="z")

    assert fitted.b.tolist() == pytest.approx([0.371, -0.033], abs=5e-4)
    assert fitted.se.tolist() == pytest.approx([0.106, 0.003], abs=5e-4)
    assert fitted.tau2 == pytest.approx(0.004, abs=5e-4)
    assert explained(fitted, null) == pytest.approx(98.7, abs=0.1)
