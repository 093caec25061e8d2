"""Hand and others 1993, A Handbook of Small Data Sets, data set 285: treatment of anorexia.

Weights in pounds of 72 young women before and after cognitive behavioural therapy, family therapy
or none, as analysed in Venables and Ripley 2002, Modern Applied Statistics with S. The arms of
cognitive behavioural therapy and control are in the reference file of the two of them.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evidence.evaluation.checks import Question
from evidence.evaluation.differences import difference_in_differences
from evidence.evaluation.models import fit_linear

FILE = Path(__file__).parents[1] / "reference" / "variation" / "did_anorexia_cbt.json"
FAMILY = [
    (83.8, 95.2),
    (83.3, 94.3),
    (86.0, 91.5),
    (82.5, 91.9),
    (86.7, 100.3),
    (79.6, 76.7),
    (76.9, 76.8),
    (94.2, 101.6),
    (73.4, 94.9),
    (80.5, 75.2),
    (81.6, 77.8),
    (82.1, 95.5),
    (77.6, 90.7),
    (83.5, 92.5),
    (89.9, 93.8),
    (86.0, 91.7),
    (87.3, 98.0),
]
"""Weight before and after of the 17 patients given family therapy."""


@pytest.fixture(scope="module")
def long():
    """Two rows for each of the 55 patients of therapy or control: before and after."""
    return pd.DataFrame(json.loads(FILE.read_text(encoding="utf-8"))["input"])


@pytest.fixture(scope="module")
def patients(long):
    """One row for each of all 72 patients."""
    wide = long.pivot(index=["cluster", "treated"], columns="after", values="y").reset_index()
    two = pd.DataFrame(
        {
            "before": wide[0],
            "after": wide[1],
            "arm": np.where(wide["treated"] == 1, "behavioural", "control"),
        }
    )
    family = pd.DataFrame(FAMILY, columns=["before", "after"]).assign(arm="family")
    return pd.concat([two, family], ignore_index=True)


def fitted(patients, outcome, columns):
    design = np.column_stack(list(columns.values())).astype(float)
    fit = fit_linear(outcome, design, list(columns), np.arange(len(patients)), errors="ols")
    return dict(zip(columns, fit.coef, strict=True)), dict(
        zip(columns, np.sqrt(np.diag(fit.vcov)), strict=True)
    )


def test_the_arms_have_the_sizes_and_mean_changes_of_the_handbook(patients):
    change = (patients["after"] - patients["before"]).groupby(patients["arm"])
    assert change.size().to_dict() == {"behavioural": 29, "control": 26, "family": 17}
    assert change.mean().round(2).to_dict() == {
        "behavioural": 3.01,
        "control": -0.45,
        "family": 7.26,
    }


def test_changes_of_weight_by_arm(patients):
    """Control −0.450 (standard error 1.476); behavioural +3.457 (2.033); family +7.715 (2.348)."""
    arms = {arm: patients["arm"] == arm for arm in ("behavioural", "family")}
    coef, error = fitted(
        patients,
        (patients["after"] - patients["before"]).to_numpy(),
        {"control": np.ones(len(patients)), **arms},
    )
    assert list(coef.values()) == pytest.approx([-0.450, 3.457, 7.715], abs=5e-4)
    assert list(error.values()) == pytest.approx([1.476, 2.033, 2.348], abs=5e-4)


def test_analysis_of_covariance_of_the_trial_arms(patients):
    """Weight before 0.4345; behavioural 49.7711, control 45.6740, family 54.3342."""
    arms = {arm: patients["arm"] == arm for arm in ("behavioural", "control", "family")}
    coef, _ = fitted(patients, patients["after"].to_numpy(), {"before": patients["before"], **arms})
    assert list(coef.values()) == pytest.approx([0.4345, 49.7711, 45.6740, 54.3342], abs=5e-5)
    assert coef["behavioural"] - coef["control"] == pytest.approx(4.0971, abs=1e-4)


def test_the_difference_in_differences_is_that_of_the_mean_changes(long):
    """3.457 pounds, the difference of the mean changes; its interval includes none."""
    table = long.rename(columns={"cluster": "area_code", "after": "period", "y": "value"})
    question = Question(event="1", direction_better="higher", outcome="Weight", unit="pounds")
    found = difference_in_differences(
        table.assign(treated=table["treated"] == 1), question, treated="treated"
    )
    assert found["effect"].value == pytest.approx(3.457, abs=5e-4)
    assert found["effect"].low < 0 < found["effect"].high
