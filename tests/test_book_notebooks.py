"""An executed notebook as a page: what stays in the flow, what goes into the fold."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st

from book_workbook import ALT, a_notebook, a_result
from evidence.book.notebooks import Around, notebook_text, page_of_notebook, tidy_html
from evidence.errors import RunError


def a_page(notebook: dict[str, Any] | None = None, **asked: Any) -> dict[str, Any]:
    prose = asked.pop("prose", "")
    around = Around(page="recovery", **asked)
    return page_of_notebook(
        notebook or a_notebook(a_result()), around, title="Recovery", prose=prose
    )


def tidied(html: str, longest: int | None = None, **asked: Any) -> str:
    return tidy_html(html, "here", Around(page="recovery", **asked), longest)


def text_of(page: dict[str, Any], kind: str = "markdown") -> str:
    return "\n".join(cell["source"] for cell in page["cells"] if cell["cell_type"] == kind)


def fold_of(page: dict[str, Any]) -> str:
    return str(page["cells"][-1]["source"])


def outputs_of(page: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell["outputs"][0]["data"] for cell in page["cells"] if cell["cell_type"] == "code"]


def with_output(output: dict[str, Any]) -> dict[str, Any]:
    notebook = copy.deepcopy(a_notebook(a_result()))
    notebook["cells"][5]["outputs"] = [output]
    return notebook


def test_the_title_of_the_plan_replaces_that_of_the_notebook() -> None:
    page = a_page()

    assert page["cells"][0]["source"] == "# Recovery"
    assert "Variation between areas" not in text_of(page)
    assert "How much do areas differ?" in text_of(page)


def test_all_code_stands_in_one_fold_at_the_end() -> None:
    page = a_page()

    assert fold_of(page).startswith("````````{fold} Code of this page")
    for code in ("indicator: str", "data.indicator(indicator)", "run.record(funnel=result)"):
        assert code in fold_of(page)
        assert code not in text_of({"cells": page["cells"][:-1]})
    shown = [cell for cell in page["cells"] if cell["cell_type"] == "code"]
    assert all("remove-input" in cell["metadata"]["tags"] for cell in shown)


def test_a_sentence_that_only_introduces_code_goes_with_it() -> None:
    page = a_page()

    assert "First the figures are read." in fold_of(page)
    assert "Each point is an area." not in fold_of(page)


def test_plain_output_goes_into_the_fold() -> None:
    assert "```````text\nRecorded: funnel.\n```````" in fold_of(a_page())


def test_the_prose_surrounds_the_results_at_its_mark() -> None:
    page = a_page(prose="# Old\n\nBefore.\n\n% results\n\n## After\n\nMore.\n")

    assert page["cells"][0]["source"] == "# Recovery\n\nBefore."
    assert page["cells"][-2]["source"] == "## After\n\nMore."


def test_prose_without_a_mark_comes_first() -> None:
    assert a_page(prose="Before.")["cells"][0]["source"] == "# Recovery\n\nBefore."


def test_a_picture_keeps_its_text_and_offers_its_files() -> None:
    page = a_page(figures={ALT: "downloads/recovery/funnel.svg"})

    picture = next(c for c in page["cells"] if "mystnb" in c["metadata"])
    assert picture["metadata"]["mystnb"]["image"]["alt"] == ALT
    assert '<a href="downloads/recovery/funnel.svg">SVG</a>' in json.dumps(
        outputs_of(page)
    ).replace('\\"', '"')


@pytest.mark.parametrize("alt", ["", "<Figure size 640x480 with 1 Axes>", "funnel-plot.png"])
def test_a_picture_without_text_is_refused(alt: str) -> None:
    output = {"output_type": "display_data", "data": {"image/png": "AA==", "text/plain": alt}}

    with pytest.raises(RunError, match="page recovery, cell 6: a picture must have alternative"):
        a_page(with_output(output))


def test_output_on_stderr_is_refused_with_its_cell() -> None:
    output = {"output_type": "stream", "name": "stderr", "text": ["Convergence", "Warning: no"]}

    with pytest.raises(RunError, match=r"cell 6: a published cell must not write to stderr"):
        a_page(with_output(output))


def test_an_error_in_a_cell_is_refused() -> None:
    output = {"output_type": "error", "ename": "ValueError", "evalue": "bad", "traceback": []}

    with pytest.raises(RunError, match=r"cell 6: .*must not end in an error.*ValueError: bad"):
        a_page(with_output(output))


def test_a_script_in_an_output_is_refused() -> None:
    output = {"output_type": "display_data", "data": {"text/html": "<script>x()</script>"}}

    with pytest.raises(RunError, match="must not hold a script"):
        a_page(with_output(output))


def test_markdown_output_is_shown() -> None:
    output = {"output_type": "display_data", "data": {"text/markdown": "*said*"}}

    assert {"text/markdown": "*said*"} in outputs_of(a_page(with_output(output)))


def test_cautions_that_the_page_states_are_not_repeated_at_the_result() -> None:
    stated = [caution.text for caution in a_result().cautions]

    assert "Doubt about" not in json.dumps(outputs_of(a_page(stated=frozenset(stated))))
    some = json.dumps(outputs_of(a_page(stated=frozenset(stated[:1]))))
    assert "Doubt about rounding" in some
    assert stated[0] not in some


def test_the_finding_of_the_box_is_not_repeated_at_its_result() -> None:
    said = a_result().text

    assert said in json.dumps(outputs_of(a_page()))
    assert said not in json.dumps(outputs_of(a_page(stated=frozenset([said]))))


def test_numbers_stand_right_and_words_left() -> None:
    soup = BeautifulSoup(tidied(a_result()._repr_html_()), "html.parser")
    classes = [
        [cell.get("class") for cell in row.find_all("td")] for row in soup.select("tbody tr")
    ]

    assert classes == [[None, ["num"], ["num"], None]] * 3
    heads = soup.select("thead th")
    assert [head.get("scope") for head in heads] == ["col"] * 4
    assert [head.get_text() for head in heads] == ["area name", "value", "upper 99 8", "judgement"]


def test_a_wide_table_scrolls_in_a_frame_that_the_keyboard_reaches() -> None:
    soup = BeautifulSoup(tidied("<table><caption>Areas</caption></table>"), "html.parser")

    frame = soup.select_one("div.ev-scroll")
    assert frame is not None
    assert (frame["tabindex"], frame["role"], frame["aria-label"]) == ("0", "group", "Areas")


def column(*texts: str) -> list[str]:
    rows = "".join(f"<tr><td>{text}</td></tr>" for text in texts)
    soup = BeautifulSoup(tidied(f"<table>{rows}</table>"), "html.parser")
    return [cell.get_text() for cell in soup.find_all("td")]


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        (("48.1", "59.2", "50"), ["48.1", "59.2", "50.0"]),
        (("34.83", "10.1", "8.083"), ["34.83", "10.10", "8.08"]),
        (("-0.6421", "0.315", ""), ["−0.642", "0.315", ""]),
        (("1234", "1.234"), ["1234", "1.234"]),
        (("0.5", "0.00001"), ["0.5", "0.00001"]),
        (("1.5", "2.1e-05"), ["1.5", "2.1e-05"]),
        (("3", "12"), ["3", "12"]),
    ],
)
def test_figures_of_a_column_get_the_decimals_that_all_of_them_have(
    printed: tuple[str, ...], shown: list[str]
) -> None:
    assert column(*printed) == shown


def test_a_long_table_below_a_picture_goes_into_a_fold() -> None:
    table = f"<table>{'<tr><td>x</td></tr>' * 3}</table>"

    assert "<details" not in tidied(table, longest=3)
    assert "<summary>Table of 3 rows</summary>" in tidied(table, longest=2)
    picture = {"image/svg+xml": "<svg/>", "text/plain": ALT}
    notebook = a_notebook(a_result())
    rows = f"<table>{'<tr><td>x</td></tr>' * 16}</table>"
    shows = [
        {"output_type": "display_data", "data": data} for data in (picture, {"text/html": rows})
    ]
    for order, folded in ((shows, True), (shows[::-1], False)):
        notebook["cells"][5:7] = [{**notebook["cells"][5], "outputs": order}]
        assert ("Table of 16 rows" in json.dumps(outputs_of(a_page(notebook)))) is folded


def test_names_and_what_is_stated_of_them_are_marked_as_pairs() -> None:
    table = "<table><thead><tr><th>part</th><th>stated</th></tr></thead></table>"

    assert 'class="ev-table ev-pairs"' in tidied(table)


def test_the_id_of_a_page_in_a_table_becomes_a_link_to_it() -> None:
    titles = {"smi-care": "Care plans", "smi": "SMI", "recovery": "Recovery", "own-page": "Own"}
    html = tidied("<table><tr><td>see smi-care, not smi-care-plan</td></tr></table>", titles=titles)

    assert 'see <a href="smi-care.html">Care plans</a>, not smi-care-plan' in html
    assert "<a" not in tidied("<p>smi-care</p>", titles=titles)


def test_a_first_column_that_only_counts_the_rows_is_left_out() -> None:
    table = (
        "<table><thead><tr><th></th><th>a</th></tr></thead><tbody>"
        "<tr><th>0</th><td>x</td></tr><tr><th>1</th><td>y</td></tr></tbody></table>"
    )

    assert "<th" not in tidied(table).partition("<tbody>")[2]
    named = table.replace(">1<", ">7<")
    assert 'scope="row">7<' in tidied(named)


def test_styles_and_handlers_are_dropped() -> None:
    html = tidied('<style>p {}</style><p style="color: red" onclick="x()" class="ev-text">A</p>')

    assert html == '<p class="ev-text">A</p>'


@given(st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=1, max_size=8))
def test_tidying_twice_changes_nothing_more(values: list[float]) -> None:
    cells = "".join(f"<tr><td>{value:.4g}</td></tr>" for value in values)
    once = BeautifulSoup(tidied(f"<table>{cells}</table>"), "html.parser")
    table = once.find("table")

    assert tidied(str(table)) == str(once)


def test_the_text_of_a_page_is_the_same_for_the_same_notebook() -> None:
    assert notebook_text(a_page()) == notebook_text(a_page())
