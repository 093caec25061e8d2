"""What the tables leave open, against what was counted in the sources; places and their codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from evidence import data
from evidence.data import quality
from evidence.data.places import service_families, tiles
from evidence.data.services import service_codes

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _here(monkeypatch):
    monkeypatch.setenv("EVIDENCE_ROOT", str(ROOT))


def test_every_indicator_has_a_figure_for_every_area_in_every_period_it_states():
    table = quality.completeness()

    assert (table.areas == 32).all()
    assert (table.ok == 32).all()
    assert len(table) == sum(len(data.definition(id).periods) for id in data.indicators())


def test_cells_by_group_are_suppressed_as_counted_in_the_source():
    table = quality.suppression().set_index(["breakdown", "period"])
    deprivation = table.loc["deprivation"]

    assert deprivation.ok.sum() == 8022
    assert deprivation.suppressed.sum() == 1482
    assert (table.cells == table.ok + table.suppressed).all()
    assert table.loc[("age", "2019-20"), "share_without"] == pytest.approx(100 * 498 / 1440)


def test_counts_below_england_are_rounded_to_five_in_the_two_that_say_so():
    table = quality.rounding().set_index("dataset")

    rounded = table[table.rounded_to != "none"]
    assert set(rounded.index) == {"talking_therapies", "talking_therapies_services"}
    assert set(rounded.rounded_to) == {"5"}
    assert rounded.loc["talking_therapies", "marks"] == (
        "*: suppressed, NULL: no figure, an empty cell: not in the source"
    )
    assert table.loc["qof", "title"] == data.dataset("qof").title


def test_755_of_1804_registers_differ_when_published_again_and_131_of_286_of_london():
    table = quality.restatements()

    found = table.groupby("place")[["differ", "areas", "lower"]].sum()
    assert found.loc["England"].tolist() == [755, 1804, 746]
    assert found.loc["London"].tolist() == [131, 286, 131]
    first = table[table.year == "2014-15"]
    assert (first.differ == 0).all()
    assert (first["first"] == first.restated).all()
    assert first.loc[first.place == "England", "areas"].tolist() == [209, 209]
    london = table[(table.place == "London") & table.register.str.startswith("Depression")]
    moved = london.set_index("year").loc["2015-16", ["first", "restated"]]
    assert moved.tolist() == [447675, 438069]


def test_london_is_counted_the_same_in_the_restatements_and_in_the_table_of_its_areas():
    both = data.load("qof", "restatements")
    london = data.load("qof", "ccgs")
    codes = {area.code: area.ons_code for area in data.areas("ccg")}
    again = london[london.restated & london.indicator.isin(quality.REGISTERS)]
    again = again.assign(ccg_ons_code=again.ccg_code.map(codes))
    keys = ["ccg_ons_code", "year", "indicator"]
    pairs = both[both.london].merge(again[[*keys, "numerator"]], on=keys)

    assert len(pairs) == 286
    assert (pairs.restated == pairs.numerator).all()


def test_june_2025_lacks_five_services():
    months = quality.missing_services().set_index("period")

    assert months.loc["2025-06", "services"] == 5
    assert months.loc["2025-06", "codes"].split("; ") == [
        "M4P2I", "RQY12", "RQY58", "RQYMI", "RQYPR",
    ]  # fmt: skip
    assert "Wandsworth" in months.loc["2025-06", "places"]
    assert months.loc["2021-07", "codes"] == "AME01"


def test_the_merger_of_november_2024_keeps_referrals_and_loses_finished_courses():
    merger = quality.breaks().set_index("date").loc["2024-11"]

    assert (merger.referrals_before, merger.referrals_after) == (3530, 3195)
    assert (merger.finished_before, merger.finished_after) == (945, 275)
    assert merger.old_codes == "RRPJ3, RRPJ4, TAF87, TAF88"


def test_every_borough_has_a_tile_of_its_own_and_an_area_that_covers_it():
    table = tiles()
    areas = {area.code: area for area in data.areas("ccg")}

    assert len(table) == 33
    assert not table.duplicated(["row", "col"]).any()
    assert all(row.borough_code in areas[row.area_code].boroughs for row in table.itertuples())
    assert set(table.loc[table.shared, "borough"]) == {
        "City of London", "Hackney", "Kensington and Chelsea", "Westminster",
    }  # fmt: skip
    chosen = table.set_index("borough").area_code
    assert (chosen["Westminster"], chosen["Hackney"]) == ("09A", "07T")


def test_a_place_keeps_its_codes_through_a_reorganisation():
    families = service_families()

    assert families["Barnet, Camden, Enfield, Islington"] == [
        "G6V2S", "RRPJ3", "RRPJ4", "TAF87", "TAF88",
    ]  # fmt: skip
    assert families["Kingston upon Thames"] == ["M4P2I", "TAF90"]
    assert families["CNWL: Mill House"] == ["RV3AR"]
    every = [code for codes in families.values() for code in codes]
    assert sorted(every) == sorted(service_codes())
