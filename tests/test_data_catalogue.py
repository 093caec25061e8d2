"""The catalogue: where the workbook is, what its definitions say, what was read."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from evidence import data
from evidence.errors import CatalogueError

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _here(monkeypatch):
    monkeypatch.setenv("EVIDENCE_ROOT", str(ROOT))
    data.forget()


def test_the_catalogue_is_imported_without_pandas():
    code = (
        "import sys; from evidence import data; data.areas; "
        "sys.exit(any(m in sys.modules for m in ('pandas', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_areas_hold_32_ccgs_33_boroughs_and_what_they_became():
    kinds = Counter(area.kind for area in data.areas())
    assert kinds == {
        "ccg": 32,
        "merged_ccg": 5,
        "icb": 5,
        "borough": 33,
        "region": 1,
        "country": 1,
    }
    known = {area.code for area in data.areas()}
    assert all(area.successor in known for area in data.areas() if area.successor)


def test_17_ccgs_merged_in_april_2020_and_15_in_april_2021():
    merged = Counter((area.abolished, area.successor) for area in data.areas("ccg"))
    assert merged == {
        ("2020-04-01", "93C"): 5,
        ("2020-04-01", "72Q"): 6,
        ("2020-04-01", "36L"): 6,
        ("2021-04-01", "A3A8R"): 7,
        ("2021-04-01", "W2U3Z"): 8,
    }


def test_every_borough_has_a_tile_of_its_own():
    tiles = {(area.row, area.col) for area in data.areas("borough")}
    assert len(tiles) == 33
    assert all(row >= 1 and col >= 1 for row, col in tiles)


def test_ccgs_cover_all_boroughs():
    boroughs = {area.code for area in data.areas("borough")}
    assert {code for area in data.areas("ccg") for code in area.boroughs} == boroughs


def test_an_unknown_kind_of_area_is_refused_with_the_nearest():
    with pytest.raises(CatalogueError, match="Did you mean 'borough'"):
        data.areas("bourough")


def test_what_is_read_is_noted_until_forgotten():
    data.areas()
    assert list(data.noted()) == ["data/definitions/areas.yml"]
    for key, value in data.noted().items():
        assert data.current_hash(key) == value
    data.forget()
    assert data.noted() == {}


def test_an_area_says_what_it_covered_and_who_took_over_by_name():
    hackney, bexley = data.area("07T"), data.area("07N")

    said = hackney.described(data.area(hackney.successor))
    assert said["Taken over by"] == "NHS North East London CCG"
    assert said["What it covered"] == "Two boroughs: Hackney and the City of London."
    assert list(bexley.described(data.area(bexley.successor))) == [
        "Taken over by",
        "Today's integrated care board",
        "Codes",
    ]


def test_every_quantity_has_its_unit():
    """Numbers without one are years, places in an order, codes and marks for yes and no."""
    found = {
        column.name
        for id in data.datasets()
        for table in data.dataset(id).tables
        for column in table.columns
        if column.type in ("integer", "number") and not column.unit
    }
    order = {"year", "month", "id", "arm", "row", "ring", "point", "order"}
    assert found == order | {"sg", "ac", "itt", "rob", "smokban"}
