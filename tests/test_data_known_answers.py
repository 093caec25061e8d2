"""Figures that the tables of the first edition must give, computed from the committed files."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.optimize import minimize

from evidence import data

ROOT = Path(__file__).resolve().parents[1]
YEARS = ["2017-18", "2018-19", "2019-20"]
PARTS = ["finished_course_treatment", "not_at_caseness", "recovery"]


@pytest.fixture(autouse=True)
def _here(monkeypatch):
    monkeypatch.setenv("EVIDENCE_ROOT", str(ROOT))


@cache
def wide() -> pd.DataFrame:
    """Talking Therapies counts, one row for an area and year."""
    long = data.load("talking_therapies", "areas")
    index = ["area_type", "area_code", "period"]
    table = long.pivot_table(index=index, columns="measure", values="value", aggfunc="sum")
    return table.astype("float64").reset_index()


def recovery_rate(counts: pd.DataFrame | pd.Series):
    return 100 * counts.recovery / (counts.finished_course_treatment - counts.not_at_caseness)


def rates(id: str, period: str) -> pd.Series:
    multiplier = data.definition(id).multiplier
    table = data.indicator(id, period).set_index("area")
    return multiplier * table.numerator / table.denominator


def pooled(id: str, period: str) -> float:
    table = data.indicator(id, period)
    multiplier = data.definition(id).multiplier
    return multiplier * table.numerator.sum() / table.denominator.sum()


def test_32_ccgs_report_in_three_years_and_15_of_them_with_three_merged_ones_after():
    ccgs = wide()[wide().area_type == "CCG"]
    assert ccgs.groupby("period").size().to_dict() == {
        **dict.fromkeys(YEARS, 32),
        "2020-21": 15,
    }


@pytest.mark.parametrize(
    ("period", "lowest", "highest"),
    [("2017-18", 40.9, 58.2), ("2018-19", 42.1, 59.3), ("2019-20", 47.77, 59.19)],
)
def test_recovery_ranges_between_the_ccgs_as_published(period, lowest, highest):
    values = rates("talking-therapies-recovery", period)
    decimals = 2 if period == "2019-20" else 1
    assert round(values.min(), decimals) == lowest
    assert round(values.max(), decimals) == highest


def test_enfield_has_the_lowest_and_city_and_hackney_the_highest_recovery():
    values = rates("talking-therapies-recovery", "2019-20")
    assert (values.idxmin(), values.idxmax()) == ("Enfield", "City and Hackney")


@pytest.mark.parametrize(
    ("period", "region", "summed", "england"),
    [
        ("2017-18", 50.00, 50.01, 50.83),
        ("2018-19", 51.35, 51.39, 52.08),
        ("2019-20", 52.00, 52.04, 51.11),
    ],
)
def test_recovery_of_london_of_its_ccgs_and_of_england(period, region, summed, england):
    year = wide()[wide().period == period].set_index("area_code")
    assert round(recovery_rate(year.loc["Y56"]), 2) == region
    assert round(pooled("talking-therapies-recovery", period), 2) == summed
    assert round(recovery_rate(year.loc["ENGLAND"]), 2) == england


@pytest.mark.parametrize(
    ("id", "lowest", "low_area", "highest", "high_area", "all_areas"),
    [
        ("talking-therapies-reliable-recovery", 45.1, "Sutton", 55.1, "City and Hackney", 48.88),
        ("talking-therapies-finished", 17.9, "Hammersmith and Fulham", 59.6, "Redbridge", 34.83),
        ("talking-therapies-referrals", 18.9, "Redbridge", 52.1, "Islington", 35.34),
    ],
)
def test_other_indicators_of_2019_20_range_as_published(
    id, lowest, low_area, highest, high_area, all_areas
):
    values = rates(id, "2019-20")
    assert (round(values.min(), 1), values.idxmin()) == (lowest, low_area)
    assert (round(values.max(), 1), values.idxmax()) == (highest, high_area)
    assert round(pooled(id, "2019-20"), 2) == all_areas


def test_referrals_of_2019_20_are_divided_by_lists_of_2018_19():
    latest = data.indicator("talking-therapies-referrals", "2019-20")
    before = data.indicator("talking-therapies-referrals", "2018-19")
    assert latest.denominator.equals(before.denominator)
    kinds = [doubt.kind for doubt in data.doubts("talking-therapies-referrals", "2019-20")]
    assert kinds == ["denominator_period", "old_data"]


MEASURES = [
    *("referrals_received", "finished_course_treatment", "not_at_caseness", "recovery"),
    "reliable_recovery",
]
BOUND = 33 * 2.5


@pytest.mark.parametrize(
    ("period", "differences", "within_rounding"),
    [
        ("2019-20", [-5, -10, 10, 20, 0], True),
        ("2018-19", [-40, -55, 0, 0, -20], True),
        ("2017-18", [-310, -130, -15, -45, -40], False),
    ],
)
def test_ccgs_add_up_to_london_within_rounding_but_in_2017_18(period, differences, within_rounding):
    year = wide()[wide().period == period]
    ccgs = year[year.area_type == "CCG"][MEASURES].sum()
    london = year[year.area_code == "Y56"][MEASURES].iloc[0]
    assert (ccgs - london).tolist() == differences
    assert ((ccgs - london).abs() <= BOUND).all() == within_rounding
    kinds = [doubt.kind for doubt in data.doubts("talking-therapies-recovery", period)]
    assert ("reconciliation" in kinds) != within_rounding


def test_98185_finished_courses_stand_against_98195_of_london():
    year = wide()[wide().period == "2019-20"]
    assert year[year.area_type == "CCG"].finished_course_treatment.sum() == 98_185
    assert year[year.area_code == "Y56"].finished_course_treatment.iloc[0] == 98_195


@pytest.mark.parametrize(
    ("period", "pearson", "spearman", "weighted"),
    [
        ("2017-18", 0.054, None, None),
        ("2018-19", 0.162, None, None),
        ("2019-20", 0.101, 0.069, 0.186),
    ],
)
def test_recovery_hardly_goes_with_deprivation_of_the_area(period, pearson, spearman, weighted):
    codes = {area.code: area.ons_code for area in data.areas("ccg")}
    table = data.indicator("talking-therapies-recovery", period)
    table = table.assign(ccg_ons_code=table.area_code.map(codes))
    table = data.join(table, data.load("deprivation", "ccgs"), "ccg_ons_code")
    rate = table.numerator / table.denominator
    assert round(rate.corr(table.imd2019_score), 3) == pearson
    if spearman is not None:
        assert round(rate.corr(table.imd2019_score, method="spearman"), 3) == spearman
        covariance = np.cov(rate, table.imd2019_score, aweights=table.denominator)
        found = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
        assert round(found, 3) == weighted


@pytest.mark.parametrize(
    ("weeks", "period", "lowest", "highest", "all_areas"),
    [
        (6, "2017-18", 66.6, 99.3, 91.2),
        (6, "2018-19", 50.9, 99.4, 93.4),
        (6, "2019-20", 64.7, 99.8, 92.4),
        (18, "2017-18", 81.0, 100.0, 98.6),
        (18, "2018-19", 89.3, 100.0, 99.1),
        (18, "2019-20", 91.4, 100.0, 99.0),
    ],
)
def test_waits_within_6_and_18_weeks(weeks, period, lowest, highest, all_areas):
    id = f"talking-therapies-wait-{weeks}-weeks"
    values = rates(id, period)
    assert (round(values.min(), 1), round(values.max(), 1)) == (lowest, highest)
    assert round(pooled(id, period), 1) == all_areas


def test_bands_of_waiting_add_up_to_the_finished_courses_within_rounding():
    waits = data.load("talking_therapies", "waits")
    bands = ["within_28_days", "days_29_to_56", "days_57_to_90", "over_90_days"]
    sums = waits[waits.measure.isin(bands) & (waits.status == "ok")]
    sums = sums.groupby(["area_code", "period"]).value.agg(["sum", "count"]).reset_index()
    both = sums[sums["count"] == 4].merge(wide(), on=["area_code", "period"])
    difference = (both["sum"] - both.finished_course_treatment)[both.area_code != "ENGLAND"]
    assert difference.abs().max() <= 5 * 2.5
    england = both[both.area_code == "ENGLAND"]
    assert (england["sum"] <= england.finished_course_treatment).all()


@cache
def by_group() -> pd.DataFrame:
    table = data.load("talking_therapies", "by_group")
    return table.merge(data.load("talking_therapies", "groups"), on="group_code", validate="m:1")


@pytest.mark.parametrize(
    ("breakdown", "ok", "suppressed"),
    [
        ("Indices of Deprivation Decile", 8_022, 1_482),
        ("Ethnic Group", 16_419, 2_589),
        ("Age Group", 2_793, 1_527),
        ("Gender", 1_885, 707),
    ],
)
def test_cells_of_a_breakdown_are_given_or_suppressed(breakdown, ok, suppressed):
    status = by_group()[by_group().breakdown == breakdown].status.value_counts().to_dict()
    assert status == {"ok": ok, "suppressed": suppressed}


def test_groups_are_11_deciles_22_ethnic_groups_5_ages_and_3_genders():
    groups = data.load("talking_therapies", "groups")
    assert groups.breakdown.value_counts().to_dict() == {
        "Ethnic Group": 22,
        "Indices of Deprivation Decile": 11,
        "Age Group": 5,
        "Gender": 3,
    }
    ethnic = groups[groups.breakdown == "Ethnic Group"]
    assert (ethnic.subgroup == "All").sum() == 6
    deciles = groups[groups.group_code.between("dep01", "dep10")]
    assert deciles.group.str[:2].astype("int64").tolist() == list(range(1, 11))


def deciles(period: str) -> pd.DataFrame:
    """Complete cells of area and decile: finished, not at caseness, recovery, decile."""
    table = by_group()
    table = table[
        table.group_code.between("dep01", "dep10")
        & (table.period == period)
        & table.measure.isin(PARTS)
    ]
    cells = table.pivot_table(index=["area_code", "order"], columns="measure", values="value")
    return cells.dropna().astype("float64").reset_index()


def test_recovery_falls_from_the_least_to_the_most_deprived_tenth_in_london():
    cells = deciles("2019-20")
    assert len(cells) == 244
    sums = cells.groupby("order")[PARTS].sum()
    assert recovery_rate(sums).round(1).tolist() == [
        *(59.3, 56.5, 55.3, 55.0, 53.6, 53.5, 52.0, 50.9, 48.9, 47.5)
    ]


@pytest.mark.parametrize(
    ("period", "slope"), [("2017-18", -0.0799), ("2018-19", -0.0798), ("2019-20", -0.0728)]
)
def test_within_ccgs_recovery_falls_with_each_decile(period, slope):
    cells = deciles(period)
    weight = cells.finished_course_treatment - cells.not_at_caseness
    design = pd.get_dummies(cells.area_code, dtype="float64").assign(decile=cells["order"])
    model = sm.GLM(
        cells.recovery / weight, design, family=sm.families.Binomial(), var_weights=weight
    )
    fit = model.fit(scale="X2")
    assert round(fit.params["decile"], 4) == slope
    if period == "2019-20":
        assert round(fit.scale, 3) == 1.338
        assert fit.conf_int().loc["decile"].round(4).tolist() == [-0.0811, -0.0645]


def test_recovery_of_england_by_deprivation_decile():
    table = data.load("talking_therapies", "by_group_reference")
    assert len(table) == 594
    year = table[(table.area_code == "ENGLAND") & (table.period == "2019-20")]
    cells = year.pivot_table(index="group_code", columns="measure", values="value")[:10]
    assert recovery_rate(cells.astype("float64")).round(2).tolist() == [
        *(57.47, 56.13, 55.19, 53.84, 53.44, 51.78, 50.48, 48.84, 46.12, 42.73)
    ]


@cache
def qof() -> pd.DataFrame:
    return data.load("qof", "ccgs")


def test_qof_percentages_are_numerator_over_denominator_to_1e_9():
    table = qof()[qof().numerator.notna()]
    assert len(table) == 1_880
    found = 100 * table.numerator.astype("float64") / table.denominator
    assert (found - table.published_pct).abs().max() < 1e-9


def test_qof_has_32_london_ccgs_to_2018_19_and_15_after():
    original = qof()[~qof().restated]
    assert (len(original), qof().restated.sum()) == (1_530, 350)
    assert original.groupby("year").ccg_code.nunique().to_dict() == {
        **dict.fromkeys(["2014-15", "2015-16", "2016-17", "2017-18", "2018-19"], 32),
        "2019-20": 15,
    }


@pytest.mark.parametrize(
    ("id", "lowest", "highest", "all_areas"),
    [
        ("depression-review", 50.38, 90.36, 81.87),
        ("smi-care-plan", 75.37, 93.13, 89.60),
        ("smi-blood-pressure", 85.01, 93.31, 89.66),
        ("depression-register", 5.72, 10.16, 7.65),
    ],
)
def test_qof_indicators_of_2018_19_range_as_published(id, lowest, highest, all_areas):
    values = rates(id, "2018-19")
    assert (round(values.min(), 2), round(values.max(), 2)) == (lowest, highest)
    assert round(pooled(id, "2018-19"), 2) == all_areas


def test_severe_mental_illness_registers_of_2018_19_range_as_published():
    table = qof()[~qof().restated & (qof().year == "2018-19")]
    table = table[table.indicator == "SMI_PREV_allages"]
    share = 100 * table.numerator.astype("float64") / table.denominator
    whole = 100 * table.numerator.sum() / table.denominator.sum()
    assert (round(share.min(), 2), round(share.max(), 2), round(whole, 2)) == (0.72, 1.55, 1.12)


def test_exceptions_are_for_achievement_and_reach_22_percent_for_depression_reviews():
    registers = qof().indicator.isin(["DEP_PREV_18plus", "SMI_PREV_allages"])
    assert qof()[registers].exceptions.isna().all()
    table = qof()[(qof().indicator == "DEP003") & (qof().year == "2018-19")]
    share = 100 * table.exceptions / (table.denominator + table.exceptions)
    whole = 100 * table.exceptions.sum() / (table.denominator + table.exceptions).sum()
    assert (round(whole, 1), round(share.min(), 1), round(share.max(), 1)) == (22.2, 14.8, 29.9)


def test_131_of_286_london_registers_were_restated_with_another_numerator():
    restated = qof()[qof().restated & (qof().year != "2013-14")]
    original = qof()[~qof().restated]
    both = restated.merge(original, on=["ccg_code", "year", "indicator"], suffixes=("", "_first"))
    assert len(both) == 286
    assert (both.numerator != both.numerator_first).sum() == 131


def test_registers_of_england_grow_for_depression_and_stay_for_severe_mental_illness():
    table = data.load("qof", "england")
    share = 100 * table.numerator / table.denominator
    depression = share[table.indicator == "DEP_PREV_18plus"].round(2).tolist()
    assert depression == [7.33, 8.26, 9.09, 9.88, 10.74, 11.56]
    severe = share[table.indicator == "SMI_PREV_allages"].round(3).tolist()
    assert severe == [0.881, 0.901, 0.921, 0.944, 0.961, 0.932]


@cache
def monthly() -> pd.DataFrame:
    """Monthly figures of services, one row for a code and month."""
    long = data.load("talking_therapies_services", "months")
    assert len(long) == 17_019
    assert long.status.value_counts().to_dict() == {"ok": 16_949, "missing": 70}
    return long.pivot_table(index=["service_code", "period"], columns="measure", values="value")


def months_of_services() -> pd.Series:
    months = monthly().dropna(how="all").reset_index()
    return months[months.service_code != "ENGLAND"].groupby("service_code").period.agg(list)


def test_33_service_codes_report_at_most_30_at_once():
    months = months_of_services()
    assert len(months) == 33
    active = months.explode().value_counts()
    assert active.value_counts().to_dict() == {30: 42, 27: 17, 29: 3, 22: 1}
    assert (months.map(len) == 63).sum() == 19


def test_gaps_inside_the_series_of_services_are_those_known():
    every = sorted(monthly().reset_index().period.unique())
    gaps = {
        (month, code)
        for code, months in months_of_services().items()
        for month in every
        if min(months) < month < max(months) and month not in months
    }
    assert gaps == {
        ("2021-07", "AME01"),
        *(("2023-11", code) for code in ("TAF87", "TAF88", "TAF90")),
        ("2024-05", "RWK53"),
        *(("2025-06", code) for code in ("RQY12", "RQY58", "RQYMI", "RQYPR", "M4P2I")),
    }


def test_the_merger_of_november_2024_breaks_the_series():
    table = monthly()
    old = table.loc[(["RRPJ3", "RRPJ4", "TAF87", "TAF88"], "2024-10"), :].sum()
    new = table.loc["G6V2S"]
    first = new.loc["2024-11"]
    measures = [
        *("referrals_received", "finished_course_treatment", "recovery", "accessing_services")
    ]
    assert old[measures].tolist() == [3_530, 945, 405, 2_190]
    assert first[measures].tolist() == [3_195, 275, 50, 4_995]
    change = 100 * (first / old - 1)
    assert change[measures[:3]].round(1).tolist() == [-9.5, -70.9, -87.7]
    later = new.loc["2024-12":"2025-02", "finished_course_treatment"]
    assert later.tolist() == [595, 740, 770]


def test_england_received_132008_referrals_in_january_2021():
    assert monthly().loc[("ENGLAND", "2021-01"), "referrals_received"] == 132_008


def test_three_reorganisations_of_services_are_recorded():
    events = data.load("talking_therapies_services", "service_events")
    assert events.date.tolist() == ["2022-12", "2024-05", "2024-11"]
    places = data.load("talking_therapies_services", "service_boroughs")
    for event in events.itertuples():
        old = places[places.service_code.isin(event.old_codes.split(";"))].borough_code
        new = places[places.service_code == event.new_code].borough_code
        assert set(old) == set(new)


def test_five_service_codes_have_no_verified_borough():
    services = data.load("talking_therapies_services", "services")
    places = data.load("talking_therapies_services", "service_boroughs")
    unplaced = set(services.service_code) - set(places.service_code)
    assert unplaced == {"RV383", "RV3AR", "RV3CH", "RV3HC", "RV3L8"}
    assert (services[services.service_code.isin(unplaced)].mapping_basis == "unverified").all()


def test_lineage_has_32_whole_boroughs_and_two_parts_of_westminster():
    table = data.load("area_lineage")
    ccgs = table[table.relation == "merged"]
    assert ccgs.borough_part.value_counts().to_dict() == {"whole": 32, "part": 2}
    parts = ccgs[ccgs.borough_part == "part"]
    assert set(parts.from_code) == {"08Y", "09A"}
    assert set(parts.borough_code) == {"E09000033"}
    assert set(ccgs[ccgs.from_code == "07T"].borough_code) == {"E09000001", "E09000012"}


def test_lineage_and_areas_tell_the_same_story():
    table = data.load("area_lineage")
    for area in data.areas():
        if area.kind not in ("ccg", "merged_ccg"):
            continue
        rows = table[table.from_code == area.code]
        assert set(rows.borough_code) == set(area.boroughs)
        assert set(rows.to_code) == {area.successor}
        assert set(rows.to_date) == {area.abolished}


def test_deprivation_of_ccgs_runs_from_richmond_to_barking_and_dagenham():
    names = {area.ons_code: area.name for area in data.areas("ccg")}
    scores = data.load("deprivation", "ccgs").set_index("ccg_ons_code").imd2019_score
    assert len(scores) == 32
    assert (scores.min(), names[scores.idxmin()]) == (9.425, "Richmond")
    assert (scores.max(), names[scores.idxmax()]) == (32.768, "Barking and Dagenham")


def test_london_had_8961989_residents_in_2019_and_6929562_of_18_and_over():
    table = data.load("population")
    assert len(table) == 231
    assert table.population.sum() == 8_961_989
    assert table[table.age_band != "0-17"].population.sum() == 6_929_562


def test_self_harm_of_2021_repeats_2020_and_suicides_never_repeat_a_year():
    table = data.load("health_index")
    assert len(table) == 448
    assert table.borough_code.nunique() == 32
    years = table.pivot_table(index=["indicator", "borough_code"], columns="year", values="value")
    repeated = years.diff(axis=1).eq(0).groupby("indicator").all()
    assert repeated.columns[repeated.loc["self_harm"]].tolist() == [2021]
    assert not repeated.loc["suicides"].any()


@cache
def trials() -> pd.DataFrame:
    return data.load("reviews/psychotherapy_depression_uk", "trials")


def test_97_rows_of_54_uk_trials_of_which_25_have_several():
    assert len(trials()) == 97
    rows = trials().groupby("study").size()
    assert (len(rows), (rows > 1).sum()) == (54, 25)
    full = ["mean_arm1", "sd_arm1", "n_arm1", "mean_arm2", "sd_arm2", "n_arm2"]
    assert len(trials().dropna(subset=full)) == 90
    assert trials().g.sum() == pytest.approx(50.29275059, abs=1e-8)
    assert trials().g_se.sum() == pytest.approx(28.42084470, abs=1e-8)


def test_formats_and_risk_of_bias_of_the_uk_trials():
    formats = trials().format.value_counts().to_dict()
    assert formats == {"ind": 58, "grp": 21, "oth": 13, "gsh": 4, "tel": 1}
    rob = trials().groupby("rob")
    assert rob.size().to_dict() == {4: 54, 3: 20, 2: 17, 1: 6}
    assert rob.study.nunique().to_dict() == {4: 27, 3: 12, 2: 11, 1: 4}


def test_the_risk_of_bias_score_counts_the_items_at_low_risk():
    items = trials().sg + trials().ac + (trials().ba != "0") + trials().itt
    assert (items == trials().rob).all()


def test_hedges_g_of_the_trials_follows_from_means_sds_and_numbers():
    table = trials().dropna(subset=["mean_arm1", "sd_arm1"])
    n1, n2 = table.n_arm1.astype("float64"), table.n_arm2.astype("float64")
    freedom = n1 + n2 - 2
    variance = ((n1 - 1) * table.sd_arm1**2 + (n2 - 1) * table.sd_arm2**2) / freedom
    d = (table.mean_arm2 - table.mean_arm1) / np.sqrt(variance)
    assert (d * (1 - 3 / (4 * freedom - 1)) - table.g).abs().max() < 0.01


def test_search_counts_of_the_review_are_carried_over_with_their_gap():
    table = data.load("reviews/psychotherapy_depression_uk", "searches")
    counts = table[table.stage != "full texts excluded"].set_index("stage").records
    excluded = table[table.stage == "full texts excluded"].records.sum()
    assert counts["records screened"] == 25_309
    assert (counts["full texts assessed"], counts["studies included"]) == (4_439, 480)
    assert counts["full texts assessed"] - excluded - counts["studies included"] == 84


def test_the_primary_care_network_has_93_trials_of_22_treatments():
    table = data.load("reviews/primary_care_depression_network")
    arms = table.groupby("id").size().value_counts().to_dict()
    assert arms == {2: 79, 3: 13, 4: 1}
    assert (len(table), table.n.sum(), table.treatment.nunique()) == (201, 20_580, 22)
    assert (table.responders <= table.n).all()


def test_published_intervals_are_centred_on_their_estimates():
    table = data.load("published_syntheses")
    assert (len(table), table.lo.isna().sum()) == (32, 1)
    table = table.dropna(subset="lo")
    ratio = (table.measure == "RR").to_numpy()
    low, middle, high = (
        np.where(ratio, np.log(table[name].where(ratio, 1.0)), table[name])
        for name in ("lo", "est", "hi")
    )
    assert (np.abs(middle - (low + high) / 2) / (high - low)).max() <= 0.04


def rate_ratio(fit) -> list[float]:
    return [
        round(float(np.exp(value)), 4)
        for value in (fit.params["smokban"], *fit.conf_int().loc["smokban"])
    ]


def sicily(harmonics: int):
    table = data.load("smoke_free_sicily")
    assert len(table) == 59
    design = table[["smokban", "time"]].astype("float64").assign(const=1.0)
    for pair in range(1, harmonics + 1):
        angle = 2 * np.pi * pair * table.time / 12
        design = design.assign(**{f"sin{pair}": np.sin(angle), f"cos{pair}": np.cos(angle)})
    model = sm.GLM(table.aces, design, family=sm.families.Poisson(), offset=np.log(table.stdpop))
    return model.fit(), model.fit(scale="X2")


def test_coronary_events_fell_after_the_smoking_ban_as_in_the_tutorial():
    plain, scaled = sicily(harmonics=0)
    assert rate_ratio(plain) == [0.8944, 0.8647, 0.9251]
    assert round(scaled.scale, 3) == 3.559
    assert rate_ratio(scaled) == [0.8944, 0.8392, 0.9532]


def test_seasons_change_the_tutorial_result_little():
    plain, scaled = sicily(harmonics=2)
    assert rate_ratio(plain)[1:] == [0.8544, 0.9168]
    assert round(scaled.scale, 3) == 2.262
    assert rate_ratio(scaled) == [0.8851, 0.8394, 0.9332]


def test_synthetic_california_is_made_of_utah_montana_and_nevada():
    table = data.load("california_prop99")
    assert len(table) == 1_209
    packs = table.pivot_table(index="year", columns="state", values="packs")
    before = packs.loc[:1988]
    donors = before.drop(columns="California")

    def squared_gap(weights: np.ndarray) -> float:
        return float(((before.California - donors @ weights) ** 2).sum())

    def slope(weights: np.ndarray) -> np.ndarray:
        return (-2 * donors.T @ (before.California - donors @ weights)).to_numpy()

    start = np.full(donors.shape[1], 1 / donors.shape[1])
    fit = minimize(
        squared_gap,
        start,
        jac=slope,
        method="SLSQP",
        bounds=[(0, 1)] * len(start),
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones(len(w))},
        options={"maxiter": 1_000, "ftol": 1e-12},
    )
    weights = pd.Series(fit.x, index=donors.columns).sort_values(ascending=False)
    assert weights[:6].round(3).to_dict() == pytest.approx(
        {
            "Utah": 0.394,
            "Montana": 0.232,
            "Nevada": 0.205,
            "Connecticut": 0.109,
            "New Hampshire": 0.045,
            "Colorado": 0.015,
        },
        abs=0.001,
    )
    gap = packs.California - packs.drop(columns="California") @ pd.Series(fit.x, donors.columns)
    assert round(float(np.sqrt((gap.loc[:1988] ** 2).mean())), 3) == 1.656
    assert round(gap.loc[1989:].mean(), 2) == -19.51
    assert round(gap.loc[2000], 2) == -26.60


def test_california_fell_by_27_packs_more_than_the_average_of_the_others():
    table = data.load("california_prop99")
    after, treated = table.year >= 1989, table.state == "California"
    means = table.packs.groupby([treated, after]).mean()
    difference = (means[True, True] - means[True, False]) - (
        means[False, True] - means[False, False]
    )
    assert round(difference, 2) == -27.35
