"""A new indicator: a file from a template, a few lines filled in, its page and nothing else new."""

from __future__ import annotations

import re
from dataclasses import fields
from itertools import pairwise

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from evidence import book, data
from evidence.data import templates
from evidence.data.definitions import Indicator, Part
from evidence.errors import CatalogueError
from evidence.runs.execute import run_pages
from evidence.runs.fresh import states
from evidence.runs.store import Store, read_json
from new_definitions import copy_workbook, require_refused_until_filled_in

LIKE = "smi-blood-pressure"
ALCOHOL = {
    "title": "Alcohol use on record for people with severe mental illness (MH007)",
    "short": "SMI alcohol",
    "question": "Do London areas differ in the share whose alcohol use is on record?",
    "numerator.label": "patients with alcohol use on record",
    "numerator.where": {"indicator": "MH007", "restated": False},
    "denominator.label": "patients with severe mental illness on the register, less exceptions",
    "denominator.where": {"indicator": "MH007", "restated": False},
    "why_it_matters.text": "Written for a test.",
    "why_it_matters.source": "a test",
    "limits": ["Written for a test."],
}
BLANK = {
    **ALCOHOL,
    "measure": "proportion",
    "numerator.value": "numerator",
    "denominator.value": "denominator",
    "exclusions": "Patients excepted by their practice.",
    "direction_better": "higher",
    "lever": "Checks in general practice",
    "tags": ["S7", "severe-mental-illness"],
    "periods": ["2017-18", "2018-19"],
    "default_period": "2018-19",
}
NOWHERE = {
    **BLANK,
    **{
        f"{part}.{key}": value
        for part in ("numerator", "denominator")
        for key, value in {
            "dataset": "qof",
            "table": "ccgs",
            "area": "ccg_code",
            "period": "year",
        }.items()
    },
}


@pytest.fixture
def workbook(tmp_path, monkeypatch):
    return copy_workbook(tmp_path, monkeypatch)


def fill(path, values):
    """Fill in marked lines as a person would: each key's line is written anew, once."""
    lines, part = [], ""
    left = dict(values)
    for line in path.read_text(encoding="utf-8").splitlines():
        if found := re.match(r"(  )?(\w+):", line):
            part = part if found[1] else f"{found[2]}."
            key = f"{part}{found[2]}" if found[1] else found[2]
            if key in left:
                line = f"{found[1] or ''}{found[2]}: {templates._flow(left.pop(key))}"
        lines.append(line)
    assert left == {}
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def keys_of(path):
    """Every key of a file with its part, commented ones too."""
    found, part = set(), ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if key := re.match(r"(  )?(?:# )?(\w+):(?: |$)", line):
            part = part if key[1] else f"{key[2]}."
            found.add(f"{part}{key[2]}" if key[1] else key[2])
    return found


# The template


@pytest.mark.parametrize(
    ("choices", "values"),
    [({"like": LIKE}, ALCOHOL), ({"dataset": "qof"}, BLANK), ({}, NOWHERE)],
    ids=["like another", "for a dataset", "blank"],
)
def test_a_template_filled_in_is_a_definition_and_half_filled_is_refused(workbook, choices, values):
    path = templates.new_indicator("smi-alcohol", **choices)

    with pytest.raises(CatalogueError, match=r"smi-alcohol\.yml, line 7: title must be filled in"):
        data.definition("smi-alcohol")
    fill(path, values)
    found = data.definition("smi-alcohol")

    assert (found.id, found.short) == ("smi-alcohol", "SMI alcohol")
    assert len(data.indicator("smi-alcohol").query("status == 'ok'")) == 32
    assert templates.to_do_lines(path) == []


def test_every_key_of_the_schema_is_written_under_a_line_of_help(workbook):
    path = templates.new_indicator("new-one", dataset="qof")

    lines = path.read_text(encoding="utf-8").splitlines()
    plain = {field.name for field in fields(Indicator)} - {"why_source"}
    parts = {f"{part}.{key.name}" for part in ("numerator", "denominator") for key in fields(Part)}
    assert plain | parts | {"why_it_matters.text", "why_it_matters.source"} <= keys_of(path)
    bare = [
        line
        for before, line in pairwise(lines)
        if re.match(r" *\w+:", line) and not before.strip().startswith("#")
    ]
    assert [line.split(":")[0].strip() for line in bare] == ["text", "source"]


def test_the_lines_to_fill_in_are_those_that_the_refusal_names(workbook):
    path = templates.new_indicator("new-one", like=LIKE)
    marked = templates.to_do_lines(path)

    with pytest.raises(CatalogueError) as refused:
        data.definition("new-one")

    text = path.read_text(encoding="utf-8").splitlines()
    assert len(marked) == len(ALCOHOL) == 10
    assert f"line {marked[0]}: title" in str(refused.value)
    assert f"(as in lines {', '.join(map(str, marked[1:]))})" in str(refused.value)
    assert "Write there: name of the page" in str(refused.value)
    assert all(templates.TO_DO in text[number - 1] for number in marked)


def test_a_template_is_utf_8_with_plain_line_ends(workbook):
    content = templates.new_indicator("new-one").read_bytes()

    assert b"\r" not in content
    assert "…" in content.decode("utf-8")


@pytest.mark.parametrize("like", data.indicators())
def test_any_indicator_can_be_copied_and_what_it_says_of_itself_is_marked(workbook, like):
    path = templates.new_indicator("new-one", like=like)

    text, marked = path.read_text(encoding="utf-8").splitlines(), templates.to_do_lines(path)
    stated = data.definition(like)
    for own in (stated.title, stated.why_it_matters, stated.limits[0], stated.numerator.label):
        found = [n for n, line in enumerate(text, start=1) if own[:30] in line]
        assert found
        assert set(found) <= set(marked)
    assert 'standard: "none"' in text


def test_counted_measures_are_marked_and_the_kind_of_area_is_kept(workbook):
    path = templates.new_indicator("new-one", like="talking-therapies-recovery")

    text = path.read_text(encoding="utf-8")
    assert 'where: {"area_type": "CCG"}' in text
    assert re.search(r'measures: \["TO DO: one of at_caseness, .* \(was: recovery\)"\]', text)
    assert 'minus: ["not_at_caseness"]' in text


def test_a_part_without_choice_of_rows_has_its_column_marked(workbook):
    numerator = {"label": "x", "dataset": "deprivation", "table": "ccgs", "value": "imd_score"}

    templates._mark_part(numerator, {})

    assert numerator["value"] == "TO DO: column of the figures (was: imd_score)"


def test_a_doubt_that_is_copied_is_marked(workbook):
    path = templates.new_indicator("new-one", like="talking-therapies-referrals")

    text = path.read_text(encoding="utf-8")
    assert '"TO DO: whether this doubt holds here too (was: Referrals of 2019-20' in text


def test_a_dataset_with_several_tables_offers_them_and_its_measures(workbook):
    path = templates.new_indicator("new-one", dataset="talking_therapies")

    text = path.read_text(encoding="utf-8")
    assert 'table: "TO DO: one of areas, waits, by_group"' in text
    assert 'measures: ["TO DO: one of at_caseness, ' in text
    assert 'value: "value"' in text


@pytest.mark.parametrize(
    ("id", "choices", "says"),
    [
        ("Crisis_Response", {}, "got 'Crisis_Response'. Write it as 'crisis-response'."),
        ("--", {}, "Choose one such as"),
        ("../x", {}, "got '../x'. Write it as 'x'."),
        ("x\n", {}, "Write it as 'x'."),
        (LIKE, {}, f"data/definitions/indicators/{LIKE}.yml is there already"),
        ("x", {"like": "smi-blod-pressure"}, f"Did you mean '{LIKE}'?"),
        ("x", {"dataset": "qoff"}, "there must be dataset 'qoff'"),
        ("x", {"dataset": "population"}, "dataset 'population' has none. Choose one of "),
        ("x", {"like": LIKE, "dataset": "qof"}, "both were given. Drop one"),
    ],
)
def test_what_cannot_become_an_indicator_is_refused_and_nothing_written(
    workbook, id, choices, says
):
    folder = workbook / "data/definitions/indicators"
    before = {path: path.read_bytes() for path in folder.iterdir()}

    with pytest.raises(CatalogueError) as refused:
        templates.new_indicator(id, **choices)

    assert says in str(refused.value)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


# Slips of a newcomer


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("title", "TO DO", "title must be filled in; it is marked TO DO. Write there: what it"),
        ("limits", ["One.", "TO DO: two"], "limits must be filled in"),
        ("numerator.where", {"indicator": "MH07", "restated": False}, "'MH07' is none"),
        ("numerator.where", {"indicator": "MH07", "restated": False}, "Did you mean 'MH007'?"),
        ("numerator.where", {"indicator": "MH007", "restated": "no"}, "true or false for restated"),
        ("numerator.where", {"indicatr": "MH007"}, "Did you mean 'indicator'?"),
        ("short", "A name that does not fit in a row", "at most 28 characters, not 33"),
        ("tags", ["S12"], "S1 to S9"),
    ],
)
def test_a_slip_is_refused_by_file_and_line(workbook, key, value, says):
    path = templates.new_indicator("smi-alcohol", like=LIKE)
    fill(path, {**ALCOHOL, key: value})

    with pytest.raises(CatalogueError) as refused:
        data.definition("smi-alcohol")

    line = re.match(
        r"data/definitions/indicators/smi-alcohol\.yml, line (\d+): ", str(refused.value)
    )
    assert line
    written = path.read_text(encoding="utf-8").splitlines()[int(line[1]) - 1]
    assert written.strip().startswith(key.split(".")[-1])
    assert says in str(refused.value)


# The command and what follows from it


def test_the_command_writes_the_file_and_a_build_refuses_it_until_it_is_filled_in(workbook, capsys):
    require_refused_until_filled_in(
        workbook,
        capsys,
        "indicator",
        "smi-alcohol",
        "--like",
        LIKE,
        path="data/definitions/indicators/smi-alcohol.yml",
        lines=10,
    )


def profile_of(root, page):
    folder = Store(root).runs / Store(root).pointer(page)["run"]
    return pd.read_csv(folder / "tables" / "profile.csv", index_col="indicator")


def reads_of(root, page):
    run = read_json(Store(root).runs / Store(root).pointer(page)["run"] / "run.json")
    return run["reads"], run["pages"]


def test_ten_minutes_bring_a_page_and_a_row_in_the_area_pages_and_nothing_else(workbook):
    before = book.plan(workbook)
    area = before.page("area-camden")
    chosen = [p for p in before.pages if p.id in (*area.needs, area.id, "data-catalogue")]
    run_pages(workbook, chosen)
    assert set(states(workbook, chosen).values()) == {"fresh"}
    pointers = {page.id: Store(workbook).pointer(page.id) for page in chosen}
    rows = profile_of(workbook, area.id)
    reads, read_pages = reads_of(workbook, area.id)

    fill(templates.new_indicator("smi-alcohol", like=LIKE), ALCOHOL)

    after = book.plan(workbook)
    assert {p.id for p in after.pages} - {p.id for p in before.pages} == {"smi-alcohol"}
    assert after.page("smi-alcohol").title == ALCOHOL["title"]
    readers = {page.id for page in after.pages if "smi-alcohol" in page.needs}
    assert readers == {page.id for page in before.pages if LIKE in page.needs}
    assert {"index", "how-much-is-real", "area-camden", "area-sutton"} <= readers
    chosen = [p for p in after.pages if p.id in (*pointers, "smi-alcohol")]
    stale = {page: state for page, state in states(workbook, chosen).items() if state != "fresh"}
    assert stale == {"smi-alcohol": "never run", "area-camden": "stale"}

    outcomes = {outcome.page: outcome for outcome in run_pages(workbook, chosen)}

    assert {page for page, outcome in outcomes.items() if not outcome.reused} == set(stale)
    assert all(outcome.state == "complete" for outcome in outcomes.values())
    same = {page for page, pointer in pointers.items() if Store(workbook).pointer(page) == pointer}
    assert same == set(pointers) - {"area-camden"}
    now, now_pages = reads_of(workbook, area.id)
    yml = "data/definitions/indicators/smi-alcohol.yml"
    assert set(now) - set(reads) == {yml}
    assert {key for key in reads if now[key] != reads[key]} == {
        "listing:data/definitions/indicators/*.yml"
    }
    assert set(now_pages) - set(read_pages) == {"smi-alcohol"}
    assert {page: now_pages[page] for page in read_pages} == read_pages
    profile = profile_of(workbook, area.id)
    assert set(profile.index) == {*rows.index, "smi-alcohol"}
    ranked = profile.loc[rows.index, "rank"].sort_values().index
    assert list(ranked) == list(rows["rank"].sort_values().index)
    assert_frame_equal(profile.loc[rows.index].drop(columns="rank"), rows.drop(columns="rank"))
