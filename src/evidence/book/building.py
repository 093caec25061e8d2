"""The book built: rendered only if an input changed, published only if it is complete.

The inputs are hashed first, without importing Sphinx; if none changed, nothing is done.
Otherwise the pages are rendered in ``book/_build``, checked, and put in the place of
``book/_site`` by renaming.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from evidence.book.planning import NOT_STATED, Report, plan
from evidence.errors import CatalogueError, RunError
from evidence.runs.store import Store, read_json, write_json

HERE = Path(__file__).parent
RENDERERS = ("jupyter-book", "sphinx", "myst-nb", "myst-parser", "docutils", "sphinxcontrib-bibtex")
STATIC = (
    "documentation_options.js",
    "doctools.js",
    "sphinx_highlight.js",
    "searchtools.js",
    "language_data.js",
)
"""Sphinx's own scripts, which only the search page loads."""
THEME_FILES = ("report.css", "report.js", "favicon.svg")
SHOWN_PROBLEMS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What a build did: the site, whether it was rendered or up to date, its pages, the time."""

    site: Path
    rebuilt: bool
    pages: int
    seconds: float

    @property
    def index(self) -> Path:
        """The page to open first."""
        return self.site / "index.html"


def build(root: Path, *, as_of: date | str | None = None, again: bool = False) -> Built:
    """Bring ``book/_site`` up to date with the plan, the prose and the published runs.

    Parameters
    ----------
    root
        Folder of the workbook.
    as_of
        Date of rendering (or its ISO text), by which a review counts as overdue; default today.
    again
        Render every page anew, whatever changed.

    Returns
    -------
    Built
        Where the site is and whether it was rendered.

    Raises
    ------
    CatalogueError
        If the plan or the date is wrong.
    RunError
        If rendering warns, a link is broken, or a notebook cannot be shown; the site stays as it
        was.
    """
    started = time.monotonic()
    today = _date(as_of)
    place = _Place(root / "book")
    place.recover()
    report = plan(root)
    code = code_version()
    inputs = _inputs(root, report, code)
    if not again and place.is_current(inputs, today):
        return _built(place, report, False, started)
    if again:
        shutil.rmtree(place.work, ignore_errors=True)
    _render(root, report, place, inputs, today, code)
    return _built(place, report, True, started)


def _date(as_of: date | str | None) -> date:
    if as_of is None:
        return date.today()
    try:
        return date.fromisoformat(str(as_of))
    except ValueError:
        raise CatalogueError(
            f"the date of rendering must be written as 2027-01-31; got {as_of!r}. Correct it."
        ) from None


def _built(place: _Place, report: Report, rebuilt: bool, started: float) -> Built:
    seconds = round(time.monotonic() - started, 3)
    return Built(site=place.site, rebuilt=rebuilt, pages=len(report.pages), seconds=seconds)


@dataclass(frozen=True, slots=True)
class _Place:
    """The folders of the book: its work folder, the site and the two neighbours of a swap."""

    book: Path

    @property
    def work(self) -> Path:
        return self.book / "_build"

    @property
    def site(self) -> Path:
        return self.book / "_site"

    @property
    def new(self) -> Path:
        return self.work / "site-new"

    @property
    def old(self) -> Path:
        return self.work / "site-old"

    @property
    def stamp(self) -> Path:
        return self.work / "stamp.json"

    def recover(self) -> None:
        """Put back the site of a build that was killed between its two renamings."""
        if self.old.is_dir() and not self.site.exists():
            self.old.rename(self.site)

    def is_current(self, inputs: str, as_of: date) -> bool:
        """Whether the site was made from these inputs, is whole, and no review fell due since."""
        stamp = read_json(self.stamp)
        return (
            stamp is not None
            and stamp["inputs"] == inputs
            and stamp["site"] == _extent(self.site)
            and all(
                due == NOT_STATED or (date.fromisoformat(due) < as_of) == overdue
                for due, overdue in stamp["reviews"].values()
            )
        )

    def publish(self) -> None:
        """Put the new site in the place of the old one."""
        shutil.rmtree(self.old, ignore_errors=True)
        if self.site.exists():
            self.site.rename(self.old)
        self.new.rename(self.site)
        shutil.rmtree(self.old, ignore_errors=True)


def code_version() -> str:
    """Return the hash of everything that renders: this package, its theme, and Sphinx's parts."""
    digest = hashlib.sha256()
    for path in sorted(p for p in HERE.rglob("*") if p.is_file() and p.suffix != ".pyc"):
        digest.update(path.relative_to(HERE).as_posix().encode() + b"\0" + path.read_bytes())
    for name in RENDERERS:
        digest.update(f"{name} {version(name)}\n".encode())
    return digest.hexdigest()


def _inputs(root: Path, report: Report, code: str) -> str:
    digest = hashlib.sha256(f"{code}\n{report!r}\n".encode())
    files = [root / "book" / "references.bib", root / "data" / "definitions" / "areas.yml"]
    for path in [*files, *sorted((root / "book" / "decisions").glob("*.md"))]:
        digest.update(path.name.encode() + (path.read_bytes() if path.is_file() else b""))
    store = Store(root)
    for page in report.pages:
        if page.prose:
            digest.update((root / "book" / page.prose).read_bytes())
        if page.notebook:
            digest.update(_state_of_run(store, page.id))
    return digest.hexdigest()


def _state_of_run(store: Store, page: str) -> bytes:
    pointer = store.pointer(page) or {}
    folder = store.runs / str(pointer.get("run") or "-")
    files = [folder / name for name in ("run.json", "results.json", "notebook.ipynb")]
    stats = [(path.stat().st_size, path.stat().st_mtime_ns) for path in files if path.is_file()]
    return json.dumps([pointer, stats], sort_keys=True).encode()


def _extent(folder: Path) -> list[int]:
    """Return number and total size of the files in a folder: cheap to see that one is missing."""
    sizes = list(_sizes(folder)) if folder.is_dir() else []
    return [len(sizes), sum(sizes)]


def _sizes(folder: Path) -> Iterator[int]:
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _sizes(Path(entry.path))
        else:
            yield entry.stat(follow_symlinks=False).st_size


def _render(root: Path, report: Report, place: _Place, inputs: str, as_of: date, code: str) -> None:
    from evidence.book.checking import check
    from evidence.book.staging import stage

    if not place.stamp.exists():  # an earlier rendering was cut off: its parts do not fit together
        shutil.rmtree(place.work / "doctrees", ignore_errors=True)
    place.stamp.unlink(missing_ok=True)
    staged = stage(root, report, place.work / "source", as_of, code)
    problems = _sphinx(staged.source, place.work)
    if problems:
        shutil.rmtree(place.work / "doctrees", ignore_errors=True)
        raise RunError(_listed("the book must build without a warning", problems))
    _assemble(report, place, staged.downloads)
    if broken := [str(problem) for problem in check(place.new, forbidden=(str(root),))]:
        shutil.rmtree(place.work / "doctrees", ignore_errors=True)
        raise RunError(_listed("every page must pass the checks of the book", broken))
    extent = _extent(place.new)
    place.publish()
    write_json(place.stamp, {"inputs": inputs, "reviews": staged.reviews, "site": extent})


def _listed(must: str, problems: list[str]) -> str:
    shown = "\n  ".join(problems[:SHOWN_PROBLEMS])
    more = len(problems) - SHOWN_PROBLEMS
    rest = f"\n  and {more} more" if more > 0 else ""
    return (
        f"{must}; {len(problems)} came:\n  {shown}{rest}\n"
        "The published site stays as it was. Correct them and build again."
    )


def _sphinx(source: Path, work: Path) -> list[str]:
    """Render the source folder and return the warnings, each with the file a person edits."""
    from jupyter_book.config import get_final_config
    from sphinx.application import Sphinx
    from sphinx.errors import SphinxError
    from sphinx.util.docutils import docutils_namespace, patch_docutils

    config, _ = get_final_config(
        user_yaml=source / "_config.yml",
        cli_config={"latex_individualpages": False},
        sourcedir=source,
        raise_on_invalid=True,
    )
    config["external_toc_path"] = "_toc.yml"
    warnings = io.StringIO()
    with patch_docutils(None), docutils_namespace():
        try:
            app = Sphinx(
                srcdir=source,
                confdir=None,
                outdir=work / "html",
                doctreedir=work / "doctrees",
                buildername="html",
                confoverrides=config,
                status=None,
                warning=warnings,
            )
            app.build()
        except SphinxError as error:
            return [_told(str(error), source)]
    return [_told(line, source) for line in _messages(warnings.getvalue())]


def _messages(text: str) -> list[str]:
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    return [line.strip() for line in plain.splitlines() if line.strip()]


def _told(line: str, source: Path) -> str:
    """Return a warning with names that a person knows: prose file, or page and cell."""
    line = line.replace(f"{source}{os.sep}", "")
    line = re.sub(r"^([\w-]+)\.md(?=[:\s])", r"page \1", line)

    def cell(match: re.Match[str]) -> str:
        number = int(match[2])
        return f"page {match[1]}, part {number // 10000}, line {number % 10000}"

    return re.sub(r"^([\w-]+)\.ipynb:(\d+)", cell, line)


def _assemble(report: Report, place: _Place, downloads: Mapping[str, Path | str]) -> None:
    """Copy what the pages use, and nothing else, to the new site."""
    html, new = place.work / "html", place.new
    shutil.rmtree(new, ignore_errors=True)
    (new / "_static").mkdir(parents=True)
    pages = [f"{page.id}.html" for page in report.pages]
    for name in [*pages, "search.html", *(f"_static/{name}" for name in STATIC)]:
        shutil.copyfile(html / name, new / name)
    index = (html / "searchindex.js").read_text(encoding="utf-8")
    (new / "searchindex.js").write_text(_without_lost_words(index), encoding="utf-8", newline="\n")
    for name in THEME_FILES:
        shutil.copyfile(HERE / "theme" / name, new / "_static" / name)
    _copy_images(html, new, pages)
    for name, origin in downloads.items():
        target = new / "downloads" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(origin, Path):
            shutil.copyfile(origin, target)
        else:
            target.write_text(origin, encoding="utf-8", newline="\n")


def _without_lost_words(index: str) -> str:
    """Return the search index without words that no page holds any more.

    An incremental build leaves them in, so that its index would differ from that of a full one.
    """
    start, end = index.index("(") + 1, index.rindex(")")
    known = json.loads(index[start:end])
    for part in ("terms", "titleterms"):
        known[part] = {word: pages for word, pages in known[part].items() if pages != []}
    text = json.dumps(known, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return f"{index[:start]}{text}{index[end:]}"


def _copy_images(html: Path, new: Path, pages: list[str]) -> None:
    used: set[Any] = set()
    for page in pages:
        text = (new / page).read_text(encoding="utf-8")
        used.update(re.findall(r'src="_images/([^"/]+)"', text))
    if used:
        (new / "_images").mkdir()
    for name in sorted(used):
        shutil.copyfile(html / "_images" / name, new / "_images" / name)
