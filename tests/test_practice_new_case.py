"""A new documented site: a file from a template, filled in or refused by file, line and key."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from evidence import cli
from evidence.data import practice, registry, templates
from evidence.errors import CatalogueError
from evidence.vocabulary import DESIGNS
from new_definitions import copy_workbook, require_refused_until_filled_in

FILLED = {
    "title": "A crisis house, Hackney",
    "place": "Hackney, London",
    "boroughs": ["E09000012"],
    "model": "Written for a test.",
    "lessons": ["L7"],
    "steps": [],
    "principles": ["P3"],
    "status": "unknown",
    "design": "before_after",
    "comparator": "the same people before",
    "population": "people in crisis",
    "n": 40,
    "- id": "admissions",
    "outcome": "admissions in six months",
    "reported_by": "service",
    "direction_better": "lower",
    "measure": "RR",
    "estimate": 0.61,
    "interval": [0.48, 0.76],
    "decimals": 2,
    "note": "Written for a test.",
    "transferability": "Written for a test.",
    "source": "a test",
    "accessed": "not stated",
}


@pytest.fixture
def workbook(tmp_path, monkeypatch):
    return copy_workbook(tmp_path, monkeypatch)


def fill(path, values):
    """Fill in marked lines as a person would: each key's line is written anew, once."""
    lines, left = [], dict(values)
    for line in path.read_text(encoding="utf-8").splitlines():
        found = re.match(r"( *)((?:- )?\w+): (?=.*TO DO)", line)
        if found and found[2] in left:
            line = f"{found[1]}{found[2]}: {templates._flow(left.pop(found[2]))}"
        lines.append(line)
    assert left == {}
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_a_template_filled_in_is_a_case_and_stands_in_the_directory(workbook):
    path = templates.new_case("hackney-crisis-house")
    assert len(templates.to_do_lines(path)) == len(FILLED)
    fill(path, FILLED)

    found = practice.case("hackney-crisis-house")

    assert (found.title, found.n, found.started) == (FILLED["title"], "40 people", "not stated")
    assert found.findings[0].estimate == 0.61
    assert "hackney-crisis-house" in set(registry.sites()["id"])


def test_every_key_of_a_case_and_of_an_outcome_is_in_the_template_under_a_line_of_help(workbook):
    text = templates.new_case("new-one").read_text(encoding="utf-8")

    keys = {field.name for field in fields(practice.Case)} - {"tags", "findings"}
    keys |= {field.name for field in fields(practice.Tags)} | {"outcomes", "interval"}
    written = set(re.findall(r"^ *(?:- )?(\w+):", text, flags=re.MULTILINE))
    assert keys <= written
    told = {*written, *re.findall(r"\w+", text.split("also, where needed:")[1])}
    outcome = {field.name for field in fields(practice.Finding)} - {"text", "low", "high"}
    assert outcome - {"reading"} <= told
    for choices in (practice.STATUSES, DESIGNS, practice.REPORTERS, practice.SCALES):
        assert f"one of {', '.join(choices)}" in text


def test_the_command_writes_the_file_and_a_build_refuses_it_until_it_is_filled_in(workbook, capsys):
    require_refused_until_filled_in(
        workbook,
        capsys,
        "case",
        "hackney-crisis-house",
        path="data/raw/practice/hackney-crisis-house.yml",
        lines=24,
    )


def test_a_case_that_is_wrong_stops_a_build_before_anything_runs(workbook, capsys):
    path = workbook / "data" / "raw" / "practice" / "sussex-street-triage.yml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("lessons: [L7, L8]", "lessons: [L11]"), encoding="utf-8")

    with pytest.raises(SystemExit) as ended:
        cli.main(["build"])

    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert "sussex-street-triage.yml, line 6: lessons must name lessons" in said
    assert not (workbook / "data" / "processed").exists()


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("note", "TO DO", "must be filled in; it is marked TO DO"),
        ("lessons", ["L12"], "'L12' is none"),
        ("interval", [0.48, 0.96], "must fit the estimate 0.61 on the log scale"),
        ("design", "trial", "got 'trial'"),
        ("boroughs", ["Hackney"], "'Hackney' is none"),
    ],
)
def test_a_slip_is_refused_by_file_and_line(workbook, key, value, says):
    path = templates.new_case("hackney-crisis-house")
    fill(path, {**FILLED, key: value})

    with pytest.raises(CatalogueError) as refused:
        practice.cases()

    line = re.match(
        r"data/raw/practice/hackney-crisis-house\.yml, line (\d+): ", str(refused.value)
    )
    assert line
    written = path.read_text(encoding="utf-8").splitlines()[int(line[1]) - 1]
    assert written.strip().startswith(key)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("id", "says"),
    [
        ("Crisis House", "Write it as 'crisis-house'."),
        ("../x", "Write it as 'x'."),
        ("sussex-street-triage", "data/raw/practice/sussex-street-triage.yml is there already"),
    ],
)
def test_what_cannot_become_a_case_is_refused_and_nothing_written(workbook, id, says):
    folder = workbook / "data" / "raw" / "practice"
    before = {path: path.read_bytes() for path in folder.iterdir()}

    with pytest.raises(CatalogueError) as refused:
        templates.new_case(id)

    assert says in str(refused.value)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
