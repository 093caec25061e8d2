"""The parts of a page that the book writes itself, as HTML: box, cautions, origin, downloads.

Every function takes the facts of a page (see `evidence.book.facts`) and escapes what it prints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from html import escape
from typing import Any

from evidence.book.facts import COMPLETE, FAILED, NEVER
from evidence.book.planning import NOT_STATED

VISIBLE_CAUTIONS = 3
DESIGN_WORDS = {
    "rct": "Randomised trials",
    "cluster_rct": "Cluster-randomised trials",
    "did": "Difference in differences",
    "its": "Interrupted time series",
    "controlled_before_after": "Before and after, with a comparison",
    "before_after": "Before and after, without a comparison",
    "descriptive": "Description",
}
DOWNLOAD_WORDS = {"table": "Table", "figure": "Figure", "notebook": "Notebook with its outputs"}


def long_date(iso: str) -> str:
    """Return an ISO date in words, such as 1 March 2027; anything else unchanged."""
    try:
        day = date.fromisoformat(iso)
    except ValueError:
        return iso
    return f"{day.day} {day:%B %Y}"


def size_words(count: int) -> str:
    """Return a number of bytes for a reader, such as 12 kB."""
    if count < 1000:
        return f"{count} bytes"
    return f"{count / 1000:.0f} kB" if count < 1_000_000 else f"{count / 1_000_000:.1f} MB"


def box(facts: Mapping[str, Any]) -> str:
    """Return the box that opens a page with results, or says why there are none; "" for prose."""
    if facts["state"] in (FAILED, NEVER):
        return _empty_box(facts)
    if facts["state"] != COMPLETE or not facts["box"]:
        return ""
    said, review = facts["box"], facts["review"]
    rows = [
        ("Size", escape(_begun(said["size"]))),
        ("Certainty", _certainty(said)),
        ("Design", _term(DESIGN_WORDS[said["design"]], "design-tier")),
        ("Applies to", escape(_begun(said["applies_to"]))),
        ("Data or search", escape(_begun(said["period"]))),
        ("Next review", _review(review)),
        ("Status", f'Computed, <a href="#how-this-was-computed">run {facts["run"]}</a>'),
    ]
    if said["cost"] != NOT_STATED:
        rows.append(("Cost", escape(said["cost"])))
    listed = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in rows)
    return (
        '<section class="ev-box" aria-label="Summary">'
        f'<p class="ev-finding">{escape(_begun(said["finding"]))}</p>'
        f'<dl class="ev-facts">{listed}</dl>{_care(facts["cautions"])}</section>'
    )


def _begun(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _empty_box(facts: Mapping[str, Any]) -> str:
    if facts["state"] == NEVER:
        body = (
            '<p class="ev-finding">This page has not been computed yet.</p>'
            f"<p>Run <code>evidence run {escape(facts['page'])}</code> to compute it.</p>"
        )
        return f'<section class="ev-box ev-box-empty" aria-label="State">{body}</section>'
    body = (
        '<p class="ev-finding">This page could not be computed.</p>'
        f'<p class="ev-error"><code>{escape(facts["error"])}</code></p>'
        "<p>No figures are shown: those of an earlier run might no longer hold.</p>"
    )
    return f'<section class="ev-box ev-box-failed" aria-label="State">{body}</section>'


def _certainty(said: Mapping[str, str]) -> str:
    reason = f' <span class="ev-reason">({escape(said["certainty_reason"])})</span>'
    return _term(said["certainty"].capitalize(), "certainty") + reason


def _term(words: str, anchor: str) -> str:
    return f'<a class="ev-term" href="glossary.html#term-{anchor}">{escape(words)}</a>'


def _review(review: Mapping[str, Any]) -> str:
    due = escape(long_date(review["due"]))
    if review["overdue"]:
        return f'<strong class="ev-overdue">Overdue since {due}</strong>'
    return _begun(due)


def _care(doubts: Sequence[Mapping[str, str]]) -> str:
    if not doubts:
        return ""
    others = len(doubts) - 1
    more = f' <a href="#cautions">and {others} more</a>' if others else ""
    first = escape(doubts[0]["text"])
    return f'<p class="ev-care"><strong>Read with care:</strong> {first}{more}</p>'


def caution_list(doubts: Sequence[Mapping[str, str]]) -> str:
    """Return all cautions: the three weightiest in sight, the others in a fold."""
    shown, folded = doubts[:VISIBLE_CAUTIONS], doubts[VISIBLE_CAUTIONS:]
    html = _items(shown)
    if folded:
        words = f"{len(folded)} further caution" + ("s" if len(folded) > 1 else "")
        html += f'<details class="ev-fold"><summary>{words}</summary>{_items(folded)}</details>'
    return html


def _items(doubts: Sequence[Mapping[str, str]]) -> str:
    items = "".join(
        f'<li class="ev-caution ev-caution-{escape(each["kind"])}">{escape(each["text"])}</li>'
        for each in doubts
    )
    return f'<ul class="ev-cautions">{items}</ul>'


def computed(facts: Mapping[str, Any]) -> str:
    """Return the fold that says how a page was computed and how to compute it again."""
    known = facts["computed"]
    rows = [
        ("Page", f"<code>{escape(facts['page'])}</code>"),
        ("Run", f"<code>{escape(facts['run'])}</code>"),
        ("Notebook", f"<code>notebooks/{escape(facts['notebook'])}.ipynb</code>"),
        ("Parameters", _pairs(known["parameters"])),
        ("Data", _sources(known["data"])),
        ("Results of other pages", _pages(known["pages"])),
        ("Software", escape(", ".join(f"{k} {v}" for k, v in sorted(known["versions"].items())))),
    ]
    listed = "".join(f"<div><dt>{k}</dt><dd>{v}</dd></div>" for k, v in rows if v)
    return (
        '<details class="ev-fold" id="how-this-was-computed">'
        "<summary>How this was computed</summary>"
        f'<dl class="ev-origin">{listed}</dl>'
        "<p>To repeat it, or with <code>-p name=value</code> to change one parameter:</p>"
        f'<pre tabindex="0"><code>{escape(known["command"])}</code></pre></details>'
    )


def _pairs(values: Mapping[str, Any]) -> str:
    items = "".join(
        f"<li><code>{escape(name)}</code> = {escape(_plain(value))}</li>"
        for name, value in values.items()
    )
    return f"<ul>{items}</ul>" if items else ""


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value == "" else str(value)


def _sources(data: Sequence[Mapping[str, str]]) -> str:
    items = ""
    for each in data:
        path = f"<code>{escape(each['path'])}</code>"
        named = f'<a href="{escape(each["href"])}">{path}</a>' if each["href"] else path
        items += f'<li>{named} <span class="ev-hash">sha256 {each["sha256"][:12]}</span></li>'
    return f"<ul>{items}</ul>" if items else ""


def _pages(pages: Sequence[Mapping[str, str]]) -> str:
    items = "".join(
        f'<li><a href="{escape(each["id"])}.html">{escape(each["title"])}</a></li>'
        for each in pages
    )
    return f"<ul>{items}</ul>" if items else ""


def downloads(facts: Mapping[str, Any]) -> str:
    """Return the list of files to take away, and how to cite the page."""
    folder = f"downloads/{facts['page']}"
    items = "".join(
        f'<li><a href="{folder}/{escape(each["name"])}" download>'
        f"{DOWNLOAD_WORDS[each['kind']]}: {escape(each['name'])}</a>"
        f' <span class="ev-hash">{size_words(each["bytes"])}</span></li>'
        for each in facts["downloads"]
    )
    items += f'<li><a href="{folder}/citation.bib" download>Citation: citation.bib</a></li>'
    return (
        f'<ul class="ev-downloads">{items}</ul>'
        f'<p class="ev-cite"><strong>Cite this page:</strong> {escape(facts["citation"])}</p>'
    )


def tile_grid(tiles: Sequence[Mapping[str, Any]]) -> str:
    """Return the boroughs as a grid of links, each where it lies in London."""
    items = "".join(
        f'<li class="ev-r{tile["row"]} ev-c{tile["col"]}">'
        f'<a href="{tile["pages"][0]["id"]}.html">{escape(tile["name"])}</a></li>'
        for tile in tiles
        if tile["pages"]
    )
    return f'<nav class="ev-tiles" aria-label="Boroughs by place"><ul>{items}</ul></nav>'


def borough_list(tiles: Sequence[Mapping[str, Any]]) -> str:
    """Return a table of the boroughs, the pages of their areas and who is responsible today."""
    rows = ""
    for tile in tiles:
        links = ", ".join(
            f'<a href="{page["id"]}.html">{escape(page["title"])}</a>' for page in tile["pages"]
        )
        now = "; ".join(dict.fromkeys(escape(page["now"]) for page in tile["pages"]))
        rows += (
            f'<tr><th scope="row">{escape(tile["name"])}</th><td>{links}</td><td>{now}</td></tr>'
        )
    heads = "".join(
        f'<th scope="col">{name}</th>'
        for name in ("Borough", "Area of the figures (2019-20)", "Responsible today")
    )
    return (
        '<div class="ev-scroll" tabindex="0" role="group" aria-label="Boroughs and areas">'
        f'<table class="ev-table"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )
