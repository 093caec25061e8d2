"""Two runs side by side: parameters, data, every number, and whether the conclusion changed."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evidence.errors import RunError
from evidence.runs.store import Store, read_json


@dataclass(frozen=True, slots=True)
class Number:
    """One number of both runs.

    `absolute` is b - a and `relative` that over |a|; `overlap` is the share of both intervals'
    joint span that they have in common.
    Each is None where it does not apply: a number that only one run has, or has no interval.
    """

    key: str
    a: float | None
    b: float | None
    absolute: float | None
    relative: float | None
    overlap: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs between run `a` and run `b`.

    `parameters` and `data` map a name to both values where they differ; `conclusion` holds the
    rule and both verdicts, empty where the page states no conclusion.
    """

    a: str
    b: str
    parameters: dict[str, tuple[Any, Any]]
    data: dict[str, tuple[Any, Any]]
    numbers: tuple[Number, ...]
    conclusion: dict[str, str]

    @property
    def changed(self) -> tuple[Number, ...]:
        """The numbers that are not equal."""
        return tuple(number for number in self.numbers if number.a != number.b)

    @property
    def conclusion_changed(self) -> bool:
        """Whether the verdicts differ, by the rule that the page states."""
        return self.conclusion.get("a") != self.conclusion.get("b")

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain JSON values."""
        return {**asdict(self), "conclusion_changed": self.conclusion_changed}

    def to_html(self) -> str:
        """Return a page of its own that needs nothing else to be read."""
        rows = [
            (
                number.key,
                *map(_shown, (number.a, number.b, number.absolute)),
                _per_cent(number.relative),
                _per_cent(number.overlap),
            )
            for number in self.numbers
        ]
        return _PAGE.format(
            title=html.escape(f"{self.a} and {self.b}"),
            parameters=_table(("parameter", "a", "b"), _pairs(self.parameters)),
            data=_table(("data read", "a", "b"), _pairs(self.data)),
            verdict=html.escape(self.verdict()),
            numbers=_table(("number", "a", "b", "b - a", "relative", "interval overlap"), rows),
        )

    def verdict(self) -> str:
        """Return one sentence: how many numbers changed, and whether the conclusion did."""
        count = f"{len(self.changed)} of {len(self.numbers)} numbers differ"
        if not self.conclusion:
            return f"{count}; the page states no conclusion."
        said = "changed" if self.conclusion_changed else "did not change"
        return (
            f"{count}; the conclusion {said} (rule: {self.conclusion['rule']}; "
            f"a: {self.conclusion['a']}; b: {self.conclusion['b']})."
        )


def compare(root: Path, a: str, b: str) -> Comparison:
    """Compare two runs of one notebook.

    Parameters
    ----------
    root
        The workbook.
    a, b
        Run id, unique prefix or folder; `b` may be ``published``.

    Raises
    ------
    RunError
        If a run cannot be found, or the runs are of different notebooks.
    """
    store = Store(root)
    first = store.find(a)
    second = _published(store, first["page"]) if b == "published" else store.find(b)
    if first["notebook"] != second["notebook"]:
        raise RunError(
            f"runs to compare must be of one notebook; {a!r} is of {first['notebook']} and {b!r} "
            f"of {second['notebook']}. Choose two runs of one page."
        )
    results = [_results(run) for run in (first, second)]
    return Comparison(
        a=f"{first['page']}-{first['run']}",
        b=f"{second['page']}-{second['run']}",
        parameters=_differences(first["parameters"], second["parameters"]),
        data=_differences(_inputs(first), _inputs(second)),
        numbers=tuple(_numbers(*results)),
        conclusion=_conclusion(*results),
    )


def _published(store: Store, page: str) -> dict[str, Any]:
    pointer = store.pointer(page)
    if not pointer or not pointer.get("run"):
        raise RunError(
            f"a page to compare with must have a published run; {page!r} has none. "
            f"Run `evidence build {page}` first."
        )
    return store.find(str(store.runs / pointer["run"]))


def _results(run: Mapping[str, Any]) -> dict[str, Any]:
    return read_json(Path(run["folder"]) / "results.json") or {"results": {}}


def _inputs(run: Mapping[str, Any]) -> dict[str, Any]:
    pages = {f"page {page}": digest for page, digest in run["pages"].items()}
    return {**run["reads"], **pages}


def _differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = dict.fromkeys([*a, *b])
    return {name: (a.get(name), b.get(name)) for name in names if a.get(name) != b.get(name)}


def _estimates(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {
        f"{name}/{estimate['key']}": estimate
        for name, result in document["results"].items()
        for estimate in result["estimates"]
    }


def _numbers(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Number]:
    first, second = _estimates(a), _estimates(b)
    for key in dict.fromkeys([*first, *second]):
        yield _number(key, first.get(key, {}), second.get(key, {}))


def _number(key: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> Number:
    before, after = a.get("value"), b.get("value")
    if before is None or after is None:
        return Number(key, before, after, None, None, None)
    absolute = after - before
    relative = absolute / abs(before) if before else None
    return Number(key, before, after, absolute, relative, _overlap(a, b))


def _overlap(a: Mapping[str, Any], b: Mapping[str, Any]) -> float | None:
    limits = [estimate.get(name) for estimate in (a, b) for name in ("low", "high")]
    known = [float(limit) for limit in limits if limit is not None]
    if len(known) < len(limits):
        return None
    low_a, high_a, low_b, high_b = known
    span = max(high_a, high_b) - min(low_a, low_b)
    return max(0.0, min(high_a, high_b) - max(low_a, low_b)) / span if span else 1.0


def _conclusion(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, str]:
    first, second = a.get("conclusion"), b.get("conclusion")
    if not first or not second:
        return {}
    return {"rule": first["rule"], "a": first["verdict"], "b": second["verdict"]}


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _per_cent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.3g} %"


def _pairs(differences: Mapping[str, tuple[Any, Any]]) -> list[tuple[str, str, str]]:
    return [(name, str(a), str(b)) for name, (a, b) in differences.items()]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return f"<p>No difference in: {html.escape(head[0])}.</p>"
    cells = [
        "".join(f"<{tag}>{html.escape(text)}</{tag}>" for text in row)
        for tag, row in [("th", head), *(("td", row) for row in rows)]
    ]
    return "<table>" + "".join(f"<tr>{row}</tr>" for row in cells) + "</table>"


_PAGE = """<!doctype html>
<html lang="en-GB"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width"><style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto }}
table {{ border-collapse: collapse; margin: 1rem 0 }}
td, th {{ border-bottom: 1px solid #bbb; padding: .2rem .8rem .2rem 0; text-align: left }}
</style></head><body><h1>{title}</h1><p>{verdict}</p>{parameters}{data}{numbers}</body></html>
"""
