"""Normand 1999, Statistics in Medicine 18:321-359.

Length of stay after stroke; tables VIII and IX, pages 351-352.
"""

from __future__ import annotations

import pytest
from published_tables import published_table

from evidence.synthesis.effects import effect_sizes
from evidence.synthesis.fit import fit


@pytest.fixture
def effects():
    return effect_sizes(published_table("normand1999_md"), measure="MD", variance="HO")


def test_table_viii_differences_with_pooled_variances(effects):
    assert effects["yi"].tolist() == [-20, -2, -55, -71, -4, 1, 11, -10, 7]
    assert effects["vi"].round(2).tolist() == [
        40.59, 2.05, 15.28, 150.22, 20.19, 1.22, 95.38, 8.03, 20.69,
    ]  # fmt: skip


def test_table_ix_common_effect(effects):
    fitted = fit(effects["yi"], effects["vi"], model="common", test="z")

    found = [fitted.b[0], fitted.low[0], fitted.high[0]]
    assert found == pytest.approx([-3.49, -5.03, -1.96], abs=0.005)


@pytest.mark.parametrize(
    ("method", "values"),
    [("DL", [-14.10, -24.45, -3.75, 218.72]), ("REML", [-15.12, -32.67, 2.43, 685.20])],
)
def test_table_ix_random_effects(effects, method, values):
    fitted = fit(effects["yi"], effects["vi"], tau2=method, test="z")

    found = [fitted.b[0], fitted.low[0], fitted.high[0], fitted.tau2]
    assert found == pytest.approx(values, abs=0.006)
