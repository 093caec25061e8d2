"""DerSimonian and Kacker 2007, Contemporary Clinical Trials 28:105-114.

CLASP trials of aspirin in pregnancy; tables 3 and 4, pages 111-112.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from evidence.synthesis.effects import effect_sizes
from evidence.synthesis.fit import fit
from evidence.synthesis.heterogeneity import generalised_q
from evidence.synthesis.weighting import studies

CLASP = pd.DataFrame(
    {
        "ai": [5, 5, 12, 69, 9, 313],
        "n1i": [156, 303, 565, 1570, 103, 4659],
        "ci": [8, 17, 9, 94, 11, 352],
        "n2i": [74, 303, 477, 1565, 105, 4650],
    }
)


@pytest.mark.parametrize(
    ("method", "tau", "mu", "se"),
    [
        ("PM", 0.3681, -0.3811, 0.2060),
        ("HE", 0.4410, -0.4035, 0.2327),
        ("DL", 0.2323, -0.3240, 0.1540),
        ("EB", 0.3681, -0.3811, 0.2060),
        ("REML", 0.1843, -0.2980, 0.1343),
        ("HS", 0.1330, -0.2666, 0.1125),
        ("SJ", 0.4572, -0.4079, 0.2386),
    ],
)
def test_each_estimator_gives_its_row(method, tau, mu, se):
    effects = effect_sizes(CLASP, measure="OR")

    fitted = fit(effects["yi"], effects["vi"], tau2=method, test="z")

    assert np.sqrt(fitted.tau2) == pytest.approx(tau, abs=5e-5)
    assert (fitted.b[0], fitted.se[0]) == pytest.approx((mu, se), abs=5e-5)


@pytest.mark.parametrize(
    ("start", "tau", "mu", "se"),
    [("HE", 0.3831, -0.3861, 0.2115), ("DL", 0.3254, -0.3655, 0.1901)],
)
def test_the_two_step_estimators_start_from_another_one(start, tau, mu, se):
    effects = effect_sizes(CLASP, measure="OR")
    first = fit(effects["yi"], effects["vi"], tau2=start)
    data = studies(effects["yi"], effects["vi"])

    tau2, _ = generalised_q(data, 1 / (data.v + first.tau2 / data.unit))
    fitted = fit(effects["yi"], effects["vi"], tau2=tau2 * data.unit, test="z")

    assert np.sqrt(fitted.tau2) == pytest.approx(tau, abs=5e-5)
    assert (fitted.b[0], fitted.se[0]) == pytest.approx((mu, se), abs=5e-5)
