"""Berkey, Hoaglin, Antczak-Bouckoms, Mosteller and Colditz 1998, Statistics in Medicine 17:2537-50.

Surgical against non-surgical treatment of periodontal disease, five trials, attachment level (AL)
and probing depth (PD); table II on page 2545 (random effects by maximum likelihood, with year).
"""

from __future__ import annotations

import numpy as np
import pytest

from evidence.synthesis.multivariate import fit_outcomes, outcomes

EFFECTS = [[-0.32, 0.47], [-0.60, 0.20], [-0.12, 0.40], [-0.31, 0.26], [-0.39, 0.56]]
SAMPLING = [
    [[0.0077, 0.0030], [0.0030, 0.0075]],
    [[0.0008, 0.0009], [0.0009, 0.0057]],
    [[0.0014, 0.0007], [0.0007, 0.0021]],
    [[0.0015, 0.0009], [0.0009, 0.0029]],
    [[0.0304, 0.0072], [0.0072, 0.0148]],
]
YEAR = np.array([1983, 1982, 1979, 1987, 1988]) - 1983


def test_table_ii_random_effects_with_year():
    x = np.array([np.hstack([np.eye(2), year * np.eye(2)]) for year in YEAR])

    fitted = fit_outcomes(outcomes(EFFECTS, SAMPLING, x), restricted=False)

    assert fitted.joint.b == pytest.approx([-0.3351, 0.3479, -0.0108, 0.0010], abs=5e-5)
    se = np.sqrt(np.diag(fitted.joint.vcov))
    assert se == pytest.approx([0.0787, 0.0520, 0.0243, 0.0154], abs=5e-5)
    assert fitted.tau2 == pytest.approx([0.0250, 0.0080], abs=5e-5)
    assert fitted.joint.between[0, 1] == pytest.approx(0.0093, abs=5e-5)
