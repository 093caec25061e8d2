"""Monthly series of services, and whether areas add up to their total."""

import pytest

from evidence.data.reconciliation import reconciliation
from evidence.data.services import SERIES, service_codes, service_events, service_months
from evidence.errors import DataError


def test_a_share_is_recovery_over_courses_at_caseness_of_the_services_that_report_all_parts():
    months = service_months("recovery", ["ENGLAND"]).set_index("period")

    month = months.loc["2021-01"]

    assert month.value == pytest.approx(100 * month.numerator / month.denominator)
    assert months.status.eq("ok").all()


def test_a_count_with_a_missing_service_is_not_given():
    months = service_months("referrals_received", service_codes()).set_index("period")

    missing = months[months.status == "missing"]

    assert list(missing.index) == [
        "2021-07",
        "2023-11",
        "2024-04",
        "2024-05",
        "2024-09",
        "2025-06",
    ]
    assert missing.loc["2025-06", "missing"].split() == [
        "M4P2I",
        "RQY12",
        "RQY58",
        "RQYMI",
        "RQYPR",
    ]
    assert missing.value.isna().all()


def test_the_place_of_an_ended_code_is_missing_until_its_successor_reports():
    months = service_months("referrals_received", ["TAF90", "M4P2I"]).set_index("period")

    assert months.loc["2024-04", "missing"] == "TAF90"
    assert months.loc[["2024-03", "2024-05"], "value"].to_list() == [275, 690]


def test_the_four_services_that_merged_keep_their_referrals_and_lose_their_finished_courses():
    four = ["RRPJ3", "RRPJ4", "TAF87", "TAF88", "G6V2S"]

    referrals = service_months("referrals_received", four).set_index("period").value
    finished = service_months("finished_course_treatment", four).set_index("period").value

    assert referrals[["2024-10", "2024-11"]].to_list() == [3530, 3195]
    assert finished[["2024-10", "2024-11"]].to_list() == [945, 275]


def test_events_are_those_of_the_services_inside_the_series():
    series = service_months("recovery", ["TAF90", "M4P2I"])

    assert service_events(["TAF90", "M4P2I"], series) == [
        {"date": "2024-05", "label": "Kingston: new code"}
    ]
    assert service_events(["RQX"], series) == []


def test_services_are_found_by_borough_only_where_the_borough_could_be_placed():
    assert service_codes(["E09000007"]) == ["G6V2S", "TAF88"]
    assert service_codes(["E09000015"]) == []
    assert len(service_codes()) == 33
    with pytest.raises(DataError, match="E09000015 has none"):
        service_codes(["E09000007", "E09000015"], in_each=True)


def test_a_series_says_what_it_counts():
    months = service_months("referrals_received", ["TAF90", "M4P2I"])

    said = SERIES["referrals_received"].described(["TAF90", "M4P2I"], months)

    assert said["Counted"] == "referrals received in the month"
    assert said["Out of"] == "nothing: a count"
    assert "2024-04" in said["Months without a figure"]


def test_no_series_says_what_it_counts_with_the_name_of_a_measure():
    months = service_months("recovery", ["RQX"])

    said = SERIES["recovery"].described(["RQX"], months)

    assert said["Out of"].startswith("courses finished in the month less those that were not at")
    for series in SERIES.values():
        words = series.described(["RQX"], months)
        assert not set(series.measures) & set(words.values())


def test_the_reorganisation_of_most_codes_comes_first():
    series = service_months("recovery", service_codes())

    labels = [event["label"] for event in service_events(service_codes(), series)]

    assert labels == [
        "Barnet, Enfield, Islington, Camden: one code",
        "Richmond: new code",
        "Kingston: new code",
    ]


@pytest.mark.parametrize(
    ("measure", "services", "message"),
    [
        ("recovry", ["RQX"], "one of recovery, .* got 'recovry'"),
        ("recovery", ["XXX"], "got XXX"),
        ("recovery", [], "got none"),
    ],
)
def test_an_unknown_series_or_service_is_refused(measure, services, message):
    with pytest.raises(DataError, match=message):
        service_months(measure, services)


def test_areas_add_up_to_the_london_row_within_rounding_but_not_in_2017_18():
    sums = reconciliation().set_index(["period", "measure"])

    finished = sums.loc[("2019-20", "finished_course_treatment")]

    assert (finished.sum_of_areas, finished.london) == (98185, 98195)
    assert (finished.difference, finished.bound) == (-10, 82.5)
    assert finished.counted == "courses finished"
    assert sums.counted.notna().all()
    assert sums.loc[("2017-18", "finished_course_treatment"), "difference"] == -130
    assert sums[~sums.within].index.get_level_values("period").unique().tolist() == ["2017-18"]
