"""Loading, joining, counting indicators by area, notices, notes of what was read."""

from __future__ import annotations

import hashlib
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence import data
from evidence.data import files
from evidence.data.plausibility import Notice
from evidence.errors import CatalogueError, DataError

ROOT = Path(__file__).resolve().parents[1]
SOUND = Path(__file__).parent / "broken_tables" / "sound"
TRIALS = "reviews/psychotherapy_depression_uk"


@pytest.fixture(autouse=True)
def _here(monkeypatch):
    monkeypatch.setenv("EVIDENCE_ROOT", str(ROOT))
    data.forget()


def rehash(folder: Path) -> None:
    stated = folder / "dataset.yml"
    text = stated.read_text()
    for path in folder.glob("*.csv"):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        text = text.replace(f"SHA256 OF {path.name}", digest)
    stated.write_text(text)


@pytest.fixture
def small(tmp_path, monkeypatch):
    shutil.copytree(SOUND, tmp_path, dirs_exist_ok=True)
    rehash(tmp_path / "data" / "raw" / "clinics")
    monkeypatch.setenv("EVIDENCE_ROOT", str(tmp_path))
    return tmp_path


def test_every_table_and_definition_of_the_workbook_is_sound():
    assert data.check() == []


def test_all_of_data_raw_is_under_4_mb():
    size = sum(path.stat().st_size for path in (ROOT / "data" / "raw").rglob("*") if path.is_file())
    assert size < 4_000_000


def test_columns_have_the_types_of_their_definition():
    qof = data.load("qof", "ccgs")
    kinds = qof.dtypes.map(str).to_dict()
    assert kinds["ccg_code"] == "str"
    assert kinds["restated"] == "bool"
    assert kinds["numerator"] == "Int64"
    assert kinds["denominator"] == "float64"
    assert str(data.load("population")["population"].dtype) == "int64"


def test_empty_text_is_missing():
    assert data.load(TRIALS, "searches")["reason"].isna().sum() == 8


def test_a_table_must_be_named_where_there_are_several():
    with pytest.raises(
        CatalogueError, match="'qof' has 3 tables \\(ccgs, england, restatements\\)"
    ):
        data.load("qof")


def test_an_unknown_dataset_table_or_indicator_is_refused_with_the_nearest_name():
    with pytest.raises(CatalogueError, match="Did you mean 'qof'"):
        data.load("qoff")
    with pytest.raises(CatalogueError, match="Did you mean 'england'"):
        data.load("qof", "englnd")
    with pytest.raises(CatalogueError, match="Did you mean 'talking-therapies-recovery'"):
        data.definition("talking-therapy-recovery")
    with pytest.raises(CatalogueError, match="there must be dataset"):
        data.dataset("../secrets")
    with pytest.raises(CatalogueError, match="Did you mean 'population'"):
        data.check("populatio")


def test_check_of_one_dataset_reads_only_that_dataset():
    assert data.check("population") == []
    read = [key for key in data.noted() if key.startswith("data/raw/")]
    assert read == ["data/raw/population/boroughs.csv", "data/raw/population/dataset.yml"]


def test_what_an_indicator_read_is_noted_with_current_hashes():
    data.indicator("talking-therapies-recovery")
    noted = data.noted()
    assert list(noted) == [
        "data/definitions/areas.yml",
        "data/definitions/frameworks.yml",
        "data/definitions/indicators/talking-therapies-recovery.yml",
        "data/raw/talking_therapies/areas.csv",
        "data/raw/talking_therapies/dataset.yml",
    ]
    assert {key: data.current_hash(key) for key in noted} == noted


def test_a_table_that_was_loaded_before_is_noted_again():
    data.load("qof", "england")
    first = data.noted()
    data.forget()
    data.load("qof", "england")
    assert data.noted() == first
    assert "data/raw/qof/england.csv" in first


def test_a_table_is_checked_once_as_long_as_its_files_stay(small, monkeypatch):
    data.load("clinics", "counts")
    monkeypatch.setattr("evidence.data.tables.find_problems", None)
    data.load("clinics", "counts")
    stated = small / "data/raw/clinics/dataset.yml"
    stated.write_text(stated.read_text() + "\n")
    with pytest.raises(TypeError):
        data.load("clinics", "counts")


def test_what_is_remembered_is_made_anew_when_a_file_behind_a_file_changes(small):
    assert data.definition("helped").title
    stated = small / "data/raw/clinics/dataset.yml"
    stated.write_text(stated.read_text().replace("title:", "titel:", 1))
    with pytest.raises(CatalogueError):
        data.definition("helped")


def test_two_threads_that_read_at_once_each_know_their_own_files(small, monkeypatch):
    monkeypatch.setattr(files, "_made", {})
    start, turn = threading.Barrier(2, timeout=5), threading.Event()

    def slow():
        data.areas()
        start.wait()
        assert turn.wait(5)
        return data.dataset("clinics")

    def quick():
        start.wait()
        data.frameworks()
        turn.set()

    with ThreadPoolExecutor(2) as pool:
        found = [
            pool.submit(files.remembered, name, make)
            for name, make in (("slow", slow), ("quick", quick))
        ]
        for each in found:
            each.result()

    reads = {name: set(files._made[(small, name)][0]) for name in ("slow", "quick")}
    assert reads["slow"] == {"data/definitions/areas.yml", "data/raw/clinics/dataset.yml"}
    assert reads["quick"] == {"data/definitions/frameworks.yml"}


def test_a_file_changed_after_it_was_loaded_is_refused(small):
    data.load("clinics", "counts")
    path = small / "data/raw/clinics/counts.csv"
    path.write_text(path.read_text().replace("\n", "\n\n", 1))
    with pytest.raises(DataError, match=r"counts\.csv"):
        data.load("clinics", "counts")


def test_what_is_done_to_a_loaded_table_does_not_reach_the_next_one():
    table = data.load("population")
    table.loc[0, "population"] = -1
    table["new"] = 1
    again = data.load("population")
    assert again.loc[0, "population"] > 0
    assert "new" not in again


def test_a_listing_is_noted_and_changes_when_a_file_is_added(small):
    assert data.indicators() == ["helped"]
    ((key, before),) = data.noted().items()
    assert key == "listing:data/definitions/indicators/*.yml"
    (small / "data/definitions/indicators/other.yml").write_text("id: other\n")
    assert data.current_hash(key) != before


def test_the_hash_of_a_changed_file_changes_and_of_a_lost_one_is_none(small):
    data.areas()
    path = small / "data/definitions/areas.yml"
    path.write_text(path.read_text() + "\n")
    assert (
        data.current_hash("data/definitions/areas.yml")
        != data.noted()["data/definitions/areas.yml"]
    )
    path.unlink()
    assert data.current_hash("data/definitions/areas.yml") is None


def test_the_root_is_the_named_folder_or_the_nearest_with_a_report(tmp_path, monkeypatch):
    assert data.root() == ROOT
    monkeypatch.setenv("EVIDENCE_ROOT", str(tmp_path / "nowhere"))
    with pytest.raises(CatalogueError, match="is not a folder"):
        data.root()
    monkeypatch.delenv("EVIDENCE_ROOT")
    inner = tmp_path / "notebooks" / "variation"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    with pytest.raises(CatalogueError, match="set EVIDENCE_ROOT"):
        data.root()
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "report.yml").write_text("title: x\n")
    assert data.root() == tmp_path


def test_an_indicator_has_one_row_per_area_with_its_rounding():
    table = data.indicator("talking-therapies-recovery", "2019-20")
    assert list(table.columns) == [
        *("area_code", "area", "period", "numerator", "denominator", "status"),
        *("rounding", "denominator_rounding"),
    ]
    assert len(table) == 32
    assert set(table.status) == {"ok"}
    assert set(table.rounding) == {2.5}
    assert set(table.denominator_rounding) == {5.0}
    assert not table.attrs


def test_a_figure_made_of_a_suppressed_part_is_missing_with_that_status(small):
    table = data.indicator("helped", "2019-20")
    assert table.area_code.tolist() == ["07L", "07M"]
    assert table.status.tolist() == ["ok", "ok"]
    table = data.indicator("helped", "2017-18")
    assert table.status.tolist() == ["suppressed", "suppressed"]
    assert table[["numerator", "denominator"]].isna().all(axis=None)


def test_a_period_map_takes_the_denominator_of_another_period_and_says_so(small):
    table = data.indicator("helped", "2018-19")
    assert table.status.tolist() == ["null", "suppressed"]
    assert [doubt.kind for doubt in data.doubts("helped", "2018-19")] == ["denominator_period"]
    assert data.doubts("helped") == []


def test_an_area_without_a_row_is_missing_not_left_out(small):
    path = small / "data/raw/clinics/coded.csv"
    text = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in text if not line.startswith("07M,2019-20")))
    stated = path.with_name("dataset.yml")
    stated.write_text(
        (SOUND / "data/raw/clinics/dataset.yml").read_text().replace("rows: 12", "rows: 10")
    )
    rehash(path.parent)
    table = data.indicator("helped")
    assert table.status.tolist() == ["ok", "missing"]


def test_an_unknown_period_is_refused(small):
    with pytest.raises(DataError, match="one of 2017-18, 2018-19, 2019-20; got '2020-21'"):
        data.indicator("helped", "2020-21")


def test_several_rows_for_an_area_are_refused_by_name(small):
    path = small / "data/definitions/indicators/helped.yml"
    path.write_text(path.read_text().replace("  measures: [helped]\n", ""))
    with pytest.raises(DataError, match=r"one row for an area.*07L, 07M have several"):
        data.indicator("helped")


def test_a_proportion_above_one_beyond_rounding_is_refused(small):
    path = small / "data/definitions/indicators/helped.yml"
    text = path.read_text().replace("[helped]", "[waiting]")
    path.write_text(
        text.replace(
            "measures: [waiting]\n  value: value\n  p", "measures: [helped]\n  value: value\n  p"
        )
    )
    with pytest.raises(DataError, match="Barking and Dagenham has 40 of 20 in 2019-20"):
        data.indicator("helped")


def test_indicators_are_found_by_tag():
    assert data.indicators("waits") == [
        "talking-therapies-wait-18-weeks",
        "talking-therapies-wait-6-weeks",
    ]
    assert len(data.indicators()) == 10


def test_frameworks_hold_9_steps_10_lessons_9_principles():
    sizes = {framework.id: len(framework.names) for framework in data.frameworks()}
    assert sizes == {"steps": 9, "lessons": 10, "principles": 9}


def test_the_protocol_states_primary_analysis_and_what_is_not_stated():
    protocol = data.protocol(TRIALS)
    assert protocol.primary["estimator"] == "REML"
    assert protocol.primary["within_study_correlation"] == 0.6
    assert protocol.outcomes[0]["direction_better"] == "higher"
    assert protocol.outcomes[0]["minimal_important_difference"] is None
    assert protocol.months_until_next_search is None
    assert protocol.search_date == "2024-01-01"
    with pytest.raises(CatalogueError, match="there must be protocol 'reviews/x'"):
        data.protocol("reviews/x")


def test_a_join_keeps_rows_and_order_of_the_left_table():
    left = pd.DataFrame({"area_code": ["c", "a", "b", "a"], "x": [1, 2, 3, 4]})
    right = pd.DataFrame({"area_code": ["a", "b", "c"], "y": [10.0, 20.0, 30.0]})
    joined = data.join(left, right, "area_code")
    assert joined.x.tolist() == [1, 2, 3, 4]
    assert joined.y.tolist() == [30.0, 10.0, 20.0, 10.0]


@given(st.permutations(list("abcdef")))
def test_a_join_does_not_depend_on_the_order_of_the_right_table(order):
    left = pd.DataFrame({"area_code": list("abcdef")})
    right = pd.DataFrame({"area_code": order, "y": [ord(code) for code in order]})
    assert data.join(left, right, "area_code").y.tolist() == [ord(code) for code in "abcdef"]


def test_a_join_on_area_and_period_matches_both():
    left = pd.DataFrame({"area_code": ["a", "a"], "period": ["1", "2"]})
    right = left.assign(y=[5, 6])
    assert data.join(left, right, ["area_code", "period"]).y.tolist() == [5, 6]
    with pytest.raises(DataError, match="the right one lacks a 2"):
        data.join(left, right[:1], ["area_code", "period"])


def test_unmatched_areas_of_either_side_are_named_unless_allowed():
    left = pd.DataFrame({"area_code": ["a", "b"]})
    right = pd.DataFrame({"area_code": ["b", "c"], "y": [1.0, 2.0]})
    with pytest.raises(DataError, match="the right one lacks a"):
        data.join(left, right, "area_code")
    with pytest.raises(DataError, match="the left one lacks c"):
        data.join(left, right, "area_code", allow_missing=["a"])
    joined = data.join(left, right, "area_code", allow_missing=["a", "c"])
    assert joined.area_code.tolist() == ["a", "b"]
    assert np.isnan(joined.y[0])


def test_a_join_refuses_repeated_keys_absent_columns_and_clashes():
    left = pd.DataFrame({"area_code": ["a"], "y": [1]})
    right = pd.DataFrame({"area_code": ["a", "a"], "z": [1, 2]})
    with pytest.raises(DataError, match="each area_code once; a come more than once"):
        data.join(left, right, "area_code")
    with pytest.raises(DataError, match="the left one lacks code"):
        data.join(left, right, "code")
    with pytest.raises(DataError, match="share no column but area_code; both have y"):
        data.join(left, left, "area_code")


def test_the_row_with_standard_errors_in_place_of_sds_is_found_and_no_other():
    (notice,) = data.notices(TRIALS)
    assert isinstance(notice, Notice)
    assert notice.rows == (503,)
    assert notice.kind == "standard_error_for_sd"
    assert "O'Mahen, 2013a (bdi-2): the SDs 2.12 and 2.31" in notice.text
    assert "9.66 and 6.52" in notice.text
    assert "11.6 and 11.6" in notice.text
    assert data.notices(TRIALS, among=[1, 503]) == [notice]
    assert data.notices(TRIALS, among=[1, 2]) == []


def test_datasets_without_plausibility_checks_raise_no_notice():
    assert data.notices("qof") == []


def notices_after(folder: Path, change: dict[str, float]) -> list[Notice]:
    """Return the notices when the first row of the trials is changed."""
    shutil.copytree(ROOT / "data", folder / "data")
    path = folder / "data" / "raw" / TRIALS / "trials.csv"
    table = pd.read_csv(path, dtype="str", keep_default_na=False)
    at = table.index[table.row == "503"]
    for name, value in change.items():
        table.loc[at, name] = str(value)
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_text(table.to_csv(index=False, lineterminator="\n"))
    after = hashlib.sha256(path.read_bytes()).hexdigest()
    stated = path.with_name("dataset.yml")
    stated.write_text(stated.read_text().replace(before, after))
    return data.notices(TRIALS)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"sd_arm1": 11.6, "sd_arm2": 11.55}, 0),
        ({"sd_arm1": 11.6}, 0),
        ({"sd_arm1": 0.2, "sd_arm2": 0.2}, 0),
        ({"baseline_sd_arm1": "", "baseline_sd_arm2": ""}, 1),
    ],
    ids=["true SDs", "one arm only", "too small for a standard error", "no baseline"],
)
def test_a_notice_needs_both_arms_to_look_like_standard_errors(
    tmp_path, monkeypatch, change, found
):
    monkeypatch.setenv("EVIDENCE_ROOT", str(tmp_path))
    assert len(notices_after(tmp_path, change)) == found


def test_an_unknown_plausibility_check_is_refused(small):
    path = small / "data/raw/clinics/dataset.yml"
    path.write_text(path.read_text() + "    plausibility:\n      - looks_odd: {}\n")
    with pytest.raises(CatalogueError, match="one of standard_error_for_sd; got 'looks_odd'"):
        data.notices("clinics")


def test_an_unknown_name_of_the_package_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        data.lod  # noqa: B018
    assert "load" in dir(data)


def test_what_is_left_out_must_be_there():
    table = pd.DataFrame({"study": ["Ames 2001", "Bell 2002"], "number": [1, 2]})

    assert data.without(table, "study", [])["study"].tolist() == ["Ames 2001", "Bell 2002"]
    assert data.without(table, "number", [1])["study"].tolist() == ["Bell 2002"]
    assert data.only(table, "number", [2])["study"].tolist() == ["Bell 2002"]
    with pytest.raises(DataError, match="what is asked for must stand in column 'number'; 3 does"):
        data.only(table, "number", [2, 3])
    with pytest.raises(DataError, match=r"'Ames 2011' does not\. Did you mean 'Ames 2001'"):
        data.without(table, "study", ["Ames 2011"])
