"""Abadie, Diamond and Hainmueller 2010, JASA 105:493-505: California's Proposition 99.

Table 2 of the paper gives Utah .334, Nevada .234, Montana .199, Colorado .164 and Connecticut .069,
with further predictors of smoking beside the sales. The workbook fits the 19 sales before 1989
alone; these are the exact weights of that problem, and the same five states carry most of them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from evidence import data
from evidence.evaluation.checks import Question, listed
from evidence.evaluation.differences import difference_in_differences
from evidence.evaluation.synthetic import synthetic_control

ROOT = Path(__file__).resolve().parents[2]
QUESTION = Question(event="1989", direction_better="lower", event_label="Proposition 99")


@pytest.fixture(autouse=True)
def _here(monkeypatch):
    monkeypatch.setenv("EVIDENCE_ROOT", str(ROOT))


@pytest.fixture(name="result", scope="module")
def _result():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVIDENCE_ROOT", str(ROOT))
        sales = data.load("california_prop99")
    return synthetic_control(
        sales, QUESTION, treated="California", cluster="state", period="year", value="packs"
    )


def test_the_weights_of_the_states(result):
    weights = {key: value for key, value in result.settings["weights"].items() if value > 0.001}

    assert weights == pytest.approx(
        {
            "Utah": 0.394,
            "Montana": 0.232,
            "Nevada": 0.205,
            "Connecticut": 0.109,
            "New Hampshire": 0.045,
            "Colorado": 0.015,
        },
        abs=5e-4,
    )


def test_the_gaps_before_and_after(result):
    assert result["rmspe_before"].value == pytest.approx(1.656, abs=5e-4)
    assert result["effect"].value == pytest.approx(-19.51, abs=5e-3)
    assert result["last"].value == pytest.approx(-26.60, abs=5e-3)


def test_three_of_39_states_have_a_ratio_of_errors_as_large(result):
    """So p is 3/39 without further predictors, where the paper, with them, has 1/39."""
    rows = listed(result).table.set_index("check")

    assert result["placebo_p"].value == pytest.approx(3 / 39)
    assert rows.loc["placebo units", "outcome"] == "not shown"
    assert "no effect is shown, nor ruled out" in result.text


def test_the_plain_difference_of_changes():
    """-27.35 packs: two by two, California against all other states."""
    sales = data.load("california_prop99").assign(here=lambda t: t["state"] == "California")
    result = difference_in_differences(
        sales,
        QUESTION,
        treated="here",
        cluster="state",
        period="year",
        value="packs",
        method="two by two",
        draws=19,
    )

    assert result["effect"].value == pytest.approx(-27.35, abs=5e-3)
    assert result["effect"].low is None
    assert "number of clusters" in result.text
