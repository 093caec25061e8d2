"""Checks of a built site that need no browser: links, pictures, hosts, inline code, paths."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {("script", "src"), ("img", "src"), ("link", "href"), ("source", "src"), ("iframe", "src")}
LINKED = {*LOADED, ("a", "href"), ("form", "action")}
MACHINE_PATHS = ("/home/", "/Users/", "/root/", "/tmp/", "C:\\Users\\", "file:///")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong on one page."""

    page: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}: {self.text}"


@dataclass(slots=True)
class _Seen:
    """What was found on one page."""

    ids: list[str] = field(default_factory=list)
    links: list[tuple[str, str, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    language: str = ""
    headings: int = 0


class _Reader(HTMLParser):
    """Collects ids, links and faults of a page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.seen = _Seen()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        seen = self.seen
        if "id" in values:
            seen.ids.append(values["id"])
        if tag == "html":
            seen.language = values.get("lang", "")
        if tag == "h1":
            seen.headings += 1
        if tag == "img":
            seen.problems.extend(_image_faults(values))
        if tag == "style" or (tag == "script" and "src" not in values):
            seen.problems.append(f"an inline <{tag}> is forbidden by the page's policy")
        for name in values:
            if name == "style" or re.fullmatch(r"on[a-z]+", name):
                seen.problems.append(f"an inline {name}= on <{tag}> is forbidden by the policy")
            if (tag, name) in LINKED and values[name]:
                seen.links.append((tag, name, values[name]))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)


def _image_faults(values: dict[str, str]) -> Iterator[str]:
    alt, source = values.get("alt", "").strip(), values.get("src", "")
    if not alt:
        yield f"picture {source} has no alternative text"
    elif re.search(r"\.(png|svg|jpe?g|gif)$", alt):
        yield f"picture {source} has a file name as alternative text: {alt}"


def check(site: Path, *, forbidden: Sequence[str] = ()) -> list[Problem]:
    """Return every problem of the pages of a site; none is the aim.

    Broken links and anchors, outside hosts that a page would load from, pictures without
    alternative text, inline styles and scripts, ids that come twice, a missing language or main
    heading, and paths of the machine that built it.

    Parameters
    ----------
    site
        Folder of pages.
    forbidden
        Further texts that no page may hold, such as the folder of the workbook.
    """
    texts = {
        path.relative_to(site).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(site.rglob("*.html"))
    }
    if not texts:
        return [Problem("index.html", f"there is no page in {site.name}")]
    seen = {name: _read(text) for name, text in texts.items()}
    files = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}
    problems: list[Problem] = []
    for name, page in seen.items():
        problems += [Problem(name, text) for text in page.problems]
        problems += [Problem(name, text) for text in _shape_faults(page)]
        problems += [Problem(name, text) for text in _link_faults(name, page, seen, files)]
        problems += [
            Problem(name, f"a path of the machine stands on the page: {path}")
            for path in (*MACHINE_PATHS, *forbidden)
            if path in texts[name]
        ]
    return problems


def _read(text: str) -> _Seen:
    reader = _Reader()
    reader.feed(text)
    return reader.seen


def _shape_faults(page: _Seen) -> Iterator[str]:
    if page.language != "en-GB":
        yield f"the language must be en-GB; it is {page.language or 'not stated'}"
    if page.headings != 1:
        yield f"a page must have one main heading; it has {page.headings}"
    for id in sorted({id for id in page.ids if page.ids.count(id) > 1}):
        yield f"the id {id!r} comes more than once"


def _link_faults(name: str, page: _Seen, seen: dict[str, _Seen], files: set[str]) -> Iterator[str]:
    for tag, attribute, address in page.links:
        parts = urlsplit(address)
        if parts.scheme in ("http", "https", "mailto") or parts.netloc:
            if (tag, attribute) in LOADED:
                yield f"<{tag}> loads from another host: {address}"
            continue
        if parts.scheme == "data":
            continue
        target = _target(name, unquote(parts.path))
        if target not in files:
            yield f"broken link: {address}"
        elif parts.fragment and target in seen and unquote(parts.fragment) not in seen[target].ids:
            yield f"broken anchor: {address}"


def _target(page: str, path: str) -> str:
    if not path:
        return page
    parts = [*page.split("/")[:-1], *path.split("/")]
    kept: list[str] = []
    for part in parts:
        if part == ".." and kept:
            kept.pop()
        elif part not in ("", "."):
            kept.append(part)
    return "/".join(kept)
