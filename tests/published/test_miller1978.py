"""Miller 1978, The American Statistician 32:138: the inverse of the double arcsine.

Four proportions, page 138; the paper's transformation is twice ours.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from evidence.synthesis.effects import effect_sizes
from evidence.synthesis.fit import fit
from evidence.synthesis.measures import back_transform

TABLE = pd.DataFrame({"xi": [3, 6, 10, 1], "ni": [11, 17, 21, 6]})


def test_page_138_transformed_proportions_and_their_weighted_mean():
    effects = effect_sizes(TABLE, measure="PFT")
    fitted = fit(effects["yi"], effects["vi"], model="common", test="z")
    harmonic = 4 / np.sum(1 / TABLE["ni"])

    assert (2 * effects["yi"]).tolist() == pytest.approx([1.1391, 1.2888, 1.5253, 0.9515], abs=5e-5)
    assert 2 * effects["yi"].mean() == pytest.approx(1.2262, abs=5e-5)
    assert back_transform(effects["yi"].mean(), "PFT", harmonic) == pytest.approx(0.3164, abs=5e-5)
    assert 2 * fitted.b[0] == pytest.approx(1.3093, abs=5e-5)
    assert back_transform(fitted.b[0], "PFT", harmonic) == pytest.approx(0.3595, abs=5e-5)
