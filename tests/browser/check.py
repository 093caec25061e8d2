"""Check a built site in Chromium: ``python tests/browser/check.py book/_site [--all]``.

Every page is opened once over http: no script or console error, no request to another host, no
broken link, text for every picture, no sideways scrolling.  One page of each kind is opened at
two widths, in light and dark, over http and from the file, examined by axe-core (over http) and
with the keyboard; search, menu and mode switch are tried once for each protocol.  ``--all`` does
that for every page.
"""

from __future__ import annotations

import argparse
import http.server
import os
import re
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, Error, Page, TimeoutError, sync_playwright

from evidence.book.checking import check

ROOT = Path(__file__).resolve().parents[2]
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
AXE_PLACES = (
    ROOT / "node_modules" / "axe-core" / "axe.min.js",
    ROOT / "build" / "node_modules" / "axe-core" / "axe.min.js",
)
WIDTHS, MODES, PROTOCOLS = (1280, 390), ("light", "dark"), ("http", "file")
WORKERS = 2
FAILING_IMPACTS = ("critical", "serious")
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
PICTURES = """[...document.images].filter(i => !i.alt.trim() || /\\.(png|svg)$/.test(i.alt)
  || !(i.complete && i.naturalWidth)).map(i => i.src)"""
NO_TEXT = """() => { const r = document.querySelector('article').getBoundingClientRect();
  return r.width < 200 || document.querySelector('h1') === null; }"""


@dataclass(slots=True)
class Tally:
    """What passed, what failed, and what axe-core found besides."""

    passed: int = 0
    failures: list[str] = field(default_factory=list)
    minor: list[str] = field(default_factory=list)

    def add(self, where: str, problems: list[str]) -> None:
        """Count one check of one page in one setting."""
        if problems:
            self.failures += [f"{where}: {problem}" for problem in problems]
        else:
            self.passed += 1


@dataclass(frozen=True, slots=True)
class Setting:
    """How a page is opened."""

    width: int = 1280
    mode: str = "light"
    protocol: str = "http"

    def __str__(self) -> str:
        return f"{self.width} px, {self.mode}, {self.protocol}"


def kinds(site: Path) -> dict[str, str]:
    """Return one page of each kind: the first of the same notebook and the same set of parts."""
    found: dict[str, str] = {}
    for path in sorted(site.glob("*.html"), key=lambda path: (path.name != "index.html", path)):
        text = path.read_text(encoding="utf-8")
        parts = ("ev-box-failed", "ev-box-empty", "ev-box", "ev-figure", "ev-table", "ev-tiles")
        parts = (*parts, "<math", "glossary", "bibliography", "search-results", "ev-overdue")
        marks = [part for part in parts if part in text]
        notebook = re.search(r"notebooks/([\w/]+)\.ipynb", text)
        computed = notebook[1] if notebook and "ev-box" in marks else ""
        found.setdefault(f"{computed}+{'+'.join(marks)}", path.name)
    return found


@contextmanager
def served(site: Path) -> Iterator[str]:
    """Serve the site on the loopback address and yield its address."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()


def chromium() -> str:
    """Return the path of Chromium, named by CHROMIUM or installed."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not found:
        sys.exit("Chromium is needed. Install it (Debian: apt-get install chromium).")
    return found


def axe_source() -> str:
    """Return the text of axe-core."""
    for path in AXE_PLACES:
        if path.is_file():
            return path.read_text(encoding="utf-8")
    sys.exit(f"axe-core is needed at {AXE_PLACES[0].relative_to(ROOT)}. Run `make browser`.")


class Visitor:
    """One browser, used by one thread; opens pages and says what is wrong with them."""

    def __init__(self, browser: Any, site: Path, address: str, axe: str) -> None:
        self.browser, self.site, self.address, self.axe = browser, site, address, axe
        self.contexts: dict[Setting, BrowserContext] = {}

    def context(self, setting: Setting) -> BrowserContext:
        """Return the browser's context for a setting."""
        if setting not in self.contexts:
            self.contexts[setting] = self.browser.new_context(
                viewport={"width": setting.width, "height": 844},
                color_scheme=setting.mode,
                reduced_motion="reduce",
            )
        return self.contexts[setting]

    def visit(self, name: str, setting: Setting, tally: Tally, thorough: bool) -> list[str]:
        """Open a page and return what is wrong with it."""
        page = self.context(setting).new_page()
        heard = _listen(page, self.address)
        try:
            base = self.address if setting.protocol == "http" else self.site.as_uri()
            page.goto(f"{base}/{name}", wait_until="load")
            problems = _seen(page)
            if thorough:
                page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
                problems += _seen(page)
                problems += _keyboard(page)
                if setting.protocol == "http":
                    problems += self._axe(page, f"{name} ({setting})", tally)
            return [*heard, *problems]
        finally:
            page.close()

    def _axe(self, page: Page, where: str, tally: Tally) -> list[str]:
        page.evaluate(self.axe)
        # Without preload: false axe itself would fetch the style sheet, which the policy forbids.
        report = page.evaluate("axe.run(document, {resultTypes: ['violations'], preload: false})")
        told = [
            (item["impact"], f"axe {item['impact']}: {item['id']}: {node['html'][:140]}")
            for item in report["violations"]
            for node in item["nodes"][:3]
        ]
        tally.minor += [
            f"{where}: {text}" for impact, text in told if impact not in FAILING_IMPACTS
        ]
        return [text for impact, text in told if impact in FAILING_IMPACTS]


def _listen(page: Page, address: str) -> list[str]:
    """Return a list that fills with errors and requests to other hosts."""
    heard: list[str] = []
    page.on("pageerror", lambda error: heard.append(f"script error: {error}"))
    page.on(
        "console",
        lambda said: heard.append(f"console: {said.text}") if said.type == "error" else None,
    )
    page.on("requestfailed", lambda request: heard.append(f"request failed: {request.url}"))

    def asked(request: Any) -> None:
        if not request.url.startswith((f"{address}/", "file://", "data:")):
            heard.append(f"request to another host: {request.url}")

    page.on("request", asked)
    return heard


def _seen(page: Page) -> list[str]:
    """Return what is wrong with the page as it stands."""
    problems = [f"picture without text or not shown: {src}" for src in page.evaluate(PICTURES)]
    if (beyond := page.evaluate(SIDEWAYS)) > 0:
        problems.append(f"scrolls sideways by {beyond} px")
    if page.evaluate(NO_TEXT):
        problems.append("the article or its heading is missing")
    return problems


def _keyboard(page: Page) -> list[str]:
    """Return what is wrong for somebody who uses the keyboard alone."""
    page.evaluate("() => { document.activeElement.blur(); window.scrollTo(0, 0); }")
    page.keyboard.press("Tab")
    if page.evaluate("document.activeElement.className") != "skip":
        return ["the first stop of the keyboard is not the link to the content"]
    problems = []
    for stop in range(4):
        style = page.evaluate(
            """() => { const s = getComputedStyle(document.activeElement);
            return [s.outlineStyle, parseFloat(s.outlineWidth)]; }"""
        )
        if style[0] == "none" or style[1] < 2:
            problems.append(f"keyboard stop {stop + 1} has no visible focus")
        page.keyboard.press("Tab")
    return problems


def _reader_tries(visitor: Visitor, protocol: str) -> list[str]:
    """Return what fails when a reader searches, switches the mode, and opens the menu."""
    wide, narrow = Setting(protocol=protocol), Setting(width=390, protocol=protocol)
    base = visitor.address if protocol == "http" else visitor.site.as_uri()
    problems: list[str] = []
    page = visitor.context(wide).new_page()
    heard = _listen(page, visitor.address)
    page.goto(f"{base}/index.html")
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click("#mode")
    page.reload()
    if page.evaluate("getComputedStyle(document.body).backgroundColor") == before:
        problems.append("the mode switch changes nothing, or is forgotten")
    page.click("#mode")
    word = page.inner_text(".brand").split()[-1]
    page.fill("header input[name=q]", word)
    page.keyboard.press("Enter")
    try:
        page.wait_for_selector("#search-results li a", timeout=8000)
        page.wait_for_timeout(500)
        problems += _seen(page)
        tops = page.evaluate(
            "[...document.querySelectorAll('#search-results li a')].map(a => a.offsetTop)"
        )
        if len(set(tops)) < len(tops):
            problems.append("results of a search stand beside each other")
    except TimeoutError:
        problems.append(f"a search for {word} finds nothing")
    problems += _figure_as_png(page, visitor.site, base)
    page.close()
    page = visitor.context(narrow).new_page()
    page.goto(f"{base}/index.html")
    page.click(".menu-open")
    if not page.is_visible("#contents a[aria-current]"):
        problems.append("the contents do not open on a phone")
    page.close()
    return [*problems, *heard]


def _figure_as_png(page: Page, site: Path, base: str) -> list[str]:
    """Return what fails when a reader saves a figure as PNG: offered over http alone."""
    drawn = [path.name for path in sorted(site.glob("*.html")) if "ev-png" in path.read_text()]
    if not drawn:
        return []
    page.goto(f"{base}/{drawn[0]}")
    button = page.locator("button.ev-png").first
    if base.startswith("file:"):
        return ["PNG is offered where it cannot be made"] if button.is_visible() else []
    with page.expect_download(timeout=8000) as waiting:
        button.click()
    content = Path(waiting.value.path()).read_bytes()
    return [] if content.startswith(b"\x89PNG") else ["a figure saved as PNG is none"]


def _without_scripts(visitor: Visitor) -> list[str]:
    """Return what fails where scripts are switched off: area pages in two selections."""
    context = visitor.browser.new_context(java_script_enabled=False)
    context.set_default_timeout(8000)
    page = context.new_page()
    page.goto(f"{visitor.address}/index.html")
    problems = []
    link = page.locator("article a[href='areas.html']")
    if link.count():
        link.first.click()
        page.locator(".ev-tiles a").first.click()
        if not re.search(r"/area-[a-z0-9-]+\.html$", page.url):
            problems.append(f"two selections do not lead to an area page but to {page.url}")
    context.close()
    return problems


def _work(site: Path, address: str, axe: str, jobs: list[tuple[Any, ...]], extra: bool) -> Tally:
    tally = Tally()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        visitor = Visitor(browser, site, address, axe)
        for name, setting, thorough in jobs:
            where = f"{name} ({setting})"
            tally.add(where, _tried(partial(visitor.visit, name, setting, tally, thorough)))
        if extra:
            for protocol in PROTOCOLS:
                found = _tried(partial(_reader_tries, visitor, protocol))
                tally.add(f"reader ({protocol})", found)
            tally.add("without scripts", _tried(partial(_without_scripts, visitor)))
        browser.close()
    return tally


def _tried(check_one: Callable[[], list[str]]) -> list[str]:
    """Return what a check finds; one that cannot be carried out has found that."""
    try:
        return check_one()
    except Error as error:
        return [f"could not be checked: {str(error).splitlines()[0]}"]


def plan_jobs(site: Path, everything: bool) -> list[tuple[str, Setting, bool]]:
    """Return page, setting and whether to look thoroughly, for every visit."""
    names = sorted(path.name for path in site.glob("*.html"))
    grid = [Setting(*each) for each in product(WIDTHS, MODES, PROTOCOLS)]
    chosen = names if everything else sorted(kinds(site).values())
    cheap = [(name, Setting(), False) for name in names if name not in chosen]
    return cheap + [(name, setting, True) for name in chosen for setting in grid]


def run(site: Path, everything: bool) -> Tally:
    """Check the site and return the tally."""
    jobs = plan_jobs(site, everything)
    total = Tally()
    total.add("all pages, without a browser", [str(problem) for problem in check(site)])
    axe = axe_source()
    with served(site) as address, ThreadPoolExecutor(WORKERS) as pool:
        shares = [jobs[n::WORKERS] for n in range(WORKERS)]
        tallies = pool.map(
            lambda share: _work(site, address, axe, share[1], extra=share[0] == 0),
            enumerate(shares),
        )
        for tally in tallies:
            total.passed += tally.passed
            total.failures += tally.failures
            total.minor += tally.minor
    return total


def main() -> int:
    """Run the checks and tell what came out."""
    parser = argparse.ArgumentParser(description="Check a built site in Chromium.")
    parser.add_argument("site", type=Path)
    parser.add_argument("--all", action="store_true", help="every page in every setting")
    asked = parser.parse_args()
    site = asked.site.resolve()
    tally = run(site, asked.all)
    say = sys.stdout.write
    for text in sorted(set(tally.minor))[:40]:
        say(f"note: {text}\n")
    for text in tally.failures:
        say(f"FAILED {text}\n")
    thoroughly = "all of them" if asked.all else f"one of each of {len(kinds(site))} kinds"
    say(
        f"{len(list(site.glob('*.html')))} pages, {thoroughly} in every setting: "
        f"{tally.passed} passed, {len(tally.failures)} failed, "
        f"{len(set(tally.minor))} lesser notes of axe-core\n"
    )
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
