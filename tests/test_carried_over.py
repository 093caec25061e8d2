"""Each committed table is rebuilt here from the reference copy of its source and compared.

With EVIDENCE_CARRY_OVER=write the same functions write the tables and put their number of rows
and sha256 into dataset.yml.
Without the reference copies (folder named by EVIDENCE_SHARED, else ../shared) the tests are
skipped with a reason; where CI is set they fail.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pandas as pd
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
RAW = ROOT / "data" / "raw"
SOURCES = Path(os.environ.get("EVIDENCE_SHARED", ROOT.parent / "shared")) / "data"
WRITE = os.environ.get("EVIDENCE_CARRY_OVER") == "write"

PANEL = "london_ccg_demo_panel"
GROUPS = f"{PANEL}/london_ccg_talking_therapies_by_group_counts.parquet"
ANNUAL = "nhs_talking_therapies_annual/measures_annual.parquet"
SERVICES = "nhs_talking_therapies_monthly/london_services_monthly_panel_2021-01_to_2026-03.csv"
SERVICE_PLACES = "nhs_talking_therapies_monthly/london_provider_to_borough_curated.csv"
CONTACT = "mhsds_people_in_contact_monthly/england_people_in_contact_monthly_2016-04_to_2024-04.csv"
QOF = "qof_mental_health_ccg/qof_dep_smi_ccg_2013-14_to_2019-20.csv"
TRIALS = "metapsy_depression_psyctr/depression_psyctr_utf8.csv"

YEARS = ["2017-18", "2018-19", "2019-20"]
COUNTS = [
    "referrals_received",
    "finished_course_treatment",
    "at_caseness",
    "not_at_caseness",
    "improvement",
    "deterioration",
    "no_reliable_change",
    "recovery",
    "reliable_recovery",
]
MONTHLY = [
    "referrals_received",
    "accessing_services",
    "finished_course_treatment",
    "not_at_caseness",
    "reliable_improvement",
    "recovery",
    "reliable_recovery",
    "median_wait_access_days",
    "pct_access_6_weeks_finished",
]
WAITS = {
    "<=28 days": "within_28_days",
    "29-56 days": "days_29_to_56",
    "57-90 days": "days_57_to_90",
    ">90 days": "over_90_days",
    "<6 weeks": "within_6_weeks",
    "<18 weeks": "within_18_weeks",
}
BREAKDOWNS = {
    "Indices of Deprivation Decile": "dep",
    "Ethnic Group": "eth",
    "Age Group": "age",
    "Gender": "gen",
}
AGE_ORDER = ["Under 16", "16 to 17", "18 to 35", "36 to 64", "65 and over"]
ENGLAND = {"All": "ENGLAND"}

TABLES: dict[str, Callable[[], pd.DataFrame]] = {}


def carries(place: str) -> Callable[[Callable[[], pd.DataFrame]], Callable[[], pd.DataFrame]]:
    def keep(build: Callable[[], pd.DataFrame]) -> Callable[[], pd.DataFrame]:
        TABLES[place] = cache(build)
        return TABLES[place]

    return keep


def read(name: str, **options: object) -> pd.DataFrame:
    if name.endswith(".parquet"):
        return pd.read_parquet(SOURCES / name, **options)
    return pd.read_csv(SOURCES / name, **{"keep_default_na": True, **options})


def with_status(frame: pd.DataFrame, column: str = "value") -> pd.DataFrame:
    """Turn the raw text values into whole numbers with a status."""
    raw = frame[column].astype("str")
    named = {"*": "suppressed", "NULL": "null", "": "missing", "nan": "missing"}
    status = raw.map(named).fillna("ok")
    value = pd.to_numeric(raw.where(status == "ok")).astype("Int64")
    return frame.assign(value=value, status=status)


def whole(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    return frame.assign(**{column: frame[column].astype("Int64") for column in columns})


def ordered(frame: pd.DataFrame, columns: list[str], key: list[str]) -> pd.DataFrame:
    return frame[columns].sort_values(key, kind="stable").reset_index(drop=True)


@carries("talking_therapies/areas")
def talking_therapies_areas() -> pd.DataFrame:
    ccgs = read(
        f"{PANEL}/london_ccg_talking_therapies_qof_imd_2017-18_to_2019-20_partial2020-21.csv"
    )
    wider = read(f"{PANEL}/london_region_stp_icb_england_totals_2017-18_to_2024-25.csv")
    kinds = {"Commissioning Region": "region", "England": "country", "STP": "STP", "ICB": "ICB"}
    both = pd.concat(
        [ccgs.assign(area_type="CCG"), wider.assign(area_type=wider.org_type.map(kinds))]
    )
    both = both.assign(area_code=both.org_code.replace(ENGLAND), period=both.reporting_period)
    keys = ["area_type", "area_code", "period"]
    long = both.melt(keys, COUNTS, var_name="measure", value_name="value")
    long = long.assign(
        value=long.value.astype("Int64"),
        status=long.value.isna().map({True: "missing", False: "ok"}),
    )
    return ordered(long, [*keys, "measure", "value", "status"], [*keys, "measure"])


@carries("talking_therapies/waits")
def talking_therapies_waits() -> pd.DataFrame:
    ccgs = read(GROUPS).assign(area_type="CCG")
    wider = annual("Waiting Time").assign(
        area_type=lambda frame: frame.org_code.map({"Y56": "region", "All": "country"})
    )
    both = pd.concat([ccgs, wider])
    both = both[
        (both.variable_type == "Waiting Time")
        & (both.variable_a == "First treatment")
        & (both.measure_name == "finished_course_treatment")
        & both.variable_b.isin(WAITS)
        & both.reporting_period.isin(YEARS)
    ]
    both = with_status(both).assign(
        area_code=both.org_code.replace(ENGLAND),
        period=both.reporting_period,
        measure=both.variable_b.map(WAITS),
    )
    key = ["area_type", "area_code", "period", "measure"]
    return ordered(both, [*key, "value", "status"], key)


@cache
def annual(breakdown: str) -> pd.DataFrame:
    """England and London rows of one breakdown of the annual report, counts only."""
    return read(
        ANNUAL,
        filters=[
            ("variable_type", "==", breakdown),
            ("org_type", "in", ["England", "Commissioning Region"]),
            ("org_code", "in", ["All", "Y56"]),
            ("measure_statistic", "==", "count"),
        ],
    )


@carries("talking_therapies/groups")
def groups() -> pd.DataFrame:
    source = read(GROUPS)
    source = source[source.reporting_period.isin(YEARS)]
    parts = []
    for breakdown, prefix in BREAKDOWNS.items():
        rows = source[source.variable_type == breakdown]
        labels = rows[["variable_a", "variable_b"]].drop_duplicates()
        labels = labels.assign(unknown=labels.variable_a.str.startswith("Not stated"))
        labels = labels.assign(
            first=labels.variable_a.map({name: n for n, name in enumerate(AGE_ORDER)}).fillna(0),
            whole_first=labels.variable_b != "All",
        )
        labels = labels.sort_values(["unknown", "first", "variable_a", "whole_first", "variable_b"])
        numbers = range(1, len(labels) + 1)
        parts.append(
            labels.assign(
                group_code=[f"{prefix}{number:02d}" for number in numbers],
                breakdown=breakdown,
                group=labels.variable_a,
                subgroup=labels.variable_b.replace("NULL", "All"),
                order=list(numbers),
            )
        )
    columns = ["group_code", "breakdown", "group", "subgroup", "order"]
    return pd.concat(parts)[columns].reset_index(drop=True)


def by_group(source: pd.DataFrame) -> pd.DataFrame:
    known = groups().rename(columns={"breakdown": "variable_type", "group": "variable_a"})
    source = source[
        source.reporting_period.isin(YEARS) & source.variable_type.isin(known.variable_type)
    ]
    source = source.assign(subgroup=source.variable_b.replace("NULL", "All"))
    joined = source.merge(known, on=["variable_type", "variable_a", "subgroup"], validate="m:1")
    joined = with_status(joined).assign(
        area_code=joined.org_code.replace(ENGLAND),
        period=joined.reporting_period,
        measure=joined.measure_name,
    )
    key = ["area_code", "period", "group_code", "measure"]
    return ordered(joined, [*key, "value", "status"], key)


@carries("talking_therapies/by_group")
def talking_therapies_by_group() -> pd.DataFrame:
    return by_group(read(GROUPS))


@carries("talking_therapies/by_group_reference")
def talking_therapies_by_group_reference() -> pd.DataFrame:
    return by_group(annual("Indices of Deprivation Decile"))


@carries("talking_therapies_services/months")
def service_months() -> pd.DataFrame:
    source = read(SERVICES)
    source = source.assign(service_code=source.org_code, period=source.reporting_period)
    key = ["service_code", "period", "measure"]
    long = source.melt(key[:2], MONTHLY, var_name="measure", value_name="value")
    long = long.assign(status=long.value.isna().map({True: "missing", False: "ok"}))
    shortest = [f"{value:.12g}" if value == value else "" for value in long.value]
    return ordered(long.assign(value=shortest), [*key, "value", "status"], key)


@carries("talking_therapies_services/services")
def services() -> pd.DataFrame:
    source = read(SERVICE_PLACES).rename(columns={"org_code": "service_code"})
    return ordered(source, ["service_code", "service_area", "mapping_basis"], ["service_code"])


@carries("talking_therapies_services/service_boroughs")
def service_boroughs() -> pd.DataFrame:
    stated = yaml.safe_load((ROOT / "data" / "definitions" / "areas.yml").read_text())["areas"]
    boroughs = {area["name"]: area["code"] for area in stated if area["kind"] == "borough"}
    short = {
        "organisation/site name in the data": "site_name",
        "site name in the data": "site_name",
    }
    rows = []
    for service in services().itertuples():
        if service.mapping_basis == "unverified":
            continue
        place = service.service_area.replace("&", "and").replace("with City", "with City of London")
        basis = short.get(service.mapping_basis, "provider_geography")
        rows += [(service.service_code, c, basis) for name, c in boroughs.items() if name in place]
    return pd.DataFrame(rows, columns=["service_code", "borough_code", "basis"])


def qof_source() -> pd.DataFrame:
    source = read(QOF)
    return source.assign(restated=source.is_restated_prior_year)


@carries("qof/ccgs")
def qof_ccgs() -> pd.DataFrame:
    source = qof_source()
    source = source[source.is_london].assign(
        published_pct=source.published_pct.round(9), restated=source.restated.map(str).str.lower()
    )
    key = ["ccg_code", "source_year", "year", "indicator"]
    values = ["restated", "numerator", "denominator", "exceptions", "published_pct"]
    return ordered(whole(source, "numerator", "exceptions"), [*key, *values], key)


@carries("qof/england")
def qof_england() -> pd.DataFrame:
    source = qof_source()
    grouped = source[~source.restated].groupby(["year", "indicator"])
    sums = grouped[["numerator", "denominator", "exceptions"]].sum(min_count=1)
    sums = sums.assign(n_ccgs=grouped.ccg_code.nunique(), denominator=sums.denominator.round(6))
    return whole(sums.reset_index(), "numerator", "exceptions")


REGISTERS = ["DEP_PREV_18plus", "SMI_PREV_allages"]


@carries("qof/restatements")
def qof_restatements() -> pd.DataFrame:
    """England's registers that two workbooks state, joined on the ONS code of the CCG."""
    source = qof_source()
    source = source[source.indicator.isin(REGISTERS)]
    key = ["ccg_ons_code", "year", "indicator"]
    both = source[~source.restated].merge(
        source[source.restated], on=key, suffixes=("_first", "_restated"), validate="1:1"
    )
    both = both.assign(london=both.is_london_first.map(str).str.lower())
    both = both.rename(columns={"numerator_first": "first", "numerator_restated": "restated"})
    return ordered(whole(both, "first", "restated"), [*key, "london", "first", "restated"], key)


@carries("boundaries/boroughs")
def borough_boundaries() -> pd.DataFrame:
    features = json.loads((SOURCES / "london_geography/london_boroughs_2021.geojson").read_text())
    rows = []
    for feature in features["features"]:
        polygons = feature["geometry"]["coordinates"]
        assert all(len(rings) == 1 for rings in polygons), "a polygon has a hole"
        rows += [
            (feature["properties"]["ltla21_code"], ring, point, longitude, latitude)
            for ring, (outer,) in enumerate(polygons, start=1)
            for point, (longitude, latitude) in enumerate(outer, start=1)
        ]
    columns = ["borough_code", "ring", "point", "longitude", "latitude"]
    return ordered(pd.DataFrame(rows, columns=columns), columns, columns[:3])


@carries("area_lineage/lineage")
def lineage() -> pd.DataFrame:
    ccgs = read("london_geography/ccg_2013_2020_to_borough_to_icb22.csv")
    boards = read("london_geography/borough_to_subicb22_icb22.csv")
    boards = boards.rename(columns={"ltla22_code": "borough_code"})
    early = boards.sicbl22_code_h.isin(["93C", "72Q", "36L"])
    boards = boards.assign(merged_on=early.map({True: "2020-04-01", False: "2021-04-01"}))
    merged = ccgs.merge(boards, on="borough_code", validate="m:1").assign(
        from_code=lambda frame: frame.ccg_code,
        to_code=lambda frame: frame.sicbl22_code_h,
        from_date="",
        to_date=lambda frame: frame.merged_on,
        relation="merged",
        borough_part=lambda frame: frame.borough_in_ccg,
    )
    renamed = boards.assign(
        from_code=boards.sicbl22_code_h,
        to_code=boards.icb22_code_h,
        from_date=boards.merged_on,
        to_date="2022-07-01",
        relation="same",
        borough_part="whole",
    )
    columns = ["from_code", "to_code", "from_date", "to_date", "relation", "borough_code"]
    both = pd.concat([merged, renamed])
    return ordered(both, [*columns, "borough_part"], ["to_date", "from_code", "borough_code"])


@carries("deprivation/boroughs")
def borough_deprivation() -> pd.DataFrame:
    old = read("english_indices_of_deprivation/imd2019_england_ltla19.csv")
    new = read("english_indices_of_deprivation/imd2025_england_ltla24.csv")
    new = new[new.ltla24_code.str.startswith("E09")]
    both = new.merge(old, left_on="ltla24_code", right_on="ltla19_code", validate="1:1")
    both = both.rename(
        columns={
            "ltla24_code": "borough_code",
            "ltla24_name": "name",
            "Score": "imd2019_score",
            "Proportion": "imd2019_share_most_deprived",
            "Extent": "imd2019_extent",
            "imd_average_score": "imd2025_score",
        }
    )
    columns = ["imd2019_score", "imd2019_share_most_deprived", "imd2019_extent", "imd2025_score"]
    return ordered(both, ["borough_code", "name", *columns], ["borough_code"])


@carries("deprivation/ccgs")
def ccg_deprivation() -> pd.DataFrame:
    source = read("english_indices_of_deprivation/imd2019_ccg_long.csv")
    london = read(QOF, usecols=["ccg_ons_code", "is_london"])
    codes = set(london[london.is_london].ccg_ons_code)
    source = source[(source.measure == "IMD - Average score") & source.ccg_ons_code.isin(codes)]
    source = source.rename(columns={"value": "imd2019_score"})
    return ordered(source, ["ccg_ons_code", "imd2019_score"], ["ccg_ons_code"])


@carries("population/boroughs")
def borough_population() -> pd.DataFrame:
    source = read("ons_population_ltla/population19_ltla19_long.csv")
    source = source[source.ltla19_code.str.startswith("E09")]
    bands = {"0-17": 17, "18-24": 24, "25-44": 44, "45-64": 64, "65-74": 74, "75-84": 84}
    ages = source.age.astype("str").str.rstrip("+").astype("int64")
    band = pd.cut(ages, [-1, *bands.values(), 200], labels=[*bands, "85+"]).astype("str")
    grouped = source.assign(age_band=band).groupby(["ltla19_code", "age_band"]).population.sum()
    frame = whole(grouped.reset_index(), "population")
    return frame.rename(columns={"ltla19_code": "borough_code"})


@carries("health_index/boroughs")
def borough_outcomes() -> pd.DataFrame:
    source = read("ons_health_index_ltla/health_index_mental_health_related_ltla21_2015-2021.csv")
    named = {"Suicides": "suicides", "Self-harm": "self_harm"}
    source = source[source.ltla21_code.str.startswith("E09") & source.indicator.isin(named)]
    source = source.assign(borough_code=source.ltla21_code, indicator=source.indicator.map(named))
    key = ["borough_code", "year", "indicator"]
    return ordered(source, [*key, "value"], key)


ARMS = ["mean", "sd", "n", "baseline_m", "baseline_sd", "baseline_n", "event", "totaln", "rand"]


@carries("reviews/psychotherapy_depression_uk/trials")
def uk_trials() -> pd.DataFrame:
    source = read(TRIALS, keep_default_na=False, na_values=[""])
    source = source[source.country == "uk"].rename(columns={".g": "g", ".g_se": "g_se"})
    source = source.assign(full_ref=source.full_ref.str.replace("â€“", "–").str.strip())
    arms = [f"{name}_arm{arm}" for name in ARMS for arm in (1, 2)]
    numbers = ("n_", "baseline_n_", "event_", "totaln_", "rand_")
    counts = [name for name in arms if name.startswith(numbers)]
    described = [
        "row study year condition_arm1 condition_arm2 multi_arm1 multi_arm2 format target_group",
        "diagnosis recruitment age_group mean_age percent_women n_sessions_arm1 instrument rating",
        "outcome_type time_weeks",
    ]
    quality = ["sg", "ac", "ba", "itt", "rob", "g", "g_se", "full_ref"]
    columns = [*" ".join(described).split(), *arms, *quality]
    source = source.assign(ba=source.ba.astype("str"))
    return ordered(whole(source, *counts), columns, ["row"])


@carries("reviews/psychotherapy_depression_uk/searches")
def review_searches() -> pd.DataFrame:
    folder = SOURCES / "metapsy_depression_psyctr"
    flow = json.loads((folder / "search_flow.json").read_text())
    date = (folder / "last_search.txt").read_text().strip()
    rows = [
        ("database records", "", flow["database.hits"]),
        ("additional records", "", flow["additional.records"]),
        ("records after removing duplicates", "", flow["database.hits.duplicates.removed"]),
        ("records screened", "", flow["records.screened"]),
        ("full texts assessed", "", flow["full.text.assessed.for.eligibility"]),
    ]
    reasons = flow["full.text.excluded.reasons"].items()
    rows += [("full texts excluded", reason, number) for reason, number in reasons]
    trials = uk_trials()
    rows += [
        ("studies included", "", flow["included"]),
        ("studies from the United Kingdom", "", trials.study.nunique()),
        ("effect sizes from the United Kingdom", "", len(trials)),
    ]
    frame = pd.DataFrame(rows, columns=["stage", "reason", "records"])
    frame["reason"] = frame.reason.replace(
        {
            "Studies with chidlren/adolescents": "Studies with children/adolescents",
            "Maintenenance trial": "Maintenance trial",
        }
    )
    return frame.assign(search_date=date)[["search_date", "stage", "reason", "records"]]


@carries("reviews/primary_care_depression_network/arms")
def primary_care_network() -> pd.DataFrame:
    source = read("metadat_mental_health/dat.linde2016.csv", keep_default_na=False)
    source = source.assign(arm=source.groupby("id").cumcount() + 1)
    source = source.rename(
        columns={"resp": "responders", "int": "treatment", "int.long": "treatment_name"}
    )
    columns = ["id", "arm", "author", "year", "treatment", "treatment_name", "responders", "n"]
    return source[columns]


@carries("published_syntheses/effects")
def published_effects() -> pd.DataFrame:
    source = read(
        "published_syntheses/published_effects.csv", keep_default_na=False, na_values=[""]
    )
    return whole(source, "k", "n")


@carries("smoke_free_sicily/months")
def smoke_free_sicily() -> pd.DataFrame:
    return read("its_and_synthetic_control/sicily.csv")


@carries("california_prop99/sales")
def california_prop99() -> pd.DataFrame:
    source = read("its_and_synthetic_control/california_prop99.csv").rename(
        columns={"Year": "year"}
    )
    long = source.melt(["year"], var_name="state", value_name="packs")
    return ordered(long, ["year", "state", "packs"], ["state", "year"])


@carries("people_in_contact/months")
def people_in_contact() -> pd.DataFrame:
    source = read(CONTACT)
    return pd.DataFrame({"period": source["date"].str[:7], "people": source["count"]})


def as_csv(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=False, lineterminator="\n").encode()


def write(place: str, content: bytes) -> None:
    """Write a table and put its hash and number of rows into dataset.yml."""
    folder, name = place.rsplit("/", 1)
    (RAW / place).with_suffix(".csv").write_bytes(content)
    stated = RAW / folder / "dataset.yml"
    digest, rows = hashlib.sha256(content).hexdigest(), content.count(b"\n") - 1
    text, found = re.subn(
        rf"(file: {name}\.csv\n\s+sha256: )\S+(\n\s+rows: )\d+",
        rf'\g<1>"{digest}"\g<2>{rows}',
        stated.read_text(),
    )
    assert found == 1, f"{stated} names {name}.csv {found} times"
    stated.write_text(text)


@pytest.fixture(autouse=True)
def _sources_are_here():
    if SOURCES.is_dir():
        return
    reason = f"NOT CHECKED against the sources: no reference copies in {SOURCES}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.mark.parametrize("place", sorted(TABLES))
def test_the_committed_table_is_what_its_source_says(place):
    content = as_csv(TABLES[place]())
    if WRITE:
        write(place, content)
    committed = (RAW / place).with_suffix(".csv").read_bytes()
    assert committed.splitlines() == content.splitlines()


def test_every_committed_table_is_carried_over_or_entered_by_hand():
    by_hand = {"talking_therapies_services/service_events"}
    committed = {p.relative_to(RAW).with_suffix("").as_posix() for p in RAW.rglob("*.csv")}
    ours = {place for place in committed if (RAW / place).parent.joinpath("dataset.yml").exists()}
    assert set(TABLES) | by_hand <= ours
    for place in by_hand:
        if WRITE:
            write(place, (RAW / place).with_suffix(".csv").read_bytes())


def test_service_events_agree_with_the_first_and_last_months_of_their_codes():
    months = service_months()
    active = months[(months.measure == "referrals_received") & (months.status == "ok")]
    first, last = (active.groupby("service_code").period.agg(how) for how in ("min", "max"))
    events = pd.read_csv(RAW / "talking_therapies_services" / "service_events.csv", dtype="str")
    for event in events.itertuples():
        assert first[event.new_code] == event.date
        assert all(last[code] < event.date for code in event.old_codes.split(";"))


def test_every_published_qof_percentage_of_the_source_follows_within_1e_9():
    source = read(QOF).dropna(subset=["numerator", "denominator"])
    assert len(source) == 12_188
    found = 100 * source.numerator / source.denominator
    assert (found - source.published_pct).abs().max() < 1e-9


def test_755_of_1804_registers_of_england_were_restated_with_another_numerator():
    source = qof_source()
    registers = source[source.indicator.isin(REGISTERS)]
    key = ["ccg_ons_code", "year", "indicator"]
    both = registers[registers.restated].merge(
        registers[~registers.restated], on=key, suffixes=("", "_first")
    )
    assert len(both) == 1_804
    differ = both.numerator != both.numerator_first
    assert differ.sum() == 755
    assert (differ | (both.denominator != both.denominator_first)).sum() == 806
    first = both[both.year == "2014-15"]
    assert (len(first), (first.numerator != first.numerator_first).sum()) == (418, 0)


def test_recovery_recomputed_is_within_rounding_of_the_published_whole_numbers():
    published = read(
        ANNUAL,
        filters=[
            ("variable_type", "==", "Total"),
            ("org_type", "==", "CCG"),
            ("measure_name", "==", "recovery"),
            ("measure_statistic", "==", "percentage"),
        ],
    )
    published = published.rename(columns={"org_code": "area_code", "reporting_period": "period"})
    counts = talking_therapies_areas()
    counts = counts[(counts.area_type == "CCG") & counts.period.isin(YEARS)]
    wide = counts.pivot_table(index=["area_code", "period"], columns="measure", values="value")
    wide = wide.astype("float64").reset_index()
    both = wide.merge(published, on=["area_code", "period"], validate="1:1")
    rate = 100 * both.recovery / (both.finished_course_treatment - both.not_at_caseness)
    difference = (rate - both.value.astype("float64")).abs()
    means = difference.groupby(both.period).mean().round(2)
    assert means.between(0.22, 0.29).all()
    assert round(difference.max(), 2) == 0.65


def test_labels_of_ethnic_groups_change_their_case_in_2020_21():
    source = read(GROUPS)
    ethnic = source[(source.variable_type == "Ethnic Group")]
    labels = ethnic.groupby("reporting_period").variable_b.agg(set)
    assert labels["2019-20"] != labels["2020-21"]
    folded = {year: {label.casefold() for label in found} for year, found in labels.items()}
    assert folded["2019-20"] == folded["2020-21"] == folded["2017-18"]
