"""A page of SYNTHETIC restricted data is kept and shown only as its disclosure rule has it."""

import hashlib
import json
import shutil
from datetime import date
from pathlib import Path

import pytest

from book_workbook import a_notebook, point, write_run, write_workbook
from evidence import data
from evidence.book import facts, planning, staging
from evidence.disclosure import Rule, control_parts
from evidence.errors import RunError
from evidence.results import Box, Estimate, Result
from evidence.runs.execute import run_page
from evidence.runs.pages import Page
from evidence.runs.record import start
from evidence.variation import limits

NOTEBOOKS = Path(__file__).parent / "notebooks"
COUNTS = "area_code,numerator,denominator\n" + "".join(
    f"A{at},{x},{n}\n" for at, (x, n) in enumerate([(3, 40), (22, 61), (33, 87), (48, 96), (9, 52)])
)
DATASET = """\
id: clinics
title: SYNTHETIC restricted counts of five clinics
publisher: Tests
publication: none
url: not stated
licence: OGL-UK-3.0
attribution: Tests
disclosure: restricted
disclosure_rule: {threshold: 7, base: 5}
published: "2020-01-01"
accessed: "2020-01-01"
periods: ["2020"]
grain: clinic
rounding: none
left_out: nothing
how_to_check: made up
limits: [It is made up.]
tables:
  - file: counts.csv
    sha256: "SHA"
    rows: 5
    key: [area_code]
    columns:
      - {name: area_code, type: text}
      - {name: numerator, type: integer}
      - {name: denominator, type: integer}
"""
RULE = Rule(threshold=7, base=5)
BOX = {
    "size": "about 10 in 100",
    "design": "descriptive",
    "applies_to": "adults",
    "period": "2020",
}


class Drawn:
    """A picture with alternative text."""

    def __init__(self, alt):
        self.alt = alt

    def svg(self):
        return "<svg/>"


def add_clinics(root):
    folder = root / "data/raw/clinics"
    folder.mkdir(parents=True)
    (folder / "counts.csv").write_text(COUNTS)
    sha = hashlib.sha256(COUNTS.encode()).hexdigest()
    (folder / "dataset.yml").write_text(DATASET.replace("SHA", sha))


@pytest.fixture
def workbook(tmp_path, monkeypatch):
    shutil.copytree(NOTEBOOKS, tmp_path / "notebooks" / "broken")
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "report.yml").write_text("title: Test\n")
    (tmp_path / "data" / "definitions").mkdir(parents=True)
    add_clinics(tmp_path)
    monkeypatch.setenv("EVIDENCE_ROOT", str(tmp_path))
    return tmp_path


@pytest.fixture
def run(workbook):
    return start("broken/good", {"year": 2015, "scale": 2.0, "note": "x"})


def exact():
    return limits.funnel(data.load("clinics"), direction_better="higher", indicator="SYNTHETIC")


def controlled():
    table = control_parts(data.load("clinics"), RULE)
    return RULE.stated(limits.funnel(table, direction_better="higher", indicator="SYNTHETIC"))


def test_a_controlled_result_that_states_its_rule_is_kept(run):
    result = controlled()

    assert result.table["status"].tolist() == ["suppressed", "ok", "ok", "ok", "ok"]
    assert run.record(funnel=result).names == ("funnel",)


def test_a_result_of_restricted_data_that_states_no_rule_is_refused(run):
    with pytest.raises(RunError, match=r"clinics.*result 'funnel': its settings do not state"):
        run.record(funnel=exact())


def test_a_small_count_is_refused_by_result_and_column(run):
    with pytest.raises(RunError, match=r"result 'funnel', column 'numerator': a count is not"):
        run.record(funnel=RULE.stated(exact()))


def test_a_total_that_was_not_controlled_is_refused_by_its_key(run):
    whole = RULE.stated(Result(text="x", estimates=(Estimate(key="seen", value=115, n=337),)))

    with pytest.raises(RunError, match="estimate 'seen': n, a count is not"):
        run.record(funnel=controlled(), whole=whole)


def test_a_small_count_in_the_box_or_in_an_alternative_text_is_refused(run):
    said = "Only 3 people were seen."

    with pytest.raises(RunError, match="the box or conclusion, text 'Only … people"):
        run.record(box=Box(finding=said, **BOX), funnel=controlled())
    with pytest.raises(RunError, match="figure 'map', text 'Only … people"):
        run.record(figures={"map": Drawn(said)}, funnel=controlled())


def test_published_data_are_shown_as_published(workbook, run):
    path = workbook / "data/raw/clinics/dataset.yml"
    rule = "disclosure: restricted\ndisclosure_rule: {threshold: 7, base: 5}"
    path.write_text(path.read_text().replace(rule, "disclosure: published"))

    assert run.record(funnel=exact()).names == ("funnel",)


def test_reading_what_is_stated_of_a_dataset_is_not_reading_its_counts(run):
    data.dataset("clinics")

    assert run.record(found=Result(text="3 people wrote this.")).names == ("found",)


def batch(workbook, cell):
    path = workbook / "notebooks/broken/good.ipynb"
    notebook = json.loads(path.read_text())
    notebook["cells"][3]["source"] = cell
    path.write_text(json.dumps(notebook))
    return run_page(workbook, Page(id="good", title="x", notebook="broken/good", parameters={}))


def test_a_page_that_breaks_the_rule_fails_and_is_not_published(workbook):
    outcome = batch(
        workbook,
        "from evidence import data\nfrom evidence.disclosure import Rule\n"
        "from evidence.results import Result\n"
        "found = Rule(7, 5).stated(Result(text='x', table=data.load('clinics')))",
    )

    assert (
        "result 'found', column 'numerator': a count is not as the rule shows it" in outcome.error
    )
    assert not list((workbook / "data/processed/runs").glob("good-*"))


@pytest.fixture
def book(tmp_path, monkeypatch):
    root = write_workbook(tmp_path)
    add_clinics(root)
    monkeypatch.setenv("EVIDENCE_ROOT", str(root))
    return root


def stage(root, result, notebook=None):
    folder = write_run(root, "recovery", result=result, notebook=notebook)
    path = folder / "run.json"
    run = json.loads(path.read_text())
    run["reads"]["data/raw/clinics/counts.csv"] = "a" * 64
    path.write_text(json.dumps(run))
    return staging.stage(root, planning.plan(root), root / "source", date(2027, 1, 1), "1")


def test_the_book_shows_a_page_that_keeps_the_rule(book):
    stage(book, controlled())

    assert (book / "source/recovery.ipynb").is_file()


def test_the_book_refuses_a_page_of_restricted_data_whose_run_states_no_rule(book):
    with pytest.raises(RunError, match=r"page recovery: result 'funnel': its settings do not"):
        stage(book, exact())


def test_the_book_refuses_a_page_whose_notebook_shows_what_the_results_do_not(book):
    shown = a_notebook(controlled())
    shown["cells"][3]["outputs"] = [
        {"output_type": "execute_result", "data": {"text/html": data.load("clinics").to_html()}}
    ]

    with pytest.raises(RunError, match="page recovery: cell 4, column 'numerator': a count is not"):
        stage(book, controlled(), shown)


def test_the_book_does_not_repeat_an_error_where_data_are_restricted(book):
    point(book, "failing", run="", state="failed", error="rows hold [3, 9]")

    stage(book, controlled())

    shown = "".join(
        path.read_text(encoding="utf-8")
        for path in (book / "source").rglob("failing.*")
        if path.is_file()
    )
    assert "not shown, because this workbook holds restricted data" in shown
    assert "[3, 9]" not in shown


def test_a_dataset_that_cannot_be_read_counts_as_restricted(book):
    rule = "disclosure: restricted\ndisclosure_rule: {threshold: 7, base: 5}"
    path = book / "data/raw/clinics/dataset.yml"
    sound = path.read_text(encoding="utf-8")

    path.write_text(sound.replace(rule, "disclosure: published"), encoding="utf-8")
    assert not facts.any_restricted()

    path.write_text("disclosure: [", encoding="utf-8")
    assert facts.any_restricted()
