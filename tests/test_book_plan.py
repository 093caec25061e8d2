"""The plan of the report: families, needs, refusals with file and line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from book_workbook import write_workbook
from evidence import book
from evidence.book.planning import PAGE_ID, slug
from evidence.errors import CatalogueError

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def workbook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EVIDENCE_ROOT", str(tmp_path))
    return write_workbook(tmp_path)


def planned_with(workbook: Path, old: str, new: str) -> book.Report:
    path = workbook / "book/report.yml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return book.plan(workbook)


def test_pages_stand_in_reading_order_with_their_part(workbook: Path) -> None:
    report = book.plan(workbook)

    assert [page.id for page in report.pages][:4] == [
        "index",
        "data-catalogue",
        "rerun",
        "recovery",
    ]
    assert [part.id for part in report.parts] == ["front", "variation", "areas", "methods"]
    assert report.page("recovery").part == "variation"
    assert report.page("recovery").parameters == {"indicator": "recovery"}


def test_a_family_makes_a_page_of_each_area(workbook: Path) -> None:
    report = book.plan(workbook)

    page = report.page("area-kings-cross")
    assert (page.title, page.subject, page.parameters) == ("King's Cross", "08Y", {"area": "08Y"})
    assert [p.id for p in report.pages if p.subject] == [
        "area-barnet",
        "area-camden",
        "area-kings-cross",
    ]


def test_a_need_for_a_part_stands_for_its_pages_with_results(workbook: Path) -> None:
    report = book.plan(workbook)

    assert report.page("area-barnet").needs == ("recovery", "failing", "waiting")


def test_the_chain_names_its_questions_in_order(workbook: Path) -> None:
    first, second = book.plan(workbook).chain

    assert (first.question, first.parts, first.page) == (
        "Where do areas differ?",
        ("variation",),
        "recovery",
    )
    assert second.page == "glossary"


def test_a_report_needs_no_chain(workbook: Path) -> None:
    path = workbook / "book/report.yml"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    at = lines.index("chain:\n")
    path.write_text("".join(lines[:at] + lines[at + 3 :]), encoding="utf-8")

    assert book.plan(workbook).chain == ()


def test_the_plan_of_the_workbook_itself_has_the_pages_of_the_first_edition() -> None:
    report = book.plan(ROOT)
    ids = [page.id for page in report.pages]

    assert sum(id.startswith("area-") for id in ids) == 32
    variation = [page for page in report.pages if page.part == "variation"]
    assert sum(page.notebook == "variation/area_variation" for page in variation) == 10
    assert ids[0] == "index"
    assert {"change-in-recovery", "change-in-referrals", "data-catalogue", "methods"} <= set(ids)
    assert set(report.page("index").needs) == {
        page.id for page in report.pages if page.part in ("variation", "evidence", "gain")
    }


def test_planning_needs_neither_pandas_nor_sphinx() -> None:
    code = (
        "import sys; from pathlib import Path; from evidence import book;"
        f"book.plan(Path({str(ROOT)!r}));"
        "print([m for m in ('pandas', 'sphinx', 'numpy', 'nbformat') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("edition:", "editoin:", "edition must be text; it is missing"),
        ("title: Front,", "titel: Front, title: Front,", r"line 13: .*titel is not a known key"),
        ("needs: [", "nedes: [", "nedes is not a known key here.*Did you mean 'needs'"),
        ('"area-{slug}"', '"area-{slag}"', r"only known placeholders .*\{slug\}.*not \{slag\}"),
        ("id: index, title: Front", "id: index, title: '{name}'", "none without for_each"),
        ("areas(kind=ccg)", "areas(knid=ccg)", "for_each must be indicators"),
        ("areas(kind=ccg)", "areas(kind=icb)", "for_each must find at least one"),
        ("areas(kind=ccg)", "towns()", "for_each must be indicators"),
        ("areas(kind=ccg)", "framework()", "for_each must be indicators"),
        ("areas(kind=ccg)", "indicators(tag=x)", "for_each must find at least one"),
        ("id: waiting", "id: failing", "'failing' comes twice"),
        ("id: waiting", "id: Waiting", "must be lower-case letters, digits and hyphens"),
        ("id: waiting", "id: search", "must be lower-case letters.*not search"),
        ("part:variation", "part:variaton", "parts that exist, not 'variaton'.*'variation'"),
        ("part:variation", "recovry", "pages that exist, not 'recovry'.*'recovery'"),
        ("part:variation", "glossary", "'glossary' is prose alone"),
        ("id: areas\n    title", "id: front\n    title", "id must be the part's own"),
        ("prose: areas.md", "prose: gone.md", "prose must name a file below book/"),
        (", prose: rerun.md", "", "notebook or prose must be given"),
        ("prose: areas.md", "prose: areas.md, parameters: {a: 1}", "parameters need a notebook"),
        ("{page: rerun}", "{page: reron}", "page must be the id of a page.*'rerun'"),
        ("data_page: data-catalogue", "data_page: data", "data_page must be the id of a page"),
        ("parts: [methods]", "parts: [method]", "chain.2..parts must name parts, not"),
        ("page: glossary}", "page: glosary}", "chain.2..page must be the id of a page"),
        ("question: Where do areas differ?, ", "", "chain.1..question .*it is missing"),
        ("id: index", "id: start", "must hold a page 'index'"),
    ],
)
def test_a_wrong_plan_is_refused_with_its_file_and_line(
    workbook: Path, old: str, new: str, said: str
) -> None:
    with pytest.raises(CatalogueError, match=said) as caught:
        planned_with(workbook, old, new)

    assert "book/report.yml" in str(caught.value)


def test_pages_that_need_each_other_in_a_circle_are_refused_with_the_circle(
    workbook: Path,
) -> None:
    path = workbook / "book/report.yml"
    text = path.read_text(encoding="utf-8")
    text = text.replace("id: failing,", "id: failing, needs: [waiting],")
    path.write_text(text.replace("id: waiting,", "id: waiting, needs: [failing],"), "utf-8")

    with pytest.raises(CatalogueError, match="failing → waiting → failing"):
        book.plan(workbook)


def test_an_unknown_page_is_refused_with_the_nearest(workbook: Path) -> None:
    with pytest.raises(CatalogueError, match=r"no 'recovry'\. Did you mean 'recovery'"):
        book.plan(workbook).page("recovry")


def test_indicators_can_be_chosen_with_or_without_a_tag() -> None:
    report = book.plan(ROOT)
    ids = [page.id for page in report.pages if page.notebook == "variation/area_variation"]

    assert all(id.startswith("talking") for id in ids[:6])
    assert not any(id.startswith("talking") for id in ids[6:])


@given(st.text(min_size=1))
def test_a_slug_fits_into_a_page_id(name: str) -> None:
    assert PAGE_ID.fullmatch(f"area-{slug(name)}" if slug(name) else "area")


def test_a_framework_makes_one_page_of_each_entry():
    report = book.plan(Path(__file__).resolve().parents[1])

    pages = {page.id: page for page in report.pages}

    assert pages["lesson-10"].parameters == {"lesson": "L10"}
    assert pages["lesson-10"].title.startswith("Lesson 10: Long-term")
    assert sum(id.startswith("step-") for id in pages) == 9
