"""The plan of the report: book/report.yml read, its families of pages expanded, checked.

The file holds ``title``, ``short``, ``edition``, ``publisher``, ``comments``, ``data_page``,
``parts`` and, if its parts answer questions one after the other, their ``chain``; a part holds
``id``, ``title`` and ``pages``; a page holds ``id``, ``title`` and any of ``notebook``,
``parameters``, ``needs``, ``prose``, ``tags``, ``subject`` and ``for_each``; a link of the chain
holds ``question``, the ``parts`` that answer it, and the ``page`` to begin with.

``for_each: indicators(tag=…)``, ``indicators(without=…)``, ``areas(kind=…)`` or
``framework(id=…)`` makes one page of each indicator (with or without a tag), area, or entry of a
framework (steps, lessons, principles).  The placeholders of an entry then stand for the indicator
(``{indicator}``, ``{title}``, ``{short}``), the area (``{area}``, ``{name}``, ``{slug}``,
``{kind}``) or the entry (``{entry}``, ``{number}``, ``{name}``).

Nothing here imports pandas, so that a command can name a wrong page at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from evidence.data import catalogue
from evidence.data.definitions import Indicator
from evidence.data.documents import Fields, nearest, read
from evidence.errors import CatalogueError
from evidence.runs.pages import Page

NOT_STATED = "not stated"
RESERVED = ("search", "genindex")
PAGE_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
FAMILY = re.compile(r"(?P<of>indicators|areas|framework)\((?:(?P<key>\w+)=(?P<value>[\w-]+))?\)")
KEYS = {
    "indicators": (None, "tag", "without"),
    "areas": (None, "kind"),
    "framework": ("id",),
}
PLACEHOLDER = re.compile(r"\{(\w*)\}")
WHOLE_PART = "part:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of the report, in reading order."""

    id: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One question of the report's chain: the parts that answer it, the page to begin with."""

    question: str
    parts: tuple[str, ...]
    page: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The planned report.

    Parameters
    ----------
    title, short, edition, publisher
        As printed on every page and in citations; `short` is the title where room is scarce.
    comments, comments_page
        Address for errors and comments, or ``not stated``; page that says how to send one.
    data_page
        Page that lists the datasets; the data of a run link to it.
    parts, pages
        In reading order; every page names its part.
    chain
        The questions that the parts answer one after the other; empty if there are none.
    """

    title: str
    short: str
    edition: str
    publisher: str
    comments: str
    comments_page: str
    data_page: str
    parts: tuple[Part, ...]
    pages: tuple[Page, ...]
    chain: tuple[Link, ...] = ()

    def page(self, id: str) -> Page:
        """Return the page with this id.

        Raises
        ------
        CatalogueError
            If there is none, with the nearest id.
        """
        for page in self.pages:
            if page.id == id:
                return page
        known = [page.id for page in self.pages]
        raise CatalogueError(
            f"a page must be one of book/report.yml; there is no {id!r}. {nearest(id, known)}"
        )


@dataclass(slots=True)
class _Draft:
    page: Page
    fields: Fields


def plan(root: Path) -> Report:
    """Read and check the plan of the report.

    Parameters
    ----------
    root
        Folder of the workbook.

    Raises
    ------
    CatalogueError
        Naming file, line and key: an unknown key, placeholder, family, id or file, an id that
        comes twice, or pages that need each other in a circle.
    """
    fields = read(root / "book" / "report.yml")
    comments = fields.inside("comments")
    title, edition = fields.text("title"), fields.text("edition")
    short = fields.text("short", title)
    publisher, data_page = fields.text("publisher"), fields.text("data_page")
    parts, drafts = _parts(fields)
    known = {draft.page.id: draft for draft in drafts}
    chain = _chain(fields, {part.id for part in parts}, known)
    comments_page, address = comments.text("page"), comments.text("address", NOT_STATED)
    comments.done()
    fields.done()
    if "index" not in known:
        raise fields.refuse("parts", "must hold a page 'index', the front page", "Add it.")
    for owner, key, id in ((comments, "page", comments_page), (fields, "data_page", data_page)):
        if id not in known:
            raise owner.refuse(key, "must be the id of a page", nearest(id, known))
    pages = [_with_needs(draft, drafts, known) for draft in drafts]
    _refuse_circle(pages, known)
    for draft in drafts:
        _check_prose(root, draft)
    return Report(
        title=title,
        short=short,
        edition=edition,
        publisher=publisher,
        comments=address,
        comments_page=comments_page,
        data_page=data_page,
        parts=parts,
        pages=tuple(pages),
        chain=chain,
    )


def _parts(fields: Fields) -> tuple[tuple[Part, ...], list[_Draft]]:
    parts: list[Part] = []
    drafts: list[_Draft] = []
    define = cache(catalogue.definition)
    for entry in fields.each("parts"):
        part = Part(id=entry.text("id"), title=entry.text("title"))
        if part.id in {each.id for each in parts}:
            raise entry.refuse("id", "must be the part's own; it comes twice", "Rename one.")
        for page in entry.each("pages"):
            for draft in _family(page, part.id, define):
                _refuse_repeat(draft, drafts)
                drafts.append(draft)
        entry.done()
        parts.append(part)
    return tuple(parts), drafts


def _chain(fields: Fields, parts: Collection[str], pages: Collection[str]) -> tuple[Link, ...]:
    links = []
    for entry in fields.each("chain", required=False):
        link = Link(
            question=entry.text("question"), parts=entry.texts("parts"), page=entry.text("page")
        )
        entry.done()
        for part in link.parts:
            if part not in parts:
                raise entry.refuse("parts", f"must name parts, not {part!r}", nearest(part, parts))
        if link.page not in pages:
            raise entry.refuse("page", "must be the id of a page", nearest(link.page, pages))
        links.append(link)
    return tuple(links)


def _family(entry: Fields, part: str, define: Callable[[str], Indicator]) -> list[_Draft]:
    family = entry.text("for_each", "")
    members = _members(entry, family, define) if family else [{}]
    return [_Draft(_page(entry, part, values), entry) for values in members]


def _members(
    entry: Fields, family: str, define: Callable[[str], Indicator]
) -> list[dict[str, str]]:
    found = FAMILY.fullmatch(family.replace(" ", ""))
    form = "must be indicators(tag=… or without=…), areas(kind=…) or framework(id=…)"
    if not found:
        raise entry.refuse("for_each", form)
    of, key, value = found["of"], found["key"], found["value"]
    if key not in KEYS[of]:
        raise entry.refuse("for_each", form)
    if of == "indicators":
        members = _indicators(key, value, define)
    else:
        members = _areas(value) if of == "areas" else _entries(value)
    if not members:
        raise entry.refuse("for_each", "must find at least one", "Correct the tag, kind or id.")
    return members


def _indicators(
    key: str | None, tag: str, define: Callable[[str], Indicator]
) -> list[dict[str, str]]:
    found = (define(id) for id in catalogue.indicators())
    return [
        {"indicator": each.id, "title": each.title, "short": each.short, "subject": each.id}
        for each in found
        if key is None or (tag in each.tags) == (key == "tag")
    ]


def _areas(kind: str | None) -> list[dict[str, str]]:
    return [
        {
            "area": area.code,
            "name": area.name,
            "slug": slug(area.name),
            "kind": area.kind,
            "subject": area.code,
        }
        for area in sorted(catalogue.areas(kind), key=lambda area: area.name)
    ]


def _entries(framework: str) -> list[dict[str, str]]:
    return [
        {
            "entry": id,
            "number": id[1:],
            "name": name[:1].upper() + name[1:],
            "subject": id,
        }
        for found in catalogue.frameworks()
        if found.id == framework
        for id, name in found.names.items()
    ]


def slug(name: str) -> str:
    """Return a name as it stands in a page id: lower case, words joined by hyphens."""
    return "-".join(re.findall(r"[a-z0-9]+", name.lower().replace("'", "").replace("’", "")))


def _page(entry: Fields, part: str, values: Mapping[str, str]) -> Page:
    def fill(key: str, text: str) -> str:
        return _filled(entry, key, text, values)

    parameters = {
        name: fill("parameters", value) if isinstance(value, str) else value
        for name, value in entry.mapping("parameters", {}).items()
    }
    page = Page(
        id=fill("id", entry.text("id")),
        title=fill("title", entry.text("title")),
        notebook=fill("notebook", entry.text("notebook", "")),
        parameters=parameters,
        needs=tuple(fill("needs", each) for each in entry.texts("needs", ())),
        part=part,
        prose=fill("prose", entry.text("prose", "")),
        tags=tuple(fill("tags", each) for each in entry.texts("tags", ())),
        subject=entry.text("subject", values.get("subject", "")),
    )
    entry.done()
    _check_page(entry, page)
    return page


def _filled(entry: Fields, key: str, text: str, values: Mapping[str, str]) -> str:
    allowed = [name for name in values if name != "subject"]

    def one(match: re.Match[str]) -> str:
        name = match[1]
        if name not in allowed:
            known = ", ".join(f"{{{each}}}" for each in allowed) or "none without for_each"
            raise entry.refuse(
                key, f"may hold only known placeholders ({known}), not {{{name}}}", "Correct it."
            )
        return values[name]

    return PLACEHOLDER.sub(one, text)


def _check_page(entry: Fields, page: Page) -> None:
    if not PAGE_ID.fullmatch(page.id) or page.id in RESERVED:
        raise entry.refuse(
            "id",
            f"must be lower-case letters, digits and hyphens, and not {' or '.join(RESERVED)}",
            f"It gives {page.id!r}.",
        )
    if not page.notebook and not page.prose:
        raise entry.refuse("notebook", "or prose must be given", "Name one of the two.")
    if page.parameters and not page.notebook:
        raise entry.refuse("parameters", "need a notebook", "Remove them or name one.")


def _refuse_repeat(draft: _Draft, drafts: Sequence[_Draft]) -> None:
    if any(draft.page.id == other.page.id for other in drafts):
        raise draft.fields.refuse(
            "id", f"must be the page's own; {draft.page.id!r} comes twice", "Rename one of them."
        )


def _with_needs(draft: _Draft, drafts: Sequence[_Draft], known: Mapping[str, _Draft]) -> Page:
    found: dict[str, None] = {}
    for need in draft.page.needs:
        found.update(dict.fromkeys(_needed(draft, need, drafts, known)))
    page = draft.page
    return Page(
        **{name: getattr(page, name) for name in Page.__dataclass_fields__ if name != "needs"},
        needs=tuple(found),
    )


def _needed(
    draft: _Draft, need: str, drafts: Sequence[_Draft], known: Mapping[str, _Draft]
) -> Iterator[str]:
    if need.startswith(WHOLE_PART):
        part = need.removeprefix(WHOLE_PART)
        parts = {each.page.part for each in drafts}
        if part not in parts:
            raise draft.fields.refuse(
                "needs", f"must name parts that exist, not {part!r}", nearest(part, parts)
            )
        yield from (
            each.page.id
            for each in drafts
            if each.page.part == part and each.page.notebook and each is not draft
        )
    elif need not in known:
        raise draft.fields.refuse(
            "needs", f"must name pages that exist, not {need!r}", nearest(need, known)
        )
    elif not known[need].page.notebook:
        raise draft.fields.refuse(
            "needs", f"must name pages with results; {need!r} is prose alone", "Remove it."
        )
    else:
        yield need


def _refuse_circle(pages: Sequence[Page], known: Mapping[str, _Draft]) -> None:
    needs = {page.id: page.needs for page in pages}
    done: set[str] = set()

    def visit(id: str, path: tuple[str, ...]) -> None:
        if id in path:
            circle = " → ".join((*path[path.index(id) :], id))
            raise known[id].fields.refuse(
                "needs", f"must not lead back to the page itself ({circle})", "Remove one of them."
            )
        if id not in done:
            for need in needs[id]:
                visit(need, (*path, id))
            done.add(id)

    for page in pages:
        visit(page.id, ())


def _check_prose(root: Path, draft: _Draft) -> None:
    prose = draft.page.prose
    if prose and not (root / "book" / prose).is_file():
        raise draft.fields.refuse(
            "prose", "must name a file below book/", "Write the file or correct the name."
        )


def settings(report: Report) -> dict[str, Any]:
    """Return what every page shows of the report, as plain values."""
    return {
        "title": report.title,
        "short": report.short,
        "edition": report.edition,
        "publisher": report.publisher,
        "comments": report.comments,
        "comments_page": report.comments_page,
        "data_page": report.data_page,
    }
