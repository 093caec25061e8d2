"""The three reorganisations of London's Talking Therapies services are recording breaks."""

from __future__ import annotations

from pathlib import Path

import pytest

from evidence import data
from evidence.data.services import DATASET, SERIES, service_events, service_months
from evidence.evaluation.checks import CAUSAL, Question, in_words
from evidence.evaluation.series import controlled_series, interrupted_series

ROOT = Path(__file__).resolve().parents[1]
EVENTS = {
    "2022-12": ["RWK4C", "RQY58"],
    "2024-05": ["TAF90", "M4P2I"],
    "2024-11": ["RRPJ3", "RRPJ4", "TAF87", "TAF88", "G6V2S"],
}
STEADY = ["RAT", "RKE", "RKL07", "RKL14", "RKL42", "RPG", "RQX", "RV3DG", "RV5CG", "RV5CK", "RWK79"]


@pytest.fixture(autouse=True)
def _here(monkeypatch):
    monkeypatch.setenv("EVIDENCE_ROOT", str(ROOT))


def evaluated(event, measure, labelled=True):
    months = service_months(measure, EVENTS[event])
    breaks = [found for found in service_events(EVENTS[event], months) if found["date"] == event]
    months["control"] = service_months(measure, STEADY)["value"]
    question = Question(
        event=event,
        event_label="the reorganisation",
        direction_better="none",
        outcome=SERIES[measure].label,
        breaks=breaks if labelled else (),
    )
    return controlled_series(months, question, contrast="ratio")


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("measure", ["finished_course_treatment", "referrals_received"])
def test_each_reorganisation_is_refused_as_an_effect(event, measure):
    result = evaluated(event, measure)

    assert result.reason.startswith(f"consistent with a recording break ({in_words(event)}: ")
    assert {estimate.design for estimate in result.estimates} == {"descriptive"}
    assert "than without" not in result.text


@pytest.mark.parametrize(
    ("measure", "before", "after", "change"),
    [("finished_course_treatment", 945, 275, -70.9), ("referrals_received", 3530, 3195, -9.5)],
)
def test_the_merger_of_november_2024_in_figures(measure, before, after, change):
    result = evaluated("2024-11", measure)

    assert (result["before"].value, result["after"].value) == (before, after)
    assert result["change"].value == pytest.approx(change, abs=0.05)
    assert (result["before"].period, result["after"].period) == ("2024-10", "2024-11")
    assert f"{before:,} in October 2024, {after:,} in November 2024" in result.text


def test_without_its_label_the_merger_still_earns_no_causal_words():
    """The fall is gone once the first month is left out: the check of shifted dates fails."""
    result = evaluated("2024-11", "finished_course_treatment", labelled=False)

    assert "shifted dates" in result.text
    assert [word for word in CAUSAL if word in result.text.lower()] == []


def test_the_services_of_the_events_are_those_of_the_data():
    events = data.load(DATASET, "service_events").set_index("date")

    for event, codes in EVENTS.items():
        row = events.loc[event]
        assert {*row["old_codes"].split(";"), row["new_code"]} == set(codes)


def test_the_pandemic_lowered_the_number_of_people_in_contact_in_england():
    """1,404,004 in February 2020, 1,294,865 in May; the course before it went up."""
    months = data.load("people_in_contact").set_index("period")["people"]
    table = months["2017-01":"2021-12"].reset_index()
    question = Question(event="2020-04", event_label="the pandemic", direction_better="none")
    result = interrupted_series(table, question, value="people", harmonics=1)

    assert months["2020-02"] == 1_404_004
    assert months["2020-05"] == 1_294_865
    assert result["level"].high < 0
    assert result["trend"].low > 0
