"""Indicators by group of patients: known answers, what is published, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from evidence import data
from evidence.book.planning import plan
from evidence.data.groups import BREAKDOWNS, breakdowns, indicator_by_group, over_areas
from evidence.errors import DataError
from evidence.variation import gradients

ROOT = Path(__file__).resolve().parents[1]
RECOVERY = "talking-therapies-recovery"
PUBLISHED = {RECOVERY, "talking-therapies-reliable-recovery", "talking-therapies-finished"}


@pytest.fixture(autouse=True)
def _here(monkeypatch):
    monkeypatch.setenv("EVIDENCE_ROOT", str(ROOT))


def percent(table):
    return (100 * table.numerator / table.denominator).round(2).tolist()


def stated(table):
    return table[table["rank"] > 0]


def test_only_indicators_counted_from_the_annual_report_have_figures_by_group():
    assert {id for id in data.indicators() if breakdowns(id)} == PUBLISHED
    assert breakdowns(RECOVERY) == ["deprivation", "ethnicity", "age", "gender"]
    assert breakdowns("depression-review") == []


def test_every_indicator_with_figures_by_group_has_its_page_of_groups():
    pages = {page.id: page for page in plan(ROOT).pages}

    for id in data.indicators():
        assert (f"equity-{id}" in pages) == bool(breakdowns(id)), id
    assert pages[f"equity-{RECOVERY}"].parameters == {"indicator": RECOVERY}


def test_recovery_in_england_falls_over_the_tenths_as_published():
    """Annual report 2019-20, England, from the least to the most deprived tenth."""
    england = stated(indicator_by_group(RECOVERY, "deprivation", "2019-20", "ENGLAND"))

    assert percent(england) == [
        57.47, 56.13, 55.19, 53.84, 53.44, 51.78, 50.48, 48.84, 46.12, 42.73,
    ]  # fmt: skip
    assert england["rank"].tolist() == list(range(1, 11))


def test_recovery_in_london_over_the_tenths_counts_only_cells_that_have_a_figure():
    cells = stated(indicator_by_group(RECOVERY, "deprivation", "2019-20"))
    london = over_areas(cells)

    rounded = (100 * london.numerator / london.denominator).round(1).tolist()
    assert rounded == [59.3, 56.5, 55.3, 55.0, 53.6, 53.5, 52.0, 50.9, 48.9, 47.5]
    assert (london.cells.sum(), london.cells_absent.sum()) == (244, 76)
    assert len(cells) == 320


@pytest.mark.parametrize(
    ("year", "slope", "low", "high"),
    [
        ("2019-20", -0.0728, -0.0811, -0.0645),
        ("2018-19", -0.0798, None, None),
        ("2017-18", -0.0799, None, None),
    ],
)
def test_the_slope_within_areas_is_that_of_the_quasi_binomial_model(year, slope, low, high):
    cells = stated(indicator_by_group(RECOVERY, "deprivation", year))

    found = gradients.within_areas(cells, direction_better="higher")

    assert round(found["slope"].value, 4) == slope
    if low is not None:
        assert (round(found["slope"].low, 4), round(found["slope"].high, 4)) == (low, high)
        assert round(found["dispersion"].value, 3) == 1.338


def test_people_whose_group_is_not_stated_come_last_and_have_no_rank():
    for name in BREAKDOWNS:
        first = indicator_by_group(RECOVERY, name, "2019-20").query("area_code == '07L'")
        ranks = first["rank"].tolist()
        told = [rank for rank in ranks if rank]
        assert told == list(range(1, len(told) + 1)), name
        assert all(rank == 0 for rank in ranks[len(told) :]), name


def test_every_area_has_a_cell_for_every_group():
    sizes = {"deprivation": 11, "ethnicity": 6, "age": 5, "gender": 3}
    for name, groups in sizes.items():
        cells = indicator_by_group(RECOVERY, name, "2019-20")
        assert len(cells) == 32 * groups
        assert not cells.duplicated(["area_code", "group_code"]).any()


def test_a_cell_with_a_suppressed_part_has_no_counts():
    cells = indicator_by_group(RECOVERY, "age", "2019-20")
    hidden = cells[cells.status != "ok"]

    assert set(hidden.status) == {"suppressed"}
    assert hidden[["numerator", "denominator"]].isna().all(axis=None)
    assert cells[cells.status == "ok"].denominator.notna().all()


def test_a_group_without_any_figure_stays_in_the_sums_with_its_status():
    sums = over_areas(indicator_by_group(RECOVERY, "age", "2019-20")).set_index("group")

    assert sums.loc["Under 16", "status"] == "suppressed"
    assert sums.loc["Under 16", ["cells", "cells_absent"]].tolist() == [0, 32]
    assert sums.loc["18 to 35", ["numerator", "denominator"]].tolist() == [25300, 48405]


@pytest.mark.parametrize(
    ("id", "breakdown"), [("depression-review", "deprivation"), (RECOVERY, "religion")]
)
def test_a_breakdown_that_is_not_published_is_refused(id, breakdown):
    with pytest.raises(DataError, match=r"must be published by its source.*report it as not known"):
        indicator_by_group(id, breakdown, "2019-20")


def test_a_breakdown_that_was_not_carried_over_for_a_region_is_refused():
    with pytest.raises(DataError, match="for deprivation only; got 'age'"):
        indicator_by_group("talking-therapies-recovery", "age", "2019-20", "ENGLAND")
