"""The source folder of the book, made from the plan, the prose and the runs.

A file is written only if its text changed, so that an incremental build reads again just the
pages that differ.  What is no longer wanted is deleted.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from evidence.book import facts
from evidence.book.disclosed import require_disclosed
from evidence.book.facts import COMPLETE, Published
from evidence.book.notebooks import Around, notebook_text, page_of_notebook
from evidence.book.planning import Report, settings
from evidence.data import catalogue
from evidence.errors import RunError
from evidence.runs.pages import Page
from evidence.runs.store import read_json

HERE = Path(__file__).parent
THEME = HERE / "theme"
BIBLIOGRAPHY = "references.bib"
DECISIONS_HERE = "% decisions"
PAGE_LINK = re.compile(r"\]\(([a-z0-9-]+)\.md(?=[)#])")
EXTENSIONS = (
    "myst_nb",
    "jupyter_book",
    "sphinx_comments",
    "sphinx_external_toc",
    "sphinxcontrib.bibtex",
    "sphinx_book_theme",
    "evidence.book.extension",
)
"""All of the extensions: Jupyter Book's own list without those that bring scripts of their own."""


@dataclass(slots=True)
class Staged:
    """What staging left: the source folder, the reviews' states, and files that pages offer."""

    source: Path
    reviews: dict[str, list[Any]] = field(default_factory=dict)
    downloads: dict[str, Path | str] = field(default_factory=dict)


def navigation(report: Report) -> list[dict[str, Any]]:
    """Return parts and pages in reading order, as the layout shows them."""
    return [
        {
            "id": part.id,
            "title": part.title,
            "pages": [
                {"id": page.id, "label": page.title}
                for page in report.pages
                if page.part == part.id
            ],
        }
        for part in report.parts
    ]


def table_of_contents(report: Report) -> dict[str, Any]:
    """Return the contents as Jupyter Book's ``_toc.yml`` holds them."""
    parts = []
    for part in report.parts:
        pages = [page.id for page in report.pages if page.part == part.id and page.id != "index"]
        if pages:
            parts.append({"caption": part.title, "chapters": [{"file": page} for page in pages]})
    return {"format": "jb-book", "root": "index", "parts": parts}


def configuration(report: Report, version: str) -> dict[str, Any]:
    """Return Jupyter Book's ``_config.yml``: nothing executed, nothing from another host."""
    return {
        "title": report.title,
        "author": report.publisher,
        "copyright": "",
        "only_build_toc_files": True,
        "execute": {"execute_notebooks": "off", "stderr_output": "error"},
        "latex": {"use_jupyterbook_latex": False},
        "html": {"use_multitoc_numbering": False},
        "repository": {"url": ""},
        "launch_buttons": {"thebe": False},
        "bibtex_bibfiles": [BIBLIOGRAPHY],
        "parse": {
            "myst_enable_extensions": ["colon_fence", "dollarmath", "deflist", "substitution"],
            "myst_substitutions": settings(report),
        },
        "sphinx": {
            "config": {
                "extensions": list(EXTENSIONS),
                "templates_path": [str(THEME)],
                "html_static_path": [],
                "html_math_renderer": "mathml",
                "html_show_search_summary": False,
                "html_use_index": False,
                "html_copy_source": False,
                "html_sidebars": {"**": []},
                "html_permalinks": False,
                "bibtex_reference_style": "author_year_round",
                "evidence_report": settings(report),
                "evidence_navigation": navigation(report),
                "evidence_chain": [asdict(link) for link in report.chain],
                "evidence_version": version,
            }
        },
    }


def stage(root: Path, report: Report, source: Path, as_of: date, version: str) -> Staged:
    """Make the source folder.

    Parameters
    ----------
    root, report
        The workbook and its plan.
    source
        Folder to fill.
    as_of
        Date of rendering: decides what is overdue.
    version
        Hash of the code that renders; a change of it renders every page again.

    Raises
    ------
    RunError
        If an executed notebook cannot be shown as it is, or would show what the disclosure rule of
        restricted data leaves out: page, cell and reason are named.
    """
    staged = Staged(source=source)
    texts: dict[str, str] = {
        "_toc.yml": _yaml(table_of_contents(report)),
        "_config.yml": _yaml(configuration(report, version)),
        BIBLIOGRAPHY: (root / "book" / BIBLIOGRAPHY).read_text(encoding="utf-8"),
        "_tiles.json": _json(_tiles(report)),
    }
    found = {page.id: facts.published(root, page) for page in report.pages}
    listed = facts.listed_datasets(found[report.data_page], catalogue.datasets())
    titles = {page.id: page.title for page in report.pages}
    places = {report.data_page: {id: facts.dataset_anchor(id) for id in listed}}
    for page in report.pages:
        known = facts.page_facts(found[page.id], report, as_of, listed)
        staged.reviews[page.id] = [known["review"]["due"], known["review"]["overdue"]]
        around = Around(
            page=page.id,
            figures=_figure_links(found[page.id]),
            stated=_stated(known),
            titles=titles,
            places=places.get(page.id, {}),
        )
        texts |= _page_texts(root, found[page.id], known, around)
        staged.downloads |= _downloads(found[page.id], known, report)
    of_notebooks = [id for id, each in found.items() if each.state == COMPLETE]
    _write(source, {name: linked(text, of_notebooks) for name, text in texts.items()})
    return staged


def linked(text: str, notebooks: Iterable[str]) -> str:
    """Return Markdown whose links ``[…](page.md)`` also reach pages made from notebooks."""
    ids = set(notebooks)

    def link(match: re.Match[str]) -> str:
        return f"]({match[1]}.ipynb" if match[1] in ids else match[0]

    return PAGE_LINK.sub(link, text)


def _tiles(report: Report) -> list[Any]:
    if not any(page.subject for page in report.pages):
        return []
    areas = catalogue.areas()
    boroughs = [area for area in areas if area.kind == "borough"]
    return facts.borough_tiles(boroughs, areas, report)


def _page_texts(
    root: Path, found: Published, known: Mapping[str, Any], around: Around
) -> dict[str, str]:
    page = found.page
    texts = {f"_facts/{page.id}.json": _json(known)}
    if page.notebook:
        texts[f"_numbers/{page.id}.json"] = _json(facts.numbers(found))
    prose = _prose(root, page)
    if found.state == COMPLETE:
        texts[f"{page.id}.ipynb"] = _notebook(found, prose, around)
    elif page.notebook:
        texts[f"{page.id}.md"] = f"# {page.title}\n"
    else:
        texts[f"{page.id}.md"] = prose
    return texts


def _prose(root: Path, page: Page) -> str:
    if not page.prose:
        return ""
    text = (root / "book" / page.prose).read_text(encoding="utf-8")
    if DECISIONS_HERE in text:
        notes = (path.read_text(encoding="utf-8") for path in decisions(root))
        text = text.replace(DECISIONS_HERE, "\n\n".join(map(_one_heading, notes)))
    return text


def decisions(root: Path) -> list[Path]:
    """Return the decision notes in their order."""
    return sorted((root / "book" / "decisions").glob("[0-9]*.md"))


def _one_heading(note: str) -> str:
    """Return a decision note as a section: its title one level lower, its headings as labels."""
    lower = re.sub(r"^##+ (.+)$", r"**\1.**", note, flags=re.MULTILINE)
    return re.sub(r"\A# ", "## ", lower.strip())


def _notebook(found: Published, prose: str, around: Around) -> str:
    folder = found.folder
    notebook = read_json(folder / "notebook.ipynb") if folder else None
    if notebook is None:
        raise RunError(
            f"a published run must keep its notebook; the one of page {found.page.id} is missing "
            f"or cut off. Run `evidence run {found.page.id}` again."
        )
    require_disclosed(found, notebook)
    return notebook_text(page_of_notebook(notebook, around, title=found.page.title, prose=prose))


def _stated(known: Mapping[str, Any]) -> frozenset[str]:
    finding = (known["box"] or {}).get("finding", "")
    return frozenset([finding, *(each["text"] for each in known["cautions"])])


def _figure_links(found: Published) -> dict[str, str]:
    return {
        " ".join(drawn["alt"].split()): f"downloads/{found.page.id}/{Path(drawn['svg']).name}"
        for drawn in found.results.get("figures", {}).values()
    }


def _downloads(found: Published, known: Mapping[str, Any], report: Report) -> dict[str, Path | str]:
    if found.folder is None:
        return {}
    page: Page = found.page
    files: dict[str, Path | str] = {
        f"{page.id}/{each['name']}": found.folder / each["source"] for each in known["downloads"]
    }
    files[f"{page.id}/citation.bib"] = facts.bibtex(page, report, found.run)
    return files


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, indent=1) + "\n"


def _write(source: Path, texts: Mapping[str, str]) -> None:
    """Bring the folder to exactly these files, leaving unchanged ones as they are."""
    source.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.rglob("*"), reverse=True):
        name = path.relative_to(source).as_posix()
        if path.is_file() and name not in texts:
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            shutil.rmtree(path)
    for name, text in texts.items():
        path = source / name
        content = text.encode("utf-8")
        if not path.is_file() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
