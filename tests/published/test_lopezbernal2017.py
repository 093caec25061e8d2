"""Lopez Bernal, Cummins and Gasparrini 2017, Int J Epidemiol 46:348-355: the Sicilian smoking ban.

The tutorial's models of monthly acute coronary events, 2002 to 2006, ban from January 2005, with
the log of age-standardised person-years as offset. The variance model is named beside each figure.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from evidence import data
from evidence.evaluation.checks import Question
from evidence.evaluation.series import interrupted_series

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _here(monkeypatch):
    monkeypatch.setenv("EVIDENCE_ROOT", str(ROOT))


def level(**choices):
    months = data.load("smoke_free_sicily")
    month = months["month"].astype(str).str.zfill(2)
    table = months.assign(period=months["year"].astype(str) + "-" + month)
    question = Question(event="2005-01", direction_better="lower", event_label="the smoking ban")
    found = interrupted_series(
        table,
        question,
        value="aces",
        exposure="stdpop",
        family="poisson",
        change="level",
        **choices,
    )
    return found, [found["level"].value, found["level"].low, found["level"].high]


def test_the_step_model_with_poisson_variance():
    """RR 0.894 (0.865 to 0.925): variance equal to the mean."""
    assert level(errors="poisson")[1] == pytest.approx([0.894, 0.865, 0.925], abs=5e-4)


def test_the_step_model_with_pearson_scaled_variance():
    """The same rate ratio; dispersion 3.559, interval 0.8392 to 0.9532."""
    found, figures = level()

    assert found["dispersion"].value == pytest.approx(3.559, abs=5e-4)
    assert figures == pytest.approx([0.8944, 0.8392, 0.9532], abs=5e-5)


def test_the_seasonal_model_with_pearson_scaled_variance():
    """RR 0.885 (0.839 to 0.933): two pairs of harmonics, quasi-Poisson, dispersion 2.262."""
    found, figures = level(harmonics=2)

    assert found["dispersion"].value == pytest.approx(2.262, abs=5e-4)
    assert figures == pytest.approx([0.885, 0.839, 0.933], abs=5e-4)
    plain = found.text.replace("\N{NO-BREAK SPACE}", " ")
    assert "lower by 11.5 % (95 % interval −16.1 to −6.68 %) than without the smoking ban" in plain


def test_the_seasonal_model_with_poisson_variance():
    """The same rate ratio with variance equal to the mean: 0.8544 to 0.9168."""
    figures = level(harmonics=2, errors="poisson")[1]

    assert figures == pytest.approx([0.8851, 0.8544, 0.9168], abs=5e-5)
