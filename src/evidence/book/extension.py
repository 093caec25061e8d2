"""The Sphinx extension of the book: page box, numbers in prose, folds, tiles, formulae, layout.

It reads ``_facts/<page>.json``, ``_numbers/<page>.json`` and ``_tiles.json`` in the source folder,
notes each as a dependency of the page that uses it, and so lets an incremental build render again
exactly the pages whose facts or numbers have changed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from docutils import nodes
from docutils.utils.math import latex2mathml
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole
from sphinxcontrib.bibtex.domain import BibtexDomain
from sphinxcontrib.bibtex.plugin import register_plugin
from sphinxcontrib.bibtex.style.referencing import BracketStyle
from sphinxcontrib.bibtex.style.referencing.author_year import AuthorYearReferenceStyle

from evidence.book import pieces
from evidence.book.facts import COMPLETE, FAILED, NEVER

logger = logging.getLogger(__name__)
FACTS, NUMBERS, TILES = "_facts", "_numbers", "_tiles.json"
NUMBER = re.compile(
    r"(?P<page>[a-z0-9-]+)/(?P<result>[a-z0-9_]+)/(?P<key>[\w.-]+)"
    r"(?P<field>\[(low|high|n|k)\])?(?P<format>:[^:]+)?"
)
PER_CENT = re.compile(r"<(pre|code)\b.*?</\1>|(?<=\d) %", re.DOTALL)
PLAIN_FORMAT = re.compile(r":,?(\.\d)?[df%]")


class Fold(nodes.General, nodes.Element):
    """A part of the page that opens when the reader asks for it."""


class Unsearched(nodes.General, nodes.Element):
    """HTML that the search leaves out: hashes, file names, lists of links."""


class FoldDirective(SphinxDirective):
    """``{fold} Title``: content behind a summary line."""

    has_content = True
    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Return the fold with its parsed content."""
        fold = Fold(title=self.arguments[0], ids=[nodes.make_id(self.arguments[0])])
        self.state.nested_parse(self.content, self.content_offset, fold)
        return [fold]


class TilesDirective(SphinxDirective):
    """``{tile-grid}`` and ``{borough-list}``: the boroughs, each linking to its area page."""

    def run(self) -> list[nodes.Node]:
        """Return the boroughs as raw HTML; a build without areas has none and says so."""
        path = Path(self.env.srcdir) / TILES
        self.env.note_dependency(str(path))
        tiles = json.loads(path.read_text(encoding="utf-8"))
        if not any(tile["pages"] for tile in tiles):
            raise self.error("boroughs are linked to area pages; the report plans none")
        draw = pieces.tile_grid if self.name == "tile-grid" else pieces.borough_list
        return [Unsearched(html=draw(tiles))]


class NumberRole(SphinxRole):
    """``{num}`page/result/key:.1f```: a number of a published run, linked to its page.

    ``[low]``, ``[high]``, ``[n]`` or ``[k]`` after the key take another field of the estimate.
    Without a format, counts are whole and everything else has one decimal.
    """

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the number, or a warning if no run has it."""
        found = NUMBER.fullmatch(self.text.strip())
        if not found or not PLAIN_FORMAT.fullmatch(found["format"] or ":.1f"):
            self._warn("a number is written page/result/key or page/result/key:.1f")
            return [nodes.inline("", "?")], []
        text = self._number(found)
        if found["page"] == self.env.docname:
            return [nodes.inline("", text, classes=["ev-num"])], []
        return [self._linked(found["page"], text)], []

    def _number(self, found: re.Match[str]) -> str:
        page, result, key = found["page"], found["result"], found["key"]
        path = Path(self.env.srcdir) / NUMBERS / f"{page}.json"
        self.env.note_dependency(str(path))
        if not path.is_file():
            self._warn(f"there is no page {page!r}")
            return "?"
        known = json.loads(path.read_text(encoding="utf-8"))
        if known["state"] in (FAILED, NEVER):
            return "(not available)"
        estimates = known["results"].get(result)
        if estimates is None:
            named = ", ".join(known["results"]) or "none"
            self._warn(f"page {page!r} has no result {result!r} (it has: {named})")
            return "?"
        estimate = estimates.get(key, {})
        value = estimate.get((found["field"] or "[value]")[1:-1])
        if value is None:
            self._warn(f"no figure {key!r} in result {result!r} of page {page!r}")
            return "?"
        counted = not estimate.get("unit") and "low" not in estimate
        form = (found["format"] or "")[1:] or (
            ",.0f" if counted and value == int(value) else ",.1f"
        )
        return shown_number(value, form)

    def _linked(self, page: str, text: str) -> nodes.Node:
        link = nodes.reference("", "", internal=True, refuri=f"{page}.html", classes=["ev-num"])
        link += nodes.inline("", text)
        return link

    def _warn(self, message: str) -> None:
        logger.warning("%s: %s", self.text, message, location=self.get_location())


def shown_number(value: float, form: str) -> str:
    """Return a number as prose shows it, with a true minus sign."""
    return format(round(value) if form.endswith("d") else value, form).replace("-", "−")


def add_pieces(app: Sphinx, doctree: nodes.document) -> None:
    """Put the box after the title and origin, code and downloads at the end of a page."""
    docname = app.env.docname
    path = Path(app.srcdir) / FACTS / f"{docname}.json"
    app.env.note_dependency(str(path))
    if not path.is_file():
        return
    facts = json.loads(path.read_text(encoding="utf-8"))
    top = next(iter(doctree.findall(nodes.section)), None)
    if top is None:
        logger.warning("a page must begin with a title", location=docname)
        return
    if html := pieces.box(facts):
        top.insert(1, _searched(html))
    code = list(doctree.findall(Fold)) if facts["state"] == COMPLETE else []
    for fold in code:
        fold.parent.remove(fold)
    if facts["state"] == COMPLETE:
        top.extend(_end_of_page(facts, code))


def _end_of_page(facts: dict[str, Any], code: list[Fold]) -> list[nodes.Node]:
    doubts = _searched(pieces.caution_list(facts["cautions"]))
    origin = [Unsearched(html=pieces.computed(facts)), *code]
    return [
        *([_section("Cautions", doubts)] if facts["cautions"] else []),
        _section("Where this comes from", *origin, Unsearched(html=pieces.downloads(facts))),
    ]


def _section(title: str, *content: nodes.Node) -> nodes.section:
    section = nodes.section(ids=[nodes.make_id(title)], names=[nodes.fully_normalize_name(title)])
    section += nodes.title("", title)
    section.extend(content)
    return section


def _searched(html: str) -> nodes.raw:
    """Return HTML whose words the search finds; spaces keep those of neighbouring tags apart."""
    return nodes.raw("", html.replace("><", "> <"), format="html")


def _visit_unsearched(translator: Any, node: Unsearched) -> None:
    translator.body.append(node["html"])


def _depart_unsearched(_translator: Any, _node: Unsearched) -> None:
    """Leave nothing behind: the HTML is whole."""


def _visit_fold(translator: Any, node: Fold) -> None:
    ids = "".join(f' id="{id}"' for id in node["ids"])
    summary = translator.encode(node["title"])
    translator.body.append(f'<details class="ev-fold"{ids}><summary>{summary}</summary>\n')


def _depart_fold(translator: Any, _node: Fold) -> None:
    translator.body.append("</details>\n")


def _math(translator: Any, node: nodes.Element, block: bool) -> None:
    source = node.astext()
    try:
        mathml = latex2mathml.tex2mathml(source, as_block=block)
    except Exception as error:
        logger.warning("formula %r cannot be shown: %s", source, error, location=node)
        mathml = translator.encode(source)
    tag = "div" if block else "span"
    focus = ' tabindex="0"' if block else ""
    translator.body.append(f'<{tag} class="ev-math"{focus}>{mathml}</{tag}>')
    raise nodes.SkipNode


def _inline_math(translator: Any, node: nodes.Element) -> None:
    _math(translator, node, block=False)


def _block_math(translator: Any, node: nodes.Element) -> None:
    _math(translator, node, block=True)


def add_context(
    app: Sphinx, pagename: str, _template: str, context: dict[str, Any], _doctree: Any
) -> None:
    """Give the layout its navigation and clean the body of what the page's policy forbids."""
    parts = app.config.evidence_navigation
    order = [page for part in parts for page in part["pages"]]
    here = next((n for n, page in enumerate(order) if page["id"] == pagename), None)
    context["ev"] = app.config.evidence_report
    context["ev_parts"] = parts
    context["ev_part"] = next(
        (part for part in parts if any(page["id"] == pagename for page in part["pages"])), None
    )
    context["ev_previous"] = order[here - 1] if here else None
    context["ev_next"] = order[here + 1] if here is not None and here + 1 < len(order) else None
    context["ev_chain"] = _chain(app.config.evidence_chain, context["ev_part"], pagename)
    context["ev_version"] = app.config.evidence_version[:8]
    context["ev_description"] = _description(app, pagename)
    if "body" in context:
        context["body"] = clean_body(context["body"])


def _chain(
    links: Sequence[Mapping[str, Any]], part: Mapping[str, Any] | None, pagename: str
) -> list[dict[str, Any]]:
    """Return the questions of the chain on a page that answers one; `here` marks that one."""
    answered = part["id"] if part else ""
    shown = [
        {**link, "here": answered in link["parts"], "open": pagename != link["page"]}
        for link in links
    ]
    return shown if any(link["here"] for link in shown) else []


def _description(app: Sphinx, pagename: str) -> str:
    path = Path(app.srcdir) / FACTS / f"{pagename}.json"
    if not path.is_file():
        return ""
    return str((json.loads(path.read_text(encoding="utf-8"))["box"] or {}).get("finding", ""))


@dataclass
class RoundBrackets(AuthorYearReferenceStyle):
    """References by author and year, in the round brackets of the Harvard style."""

    bracket_parenthetical: BracketStyle = field(default_factory=lambda: BracketStyle("(", ")"))
    bracket_textual: BracketStyle = field(default_factory=lambda: BracketStyle("(", ")"))


def clean_body(body: str) -> str:
    """Return a page's body without the attributes that fail accessibility checks or the policy.

    A number and its per cent sign stay on one line, in code they stay as they were written.
    """
    body = re.sub(r' role="(list|doc-biblioentry|doc-backlink|doc-noteref)"', "", body)
    body = re.sub(r"<pre(?![^>]*tabindex)", '<pre tabindex="0"', body)
    body = re.sub(r'<table class="(docutils|table)[^"]*"', '<table class="ev-table"', body)
    body = re.sub(
        r'<div class="pst-scrollable-table-container">',
        '<div class="ev-scroll" tabindex="0" role="group" aria-label="Table">',
        body,
    )
    body = re.sub(r' style="[^"]*"', "", body)
    return PER_CENT.sub(lambda found: found[0] if found[1] else "\u00a0%", body)


def bibliographies(
    app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]
) -> list[str]:
    """Return the pages with a bibliography as outdated: any page may have cited something new."""
    listed = {key.docname for key in cast(BibtexDomain, env.get_domain("cite")).bibliographies}
    return sorted(listed & env.found_docs) if added or changed or removed else []


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.add_config_value("evidence_report", {}, "html")
    app.add_config_value("evidence_navigation", [], "html")
    app.add_config_value("evidence_chain", [], "html")
    app.add_config_value("evidence_version", "", "env")
    app.add_node(Fold, html=(_visit_fold, _depart_fold))
    app.add_node(Unsearched, html=(_visit_unsearched, _depart_unsearched))
    app.add_directive("fold", FoldDirective)
    app.add_directive("tile-grid", TilesDirective)
    app.add_directive("borough-list", TilesDirective)
    app.add_role("num", NumberRole())
    group = "sphinxcontrib.bibtex.style.referencing"
    register_plugin(group, "author_year_round", RoundBrackets)
    app.add_html_math_renderer("mathml", (_inline_math, None), (_block_math, None))
    app.connect("env-get-outdated", bibliographies)
    app.connect("doctree-read", add_pieces, priority=400)
    app.connect("html-page-context", add_context, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
