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
from evidence.book.notebooks import notebook_text, page_of_notebook, tidy_html
from evidence.errors import RunError


def a_page(notebook: dict[str, Any] | None = None, **asked: Any) -> dict[str, Any]:
    return page_of_notebook(
        notebook or a_notebook(a_result()), page="recovery", title="Recovery", **asked
    )


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
    page = a_page(figures={ALT: {"SVG": "downloads/recovery/funnel.svg"}})

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

    assert "Doubt about" not in json.dumps(outputs_of(a_page(stated=stated)))
    assert "Doubt about rounding" in json.dumps(outputs_of(a_page(stated=stated[:1])))


def test_numbers_stand_right_and_words_left() -> None:
    soup = BeautifulSoup(tidy_html(a_result()._repr_html_(), "here"), "html.parser")
    classes = [
        [cell.get("class") for cell in row.find_all("td")] for row in soup.select("tbody tr")
    ]

    assert classes == [[None, ["num"], ["num"], None]] * 3
    heads = soup.select("thead th")
    assert [head.get("scope") for head in heads] == ["col"] * 4
    assert [head.get_text() for head in heads] == ["area name", "value", "upper 99 8", "judgement"]


def test_a_wide_table_scrolls_in_a_frame_that_the_keyboard_reaches() -> None:
    soup = BeautifulSoup(
        tidy_html("<table><caption>Areas</caption></table>", "here"), "html.parser"
    )

    frame = soup.select_one("div.ev-scroll")
    assert frame is not None
    assert (frame["tabindex"], frame["role"], frame["aria-label"]) == ("0", "group", "Areas")


def test_figures_of_a_column_get_the_same_decimals() -> None:
    assert ">50.0<" in tidy_html(a_result()._repr_html_(), "here")


def test_decimals_that_were_not_printed_are_not_made_up() -> None:
    html = tidy_html("<table><tr><td>1234</td></tr><tr><td>1.234</td></tr></table>", "here")

    assert ">1234<" in html


def test_a_first_column_that_only_counts_the_rows_is_left_out() -> None:
    table = (
        "<table><thead><tr><th></th><th>a</th></tr></thead><tbody>"
        "<tr><th>0</th><td>x</td></tr><tr><th>1</th><td>y</td></tr></tbody></table>"
    )

    assert "<th" not in tidy_html(table, "here").partition("<tbody>")[2]
    named = table.replace(">1<", ">7<")
    assert 'scope="row">7<' in tidy_html(named, "here")


def test_styles_and_handlers_are_dropped() -> None:
    html = tidy_html(
        '<style>p {}</style><p style="color: red" onclick="x()" class="ev-text">A</p>', "here"
    )

    assert html == '<p class="ev-text">A</p>'


@given(st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=1, max_size=8))
def test_tidying_twice_changes_nothing_more(values: list[float]) -> None:
    cells = "".join(f"<tr><td>{value:.4g}</td></tr>" for value in values)
    once = BeautifulSoup(tidy_html(f"<table>{cells}</table>", "here"), "html.parser")
    table = once.find("table")

    assert tidy_html(str(table), "here") == str(once)


def test_the_text_of_a_page_is_the_same_for_the_same_notebook() -> None:
    assert notebook_text(a_page()) == notebook_text(a_page())
