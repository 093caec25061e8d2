"""An executed notebook turned into a page of a report: results in the flow, code in one fold.

Readers come for results.  Pictures, tables and sentences stay where the notebook shows them;
every code cell, the sentences that only introduce a step of it, and plain text output go together
into one fold at the end of the page.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup, Tag

from evidence.errors import RunError

PICTURES = ("image/svg+xml", "image/png")
RICH = (*PICTURES, "text/html", "text/markdown", "text/latex")
RESULTS_HERE = "% results"
NUMBER = re.compile(
    r"[−+-]?(£)?\d[\d,  ]*(\.\d+)?([eE][−+-]?\d+)?\s*(%|per [\w, ]+)?"
    r"|[−+-]?\d[\d,.]*\s*(to|–|-)\s*[−+-]?\d[\d,.]*|[−+-]?inf|—|–|-|"
)
PRINTED_DIGITS = 4
"""Significant digits of a result's table in a notebook."""
LONG_TABLE = 15
"""Rows beyond which a table that stands below a picture goes into a fold."""
PAIRS = ["part", "stated"]
"""Heads of a result that lists names and what is stated of each."""
FENCE = "`" * 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What a page knows of the rest of the report when its notebook is shown.

    Parameters
    ----------
    page
        The page's id.
    figures
        Addresses of the recorded figures by their alternative text.
    stated
        Sentences that the page says in its box or in its list of cautions, and not again.
    titles
        Titles of the report's pages by id; an id in a table becomes a link.
    places
        Names of places by the text of the table cell where each is, for links from elsewhere.
    """

    page: str
    figures: Mapping[str, str] = field(default_factory=dict)
    stated: frozenset[str] = frozenset()
    titles: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Flow:
    """The page under construction: cells shown in the flow and the steps of the fold."""

    pictures: int = 0
    placed: set[str] = field(default_factory=set)
    cells: list[dict[str, Any]] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)

    def show(self, kind: str, **content: Any) -> None:
        """Add a cell to the flow."""
        id = f"cell-{len(self.cells) + 1}"
        self.cells.append({"cell_type": kind, "id": id, "metadata": {}, **content})

    def show_output(self, output: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        """Add one output to the flow, as a code cell whose code is not shown.

        The code is not empty because MyST-NB leaves out cells without any.
        """
        shown = {"tags": ["remove-input"], **metadata}
        self.show("code", execution_count=None, source="# shown", outputs=[output])
        self.cells[-1]["metadata"] = shown


def page_of_notebook(
    notebook: Mapping[str, Any], around: Around, *, title: str, prose: str = ""
) -> dict[str, Any]:
    """Return the notebook as the book renders it.

    Parameters
    ----------
    notebook
        An executed notebook, as JSON.
    around
        What the page knows of the rest of the report.
    title
        Title of the page; it replaces the notebook's own first heading.
    prose
        Markdown that surrounds the results; a line ``% results`` says where they go, without it
        they follow the prose.

    Raises
    ------
    RunError
        If a cell wrote to stderr, holds an error, or shows a picture without alternative text:
        page, cell and what to do are named.
    """
    flow = _Flow()
    before, after = _around(prose)
    flow.show("markdown", source="\n\n".join(filter(None, [f"# {title}", before])))
    cells = list(notebook["cells"])
    for number, cell in enumerate(cells):
        where = f"page {around.page}, cell {number + 1}"
        if cell["cell_type"] == "markdown":
            text = _without_title(_text(cell["source"])) if number == 0 else _text(cell["source"])
            _place_prose(flow, text, number, cells)
        elif cell["cell_type"] == "code":
            _place_code(flow, cell, where, around)
    if after:
        flow.show("markdown", source=after)
    if flow.steps:
        flow.show("markdown", source=_fold("Code of this page", flow.steps))
    return {
        "cells": flow.cells,
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _around(prose: str) -> tuple[str, str]:
    body = _without_title(prose).strip()
    parts = re.split(rf"^{re.escape(RESULTS_HERE)}\s*$", body, maxsplit=1, flags=re.MULTILINE)
    return parts[0].strip(), (parts[1].strip() if len(parts) == 2 else "")


def _without_title(text: str) -> str:
    return re.sub(r"\A\s*#\s[^\n]*\n?", "", text).strip()


def _text(source: Any) -> str:
    return source if isinstance(source, str) else "".join(source)


def _place_prose(flow: _Flow, text: str, number: int, cells: Sequence[Any]) -> None:
    if not text.strip():
        return
    if number > 0 and not text.startswith("#") and not _shows(number, cells):
        flow.steps.append(text)
    else:
        flow.show("markdown", source=text)


def _shows(number: int, cells: Sequence[Any]) -> bool:
    """Whether the cells under a sentence, up to the next one, show a result (or there are none)."""
    below = []
    for cell in cells[number + 1 :]:
        if cell["cell_type"] != "code":
            break
        below.append(cell)
    return not below or any(_rich(output) for cell in below for output in cell["outputs"])


def _rich(output: Mapping[str, Any]) -> bool:
    return any(kind in output.get("data", {}) for kind in RICH)


def _place_code(flow: _Flow, cell: Mapping[str, Any], where: str, around: Around) -> None:
    source = _text(cell["source"]).strip()
    if source:
        flow.steps.append(_fenced("python", source))
    for output in cell["outputs"]:
        _refuse_trouble(output, where)
        if _rich(output):
            _place_output(flow, output, where, around)
        else:
            said = _text(output.get("text") or output.get("data", {}).get("text/plain", ""))
            if said.strip():
                flow.steps.append(_fenced("text", said.rstrip()))


def _refuse_trouble(output: Mapping[str, Any], where: str) -> None:
    if output["output_type"] == "error":
        raise RunError(
            f"{where}: a published cell must not end in an error; it ended in "
            f"{output.get('ename')}: {output.get('evalue')}. Correct the notebook and run it again."
        )
    if output["output_type"] == "stream" and output.get("name") == "stderr":
        said = " ".join(_text(output["text"]).split())[:300]
        raise RunError(
            f"{where}: a published cell must not write to stderr; it wrote {said!r}. "
            "Turn the warning into a caution of the result, or avoid its cause."
        )


def _place_output(flow: _Flow, output: Mapping[str, Any], where: str, around: Around) -> None:
    data = output["data"]
    kind = next(kind for kind in RICH if kind in data)
    if kind in PICTURES:
        alt = _alternative(_text(data.get("text/plain", "")), where)
        shown = _display({kind: data[kind]})
        flow.show_output(shown, {"mystnb": {"image": {"alt": alt, "classes": "ev-figure"}}})
        flow.pictures += 1
        if address := around.figures.get(alt):
            flow.show_output(_display({"text/html": _figure_links(address)}), {})
    elif kind == "text/html":
        longest = LONG_TABLE if flow.pictures else None
        if html := tidy_html(_text(data[kind]), where, around, longest):
            flow.show_output(_display({kind: _with_places(html, around, flow.placed)}), {})
    else:
        flow.show_output(_display({kind: data[kind]}), {})


def _with_places(html: str, around: Around, placed: set[str]) -> str:
    """Give the first cell of the page with a text of `places` its name."""
    for text, place in around.places.items():
        cell = f"<td>{text}</td>"
        if place not in placed and cell in html:
            html = html.replace(cell, f'<td id="{place}">{text}</td>', 1)
            placed.add(place)
    return html


def _display(data: Mapping[str, Any]) -> dict[str, Any]:
    return {"output_type": "display_data", "metadata": {}, "data": dict(data)}


def _alternative(text: str, where: str) -> str:
    alt = " ".join(text.split())
    if len(alt) < 10 or alt.startswith("<") or re.search(r"\.(png|svg)$", alt):
        raise RunError(
            f"{where}: a picture must have alternative text that says what it shows; got {alt!r}. "
            "Show it by evidence.plots, which computes the text."
        )
    return alt


def _figure_links(address: str) -> str:
    """Return the link to a picture, and the button that report.js turns into a PNG of it."""
    name = Path(address).with_suffix(".png").name
    button = f'<button type="button" class="ev-png" value="{name}" hidden>PNG</button>'
    return f'<p class="ev-figure-links">This figure: <a href="{address}">SVG</a> {button}</p>'


def _fenced(language: str, text: str) -> str:
    return f"```````{language}\n{text}\n```````"


def _fold(title: str, steps: Sequence[str]) -> str:
    body = "\n\n".join(re.sub(r"^#+\s*(.+)$", r"**\1**", step) for step in steps)
    return f"{FENCE}{{fold}} {title}\n{body}\n{FENCE}"


def tidy_html(html: str, where: str, around: Around, longest: int | None = None) -> str:
    """Return the HTML of an output as the book shows it.

    Scripts are refused; styles are dropped (the page's policy forbids both).  Tables get classes,
    header scopes, right-aligned numbers and a frame that scrolls by itself on a narrow screen.
    What the page says elsewhere is taken out, and page ids become links.

    Parameters
    ----------
    html, where
        The output, and its place for messages.
    around
        What the page knows of the rest of the report.
    longest
        Number of rows beyond which a table goes into a fold; none if not given.

    Raises
    ------
    RunError
        If the output holds a script.
    """
    soup = BeautifulSoup(html, "html.parser")
    if soup.find("script"):
        raise RunError(
            f"{where}: a published output must not hold a script; it has one. "
            "Show a table or a picture instead."
        )
    for style in soup.find_all("style"):
        style.decompose()
    for tag in soup.find_all(True):
        for name in [n for n in tag.attrs if n == "style" or n.startswith("on") or n == "border"]:
            del tag.attrs[name]
    _without_stated(soup, around.stated)
    for table in soup.find_all("table"):
        _tidy_table(soup, table, longest)
        _link_pages(soup, table, around)
    return str(soup).strip()


def _without_stated(soup: BeautifulSoup, stated: frozenset[str]) -> None:
    for said in soup.select("p.ev-text, li.ev-caution"):
        if said.get_text() in stated:
            said.decompose()
    for listed in soup.select("ul.ev-cautions"):
        if not listed.find("li"):
            listed.decompose()


def _link_pages(soup: BeautifulSoup, table: Tag, around: Around) -> None:
    ids = [id for id in around.titles if "-" in id and id != around.page]
    if not ids:
        return
    named = re.compile(rf"(?<![\w/-])({'|'.join(sorted(ids, key=len, reverse=True))})(?![\w/-])")
    for text in table.find_all(string=named):
        parts = named.split(str(text))
        for number, part in enumerate(parts):
            if number % 2:
                link = soup.new_tag("a", href=f"{part}.html")
                link.string = around.titles[part]
                text.insert_before(link)
            elif part:
                text.insert_before(part)
        text.extract()


def _tidy_table(soup: BeautifulSoup, table: Tag, longest: int | None) -> None:
    table["class"] = "ev-table"
    rows = table.find_all("tr")
    _drop_counting_index(rows)
    head = table.find("thead")
    heads = head.find_all("th") if head else []
    for cell in heads:
        cell["scope"] = "col"
        if cell.string:
            cell.string = cell.string.replace("_", " ")
    if [cell.get_text() for cell in heads] == PAIRS:
        table["class"] = "ev-table ev-pairs"
    body = [row for row in rows if row.find_parent("thead") is None]
    for cell in (cell for row in body for cell in row.find_all("th")):
        cell["scope"] = "row"
    _align_numbers(head, body)
    frame = soup.new_tag("div", attrs={"class": "ev-scroll", "tabindex": "0", "role": "group"})
    caption = table.find("caption")
    frame["aria-label"] = caption.get_text() if caption else "Table"
    table.wrap(frame)
    if longest is not None and len(body) > longest:
        fold = soup.new_tag("details", attrs={"class": "ev-fold"})
        frame.wrap(fold)
        summary = soup.new_tag("summary")
        summary.string = f"Table of {len(body)} rows"
        fold.insert(0, summary)


def _drop_counting_index(rows: Sequence[Tag]) -> None:
    """Take out the first column where it only counts the rows from 0."""
    cells = [row.find(["th", "td"], recursive=False) for row in rows]
    if len(rows) < 2 or any(cell is None or cell.name != "th" for cell in cells):
        return
    texts = [cell.get_text().strip() for cell in cells if cell is not None]
    if texts == ["", *(str(number) for number in range(len(rows) - 1))]:
        for cell in cells:
            if cell is not None:
                cell.decompose()


def _align_numbers(head: Tag | None, body: Sequence[Tag]) -> None:
    grid = [row.find_all(["td", "th"], recursive=False) for row in body]
    for column in range(max((len(row) for row in grid), default=0)):
        cells = [row[column] for row in grid if column < len(row)]
        if _all_numbers(cells):
            _same_decimals(cells)
            for cell in [*cells, *_heads(head, column)]:
                cell["class"] = "num"


def _heads(head: Tag | None, column: int) -> Iterator[Tag]:
    for row in head.find_all("tr") if head else []:
        cells = row.find_all(["td", "th"], recursive=False)
        if column < len(cells):
            yield cells[column]


def _all_numbers(cells: Sequence[Tag]) -> bool:
    texts = [cell.get_text().strip() for cell in cells]
    return any(texts) and all(NUMBER.fullmatch(text) for text in texts)


def _same_decimals(cells: Sequence[Tag]) -> None:
    """Write 34.83 and 8.083 as 34.83 and 8.08: decimals that all of the column have, at most two.

    Columns of figures below 1 have up to three. A column stays as it is if a figure would then
    read 0, or if it holds whole numbers only.
    """
    texts = [cell.get_text().strip().replace("−", "-") for cell in cells]
    plain = [text for text in texts if text]
    if not all(re.fullmatch(r"[+-]?\d+(\.\d+)?", text) for text in plain):
        return
    printed = max(len(text.partition(".")[2]) for text in plain)
    whole = max(_whole_digits(text) for text in plain)
    decimals = min(printed, PRINTED_DIGITS - whole, 2 if whole else 3)
    same = [f"{Decimal(text):.{max(decimals, 0)}f}" if text else "" for text in texts]
    pairs = zip(texts, same, strict=True)
    vanish = any(text and Decimal(text) and not Decimal(new) for text, new in pairs)
    if decimals < 1 or vanish:
        return
    for cell, new in zip(cells, same, strict=True):
        cell.string = new.replace("-", "−")


def _whole_digits(text: str) -> int:
    return len(text.partition(".")[0].lstrip("+-0"))


def notebook_text(notebook: Mapping[str, Any]) -> str:
    """Return a notebook as the text of its file, the same for the same content."""
    return json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
