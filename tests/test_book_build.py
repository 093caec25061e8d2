"""The built book: what stands on its pages, when it is built again, and what is refused."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from bs4 import BeautifulSoup

from book_workbook import ALT, BOX, a_notebook, a_result, point, write_run, write_workbook
from evidence import book
from evidence.book import building, facts, pieces
from evidence.book.extension import clean_body
from evidence.book.planning import plan
from evidence.book.staging import linked, table_of_contents
from evidence.errors import CatalogueError, RunError

TODAY = "2026-11-22"


def built(root: Path, **asked: Any) -> book.Built:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVIDENCE_ROOT", str(root))
        return book.build(root, as_of=asked.pop("as_of", TODAY), **asked)


@pytest.fixture(scope="session")
def workbook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_workbook(tmp_path_factory.mktemp("workbook"))
    built(root)
    return root


@pytest.fixture
def own(workbook: Path, tmp_path: Path) -> Path:
    """Return a copy of the built workbook that a test may change."""
    return Path(shutil.copytree(workbook, tmp_path / "own"))


def page(root: Path, name: str) -> BeautifulSoup:
    text = (root / "book/_site" / f"{name}.html").read_text(encoding="utf-8")
    return BeautifulSoup(text, "html.parser")


def words(soup: Any) -> str:
    return " ".join(soup.get_text(" ").split())


def files(root: Path) -> dict[str, bytes]:
    site = root / "book/_site"
    return {p.relative_to(site).as_posix(): p.read_bytes() for p in site.rglob("*") if p.is_file()}


def change(root: Path, name: str, old: str, new: str) -> None:
    path = root / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_page_opens_with_its_title_and_its_box(workbook: Path) -> None:
    article = page(workbook, "recovery").article
    assert article is not None
    title, box = article.select_one("h1"), article.select_one("section.ev-box")

    assert title is not None
    assert box is not None
    assert title.find_next_sibling() is box
    for text in (BOX["finding"], BOX["size"], BOX["applies_to"], "2019-20", "1 March 2027"):
        assert text in words(box)
    assert "Not rated" in words(box)
    assert "Design Description " in words(box)
    assert "Read with care: Doubt about small_counts." in words(box)
    assert "and 4 more" in words(box)
    assert "Computed, run 0123456789ab" in words(box)


def test_prose_and_results_stand_in_their_order(workbook: Path) -> None:
    text = words(page(workbook, "recovery").article)
    order = [
        "What the page is about",
        "How much do areas differ?",
        "The funnel",
        "Recovery was 52.0 % over all areas.",
        "What follows from it",
        "Cautions",
        "How this was computed",
        "Code of this page",
        "Cite this page",
    ]

    assert [text.index(each) for each in order] == sorted(text.index(each) for each in order)


def test_three_cautions_are_in_sight_and_the_others_in_a_fold(workbook: Path) -> None:
    section = page(workbook, "recovery").select_one("section#cautions")
    assert section is not None
    fold = section.select_one("details")
    assert fold is not None

    assert [item.get_text() for item in fold.select("li")] == [
        "Doubt about old_data.",
        "Doubt about other.",
    ]
    assert len(section.select("li")) == 5
    assert words(page(workbook, "recovery")).count("Doubt about rounding") == 1


def test_the_page_says_how_it_was_computed(workbook: Path) -> None:
    fold = page(workbook, "recovery").select_one("#how-this-was-computed")
    text = words(fold)

    for each in (
        "0123456789ab",
        "notebooks/variation/area_variation.ipynb",
        "indicator = recovery",
        "levels = 0.95, 0.998",
        "note = none",
        "data/definitions/areas.yml sha256 bbbbbbbbbbbb",
        "pandas 3.1.1",
        "evidence run recovery",
    ):
        assert each in text
    assert "listing" not in text
    assert fold is not None
    link = fold.select_one("a[href='data-catalogue.html#dataset-talking-therapies']")
    assert link is not None


def test_a_page_names_the_pages_whose_results_it_read(workbook: Path) -> None:
    fold = page(workbook, "area-barnet").select_one("#how-this-was-computed")
    assert fold is not None

    assert fold.select_one("a[href='recovery.html']") is not None


def test_every_file_that_a_page_offers_is_there(workbook: Path) -> None:
    soup = page(workbook, "recovery")
    links = [str(a["href"]) for a in soup.select(".ev-downloads a")]

    assert links == [
        f"downloads/recovery/{name}"
        for name in ("funnel.csv", "funnel.svg", "recovery.ipynb", "citation.bib")
    ]
    for link in links:
        assert (workbook / "book/_site" / link).is_file()
    assert "run 0123456789ab" in (
        workbook / "book/_site/downloads/recovery/citation.bib"
    ).read_text(encoding="utf-8")


def test_a_picture_has_the_text_that_says_what_it_shows(workbook: Path) -> None:
    picture = page(workbook, "recovery").select_one("article img")
    assert picture is not None

    assert picture["alt"] == ALT
    assert (workbook / "book/_site" / str(picture["src"])).is_file()


def test_a_number_in_prose_is_the_one_of_the_run_and_leads_to_its_page(workbook: Path) -> None:
    soup = page(workbook, "index")
    results = json.loads(
        (workbook / "data/processed/runs/recovery-0123456789ab/results.json").read_text("utf-8")
    )
    pooled = results["results"]["funnel"]["estimates"][0]["value"]

    assert f"Recovery was {pooled:.1f} % ( 51.54 at least; of 1,234 )" in words(soup)
    link = soup.select_one("a.ev-num")
    assert link is not None
    assert link["href"] == "recovery.html"


def test_a_page_that_failed_says_so_with_the_error_and_without_figures(workbook: Path) -> None:
    text = words(page(workbook, "failing").article)

    assert "This page could not be computed. page failing, cell 3: ValueError: <no>" in text
    assert "No figures are shown" in text
    assert "How this was computed" not in text
    assert "we know (not available)" in words(page(workbook, "index"))


def test_a_page_that_never_ran_says_so(workbook: Path) -> None:
    text = words(page(workbook, "waiting").article)

    assert "has not been computed yet. Run evidence run waiting to compute it." in text


def test_pages_that_answer_a_question_of_the_chain_lead_to_the_others(workbook: Path) -> None:
    first, second = page(workbook, "failing").select("nav.chain li")

    assert (first["class"], first.a["href"], first.a["aria-current"]) == (
        ["chain-here"],
        "recovery.html",
        "step",
    )
    assert (second.get("class"), second.a["href"]) == (None, "glossary.html")
    assert second.a.get_text() == "How is it <computed>?"


def test_the_page_that_a_question_leads_to_does_not_lead_to_itself(workbook: Path) -> None:
    first = page(workbook, "recovery").select_one("nav.chain li")

    assert first is not None
    assert first.a is None
    assert first.span["aria-current"] == "page"


def test_pages_that_answer_no_question_show_no_chain(workbook: Path) -> None:
    assert page(workbook, "areas").select("nav.chain") == []
    assert page(workbook, "search").select("nav.chain") == []


def test_each_borough_leads_to_the_page_of_its_area(workbook: Path) -> None:
    tiles = page(workbook, "areas").select(".ev-tiles li")
    table = page(workbook, "areas").select("table tbody tr")

    assert [(tile.a["href"], tile.get_text(), tile["class"]) for tile in tiles if tile.a] == [
        ("area-barnet.html", "Barnet", ["ev-r1", "ev-c2"]),
        ("area-camden.html", "Camden", ["ev-r2", "ev-c2"]),
        ("area-kings-cross.html", "Westminster", ["ev-r3", "ev-c1"]),
    ]
    assert words(table[2]) == "Westminster King's Cross , Camden Westward; North Central London"


def test_formulae_are_mathml_and_references_have_names(workbook: Path) -> None:
    soup = page(workbook, "index")

    assert soup.select_one("div.ev-math math mfrac") is not None
    assert "Maker and Doer ( 2020 )" in words(soup)
    assert "On making" in words(soup.select_one(".citation"))


def test_every_page_has_the_policy_the_language_and_a_way_past_the_navigation(
    workbook: Path,
) -> None:
    for path in (workbook / "book/_site").glob("*.html"):
        soup = page(workbook, path.stem)
        policy = soup.select_one("meta[http-equiv='Content-Security-Policy']")
        assert policy is not None
        assert "unsafe" not in str(policy["content"])
        assert soup.html is not None
        assert soup.html["lang"] == "en-GB"
        assert soup.select_one("a.skip[href='#main']") is not None
        assert soup.select_one("main#main") is not None


def test_only_the_search_page_loads_more_than_one_script(workbook: Path) -> None:
    scripts = {
        path.stem: len(page(workbook, path.stem).select("script"))
        for path in (workbook / "book/_site").glob("*.html")
    }

    assert {count for name, count in scripts.items() if name != "search"} == {1}
    index = (workbook / "book/_site/searchindex.js").read_text(encoding="utf-8")
    assert index.startswith("Search.setIndex(")
    assert '"westward"' in index


def test_the_generated_contents_are_those_of_the_plan(
    workbook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVIDENCE_ROOT", str(workbook))
    report = plan(workbook)
    written = yaml.safe_load((workbook / "book/_build/source/_toc.yml").read_text("utf-8"))

    assert written == table_of_contents(report)
    files = [each["file"] for part in written["parts"] for each in part["chapters"]]
    assert [written["root"], *files] == [page.id for page in report.pages]


def test_a_second_build_does_nothing_and_does_not_start_sphinx(workbook: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from evidence import book;"
        f"b = book.build(Path({str(workbook)!r}), as_of={TODAY!r});"
        "print(b.rebuilt, 'sphinx' in sys.modules, 'pandas' in sys.modules, b.seconds < 1)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"EVIDENCE_ROOT": str(workbook), "PATH": "/usr/bin"},
    )

    assert done.stdout.split() == ["False", "False", "False", "True"]


def test_a_build_elsewhere_gives_the_same_bytes(workbook: Path, tmp_path: Path) -> None:
    other = write_workbook(tmp_path / "elsewhere")
    built(other)

    assert files(other) == files(workbook)


def test_an_incremental_build_gives_what_a_full_one_gives(own: Path) -> None:
    write_run(own, "recovery", result=a_result(40.0), run="ba9876543210")
    assert built(own).rebuilt
    step = files(own)
    assert "Recovery was 40.0 %" in words(page(own, "index"))
    built(own, again=True)

    assert files(own) == step


def test_a_review_that_fell_due_is_shown_when_the_pages_are_rendered(own: Path) -> None:
    assert not built(own, as_of="2027-03-01").rebuilt
    assert built(own, as_of=date(2027, 3, 2)).rebuilt

    assert "Overdue since 1 March 2027" in words(page(own, "recovery"))
    assert not built(own, as_of="2027-03-03").rebuilt


def test_a_lost_file_of_the_site_is_noticed(own: Path) -> None:
    (own / "book/_site/recovery.html").unlink()

    assert built(own).rebuilt
    assert (own / "book/_site/recovery.html").is_file()


def test_a_changed_prose_file_or_plan_is_noticed(own: Path) -> None:
    change(own, "book/rerun.md", "Write to us.", "Write to us soon.")
    assert built(own).rebuilt
    change(own, "book/report.yml", "title: Recovery", "title: Recovery of people")
    assert built(own).rebuilt

    assert "soon" in words(page(own, "rerun"))
    assert "Recovery of people" in words(page(own, "index").nav)


def test_a_number_that_no_run_has_fails_the_build_and_leaves_the_site(own: Path) -> None:
    before = files(own)
    change(own, "book/index.md", "recovery/funnel/pooled`", "recovery/funnel/poled`")

    with pytest.raises(RunError, match=r"page index:3: WARNING: .*no figure 'poled' in result"):
        built(own)
    assert files(own) == before
    with pytest.raises(RunError, match="'poled'"):
        built(own)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("recovery/funnel/pooled[low]:.2f", "recovery/funel/pooled", "no result 'funel'"),
        ("recovery/funnel/pooled[low]:.2f", "recover/funnel/pooled", "there is no page 'recover'"),
        ("recovery/funnel/pooled[low]:.2f", "recovery", "is written page/result/key"),
        ("recovery/funnel/pooled[low]:.2f", "recovery/funnel/pooled:zz", "is written page/result"),
        ("{cite:t}`maker2020`", "{cite:t}`maker1999`", "maker1999"),
        ("(recovery.md)", "(recover.md)", "recover.md"),
        ("\\bar{x}", "\\nosuch{x}", "cannot be shown"),
        ("[the page](recovery.md)", '<a href="nowhere.html">x</a>', "broken link: nowhere.html"),
        ("[the page](recovery.md)", '<img src="x.png">', "has no alternative text"),
    ],
)
def test_what_is_wrong_in_prose_fails_the_build(own: Path, old: str, new: str, said: str) -> None:
    change(own, "book/index.md", old, new)

    with pytest.raises(RunError, match=re.escape(said)):
        built(own)


def test_a_source_that_only_one_changed_page_cites_enters_the_bibliography(own: Path) -> None:
    listed = "\n```{bibliography}\n```\n"
    change(own, "book/index.md", listed, "")
    change(own, "book/rerun.md", "Write to us.\n", f"Write to us.\n{listed}")
    built(own)
    change(own, "book/glossary.md", "How sure.", "How sure, after {cite:t}`writer2021`.")

    built(own)

    cited = page(own, "glossary").select_one("a[href^='rerun.html#']")
    assert cited is not None
    assert page(own, "rerun").find(id=str(cited["href"]).partition("#")[2]) is not None


def test_a_build_after_one_that_was_killed_while_rendering_starts_anew(own: Path) -> None:
    change(own, "book/rerun.md", "Write to us.", "Do write to us.")
    built(own)
    change(own, "book/glossary.md", "How sure.", "How sure we are.")
    (own / "book/_build/stamp.json").unlink()
    (own / "book/_build/html/searchindex.js").unlink()

    assert built(own).rebuilt
    assert "How sure we are." in words(page(own, "glossary"))


def test_tiles_without_area_pages_fail_the_build(own: Path) -> None:
    text = (own / "book/report.yml").read_text(encoding="utf-8")
    start, end = text.index("      - for_each: areas"), text.index("  - id: methods")
    (own / "book/report.yml").write_text(text[:start] + text[end:], encoding="utf-8")

    with pytest.raises(RunError, match="the report plans none"):
        built(own)


def test_a_site_that_was_being_swapped_is_put_back(own: Path) -> None:
    place = building._Place(own / "book")
    before = files(own)
    place.site.rename(place.old)

    assert not built(own).rebuilt
    assert files(own) == before


def test_a_run_without_its_notebook_is_refused(own: Path) -> None:
    (own / "data/processed/runs/recovery-0123456789ab/notebook.ipynb").write_text("{", "utf-8")

    with pytest.raises(RunError, match="the one of page recovery is missing or cut off"):
        built(own)


def test_a_run_that_is_not_whole_counts_as_none(own: Path) -> None:
    shutil.rmtree(own / "data/processed/runs/recovery-0123456789ab")
    built(own)

    assert "has not been computed yet" in words(page(own, "recovery"))
    assert "Recovery was (not available) %" in words(page(own, "index"))


def test_a_page_that_left_the_plan_leaves_the_site(own: Path) -> None:
    change(own, "book/report.yml", "      - {id: waiting, title", "      # - {id: waiting, title")
    built(own)

    assert not (own / "book/_site/waiting.html").exists()


def test_a_wrong_date_is_refused(workbook: Path) -> None:
    with pytest.raises(CatalogueError, match="must be written as 2027-01-31; got 'tomorrow'"):
        built(workbook, as_of="tomorrow")


def test_a_review_that_is_no_date_is_refused(own: Path) -> None:
    write_run(own, "recovery", box={"next_review": "next spring"}, run="00000000000a")

    with pytest.raises(CatalogueError, match="page recovery has 'next spring'"):
        built(own)


def test_decision_notes_are_shown_on_the_page_that_asks_for_them(own: Path) -> None:
    (own / "book/decisions").mkdir()
    note = "# 0001 Why so\n\n## Context\n\nIt was so.\n"
    (own / "book/decisions/0001-why.md").write_text(note, encoding="utf-8")
    (own / "book/rerun.md").write_text(
        "# Notes\n\n## Report an error or comment\n\nx\n\n% decisions\n", "utf-8"
    )
    built(own)

    assert "0001 Why so Context. It was so." in words(page(own, "rerun"))


def test_a_page_without_cautions_has_no_section_for_them(own: Path) -> None:
    from dataclasses import replace

    write_run(own, "recovery", result=replace(a_result(), cautions=()), run="00000000000b")
    built(own)

    assert page(own, "recovery").select_one("#cautions") is None
    assert "Read with care" not in words(page(own, "recovery"))


def test_one_further_caution_is_told_in_the_singular() -> None:
    doubts = [{"kind": "other", "text": f"Doubt {n}."} for n in range(4)]

    assert "1 further caution<" in pieces.caution_list(doubts)


def test_what_a_run_says_is_escaped() -> None:
    known = {
        "state": "complete",
        "box": {**BOX, "finding": "<b>no</b>", "certainty": "low", "certainty_reason": "a & b"},
        "review": {"due": "not stated", "overdue": False},
        "cautions": [],
        "run": "0123456789ab",
    }
    known["box"] |= {"cost": "£5"}

    html = pieces.box(known)
    assert "&lt;b&gt;no&lt;/b&gt;" in html
    assert "(a &amp; b)" in html
    assert "Not stated" in html
    assert "<dt>Cost</dt><dd>£5</dd>" in html


def test_sizes_are_told_for_a_reader() -> None:
    assert [pieces.size_words(n) for n in (12, 12_300, 2_340_000)] == [
        "12 bytes",
        "12 kB",
        "2.3 MB",
    ]


def test_numbers_are_shown_with_a_true_minus_and_few_decimals() -> None:
    from evidence.book.extension import shown_number

    assert shown_number(-3.26, ",.1f") == "−3.3"
    assert shown_number(0.5204, ".0%") == "52%"
    assert shown_number(51.6, "d") == "52"


def test_links_between_pages_reach_notebooks() -> None:
    text = (
        "[a](recovery.md), [b](glossary.md#x), [c](recovery.md#y), [d](https://x.org/recovery.md)"
    )

    assert linked(text, ["recovery"]) == (
        "[a](recovery.ipynb), [b](glossary.md#x), [c](recovery.ipynb#y), "
        "[d](https://x.org/recovery.md)"
    )


def test_the_state_of_a_page_comes_from_its_pointer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVIDENCE_ROOT", str(tmp_path))
    root = write_workbook(tmp_path)
    report = plan(root)
    point(root, "recovery", run="recovery-0123456789ab", state="failed", error="x")

    states = {p.id: facts.published(root, p).state for p in report.pages}
    assert states["recovery"] == "failed"
    assert states["waiting"] == "never run"
    assert states["glossary"] == "prose"
    assert facts.numbers(facts.published(root, report.page("recovery")))["results"] == {}


def test_a_notebook_that_warned_fails_the_build(own: Path) -> None:
    notebook = a_notebook(a_result())
    notebook["cells"][5]["outputs"].append(
        {"output_type": "stream", "name": "stderr", "text": "Warning: something"}
    )
    write_run(own, "recovery", notebook=notebook, run="00000000000c")

    with pytest.raises(RunError, match=r"page recovery, cell 6: .*must not write to stderr"):
        built(own)


def test_a_number_and_its_per_cent_sign_stay_on_one_line_but_code_stays_as_written() -> None:
    body = '<p>Of 52.0 % and 5 %.</p><pre tabindex="0">n = 7 % 2</pre><img alt="9 % more">'

    assert clean_body(body) == (
        "<p>Of 52.0\u00a0% and 5\u00a0%.</p>"
        '<pre tabindex="0">n = 7 % 2</pre><img alt="9\u00a0% more">'
    )
