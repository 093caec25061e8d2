"""The report's own prose: it renders, cites what it has, and keeps to the style of the house."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from book_workbook import write_run
from evidence import book
from evidence.book import pieces

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "book"
PAGES = sorted(path for path in BOOK.glob("*.md"))
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
TWO_SENTENCES = re.compile(r"[a-z0-9%)”\"][.?!] [A-Z]")
CITED = re.compile(r"\{num\}`([a-z0-9-]+)/([a-z0-9_]+)/([\w.-]+)")
ABBREVIATED = re.compile(r"\b(e\.g|i\.e|vol|no)\. ")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the report with made-up results, so that only its text and plan are at trial."""
    root = tmp_path_factory.mktemp("prose")
    for folder in ("book", "data/definitions"):
        left = shutil.ignore_patterns("_build", "_site")
        shutil.copytree(ROOT / folder, root / folder, ignore=left)
    for path in (ROOT / "data/raw").rglob("dataset.yml"):
        copy = root / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True)
        shutil.copy(path, copy)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVIDENCE_ROOT", str(root))
        for page in book.plan(root).pages:
            if page.notebook:
                _with_cited(write_run(root, page.id))
        return book.build(root, as_of="2026-11-22").site


def _with_cited(folder: Path) -> None:
    """Add to a made-up run whatever figures the prose cites from its page."""
    path = folder / "results.json"
    known = json.loads(path.read_text(encoding="utf-8"))
    cited = [one for page in PAGES for one in CITED.findall(page.read_text(encoding="utf-8"))]
    for page, result, key in cited:
        made_up = known["results"]["funnel"]
        if page == known["page"] and key not in {one["key"] for one in made_up["estimates"]}:
            added = known["results"].setdefault(result, {**made_up, "estimates": []})
            added["estimates"].append({"key": key, "value": 95.0, "unit": "%"})
    path.write_text(json.dumps(known), encoding="utf-8")


def test_the_prose_renders_without_a_warning_and_with_every_link(site: Path) -> None:
    assert book.check(site) == []


def test_the_front_page_leads_to_every_part(site: Path) -> None:
    front = (site / "index.html").read_text(encoding="utf-8")
    article = front.partition("<article>")[2].partition("</article>")[0]

    for page in ("areas", "talking-therapies-recovery", "psychotherapy-depression-uk", "methods"):
        assert f'href="{page}.html"' in article


def test_all_boroughs_are_on_the_grid_and_in_the_list(site: Path) -> None:
    text = (site / "areas.html").read_text(encoding="utf-8")

    assert len(re.findall(r'<li class="ev-r\d ev-c\d">', text)) == 33
    assert len(re.findall(r'<tr><th scope="row">', text)) == 33
    linked = set(re.findall(r'href="(area-[a-z-]+)\.html"', text.partition("<article>")[2]))
    assert len(linked) == 32


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_one_sentence_stands_on_a_line(path: Path) -> None:
    text = FENCED.sub("", path.read_text(encoding="utf-8"))
    crowded = [
        line for line in text.splitlines() if TWO_SENTENCES.search(ABBREVIATED.sub("", line))
    ]

    assert crowded == []


def test_every_publication_that_is_listed_is_cited() -> None:
    listed = set(re.findall(r"^@\w+\{(\w+),", (BOOK / "references.bib").read_text("utf-8"), re.M))
    cited = {
        key
        for path in PAGES
        for keys in re.findall(r"\{cite:\w+\}`([^`]+)`", path.read_text(encoding="utf-8"))
        for key in keys.split(",")
    }

    assert cited == listed


def test_the_terms_that_every_box_links_to_are_in_the_glossary(site: Path) -> None:
    glossary = (site / "glossary.html").read_text(encoding="utf-8")

    for term in ("certainty", "design-tier"):
        assert f'id="term-{term}"' in glossary


def test_every_design_tier_has_words_for_the_reader() -> None:
    from evidence.vocabulary import DESIGNS

    assert set(pieces.DESIGN_WORDS) == set(DESIGNS)
