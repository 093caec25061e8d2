"""Estimate and Result: the narrow waist that every analysis, run, page and review shares.

An `Estimate` is one number with its interval and what it is about.
A `Result` is what an analysis returns: estimates, table, plain words, settings and cautions.
Both are frozen and survive JSON exactly; `Box` is the summary that opens a published page.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import pandas as pd

from evidence.errors import DataError
from evidence.vocabulary import CAUTION_KINDS, DESIGNS, LONGEST_FINDING

Direction = Literal["", "higher", "lower", "none"]

MISSING = (None, "")


@dataclass(frozen=True, slots=True)
class Caution:
    """One statistical doubt about a result, in words for the reader.

    Raises
    ------
    DataError
        If `kind` is not one of `CAUTION_KINDS` or `text` is empty.
    """

    kind: str
    text: str

    def __post_init__(self) -> None:
        if self.kind not in CAUTION_KINDS:
            raise DataError(
                f"a caution's kind must be one of {', '.join(CAUTION_KINDS)}; got {self.kind!r}. "
                "Choose the kind that fits, or 'other'."
            )
        if not self.text.strip():
            raise DataError(f"a caution must say something; {self.kind!r} came without text.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """One number of a result, with its interval and everything needed to read it alone.

    Fields that do not apply are empty (`None` or `""`).

    Parameters
    ----------
    key
        Lasting name inside its result; letters, digits and ``. _ -``.
    value, low, high
        Point estimate and interval limits, on `scale`, in `unit`.
    level
        Coverage of the interval as a fraction, such as 0.95.
    se
        Standard error, on the scale on which the interval was computed.
    measure, scale, unit
        What is measured (``proportion``, ``SMD`` …), the scale (``natural``, ``log`` …), its unit.
    outcome, population, area, period
        What and whom the number is about, where and when.
    direction_better
        ``higher``, ``lower`` or ``none``; never guessed.
    k, n
        Number of studies or areas behind the number, and of people or events.
    design
        Design tier, one of `DESIGNS`.

    Raises
    ------
    DataError
        If the key, direction, design, level or the order of the limits is wrong.
    """

    key: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    level: float | None = None
    se: float | None = None
    measure: str = ""
    scale: str = ""
    unit: str = ""
    outcome: str = ""
    population: str = ""
    area: str = ""
    period: str = ""
    direction_better: Direction = ""
    k: int | None = None
    n: float | None = None
    design: str = ""

    def __post_init__(self) -> None:
        for name in ("value", "low", "high", "level", "se", "n"):
            object.__setattr__(self, name, _number(self.key, name, getattr(self, name)))
        _check_estimate(self)
        if self.k is not None:
            object.__setattr__(self, "k", int(self.k))

    def to_json(self) -> dict[str, Any]:
        """Return the fields that apply, as plain JSON values."""
        return {name: value for name, value in asdict(self).items() if value not in MISSING}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Estimate:
        """Rebuild an estimate from `to_json`."""
        return cls(**data)


def fitting(*texts: str) -> str:
    """Return the first text that is short enough for the finding of a page, else the last.

    Parameters
    ----------
    texts
        Texts that say the same, the fullest first.
    """
    return next((text for text in texts if len(text.split()) <= LONGEST_FINDING), texts[-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """The summary that opens a published page, each field ready to print.

    `certainty` and `cost` are cited, given by a stated rule and labelled so, or ``not rated`` /
    ``not stated``; `next_review` is an ISO date or ``not stated``.

    Raises
    ------
    DataError
        If a field is empty, the finding has over 40 words or an open bracket, or the design tier
        is unknown.
    """

    finding: str
    size: str
    design: str
    applies_to: str
    period: str
    certainty: str = "not rated"
    certainty_reason: str = "no person has rated it and no stated rule applies"
    next_review: str = "not stated"
    cost: str = "not stated"

    def __post_init__(self) -> None:
        for item in fields(self):
            if not str(getattr(self, item.name)).strip():
                raise DataError(
                    f"a page box must have every field; {item.name!r} is empty. "
                    "Write 'not stated' or 'not known' where nothing is known."
                )
        words = len(self.finding.split())
        if words > LONGEST_FINDING:
            raise DataError(
                f"a finding must have at most {LONGEST_FINDING} words; this one has {words}."
            )
        if self.finding.count("(") != self.finding.count(")"):
            raise DataError(
                f"a finding must close every bracket that it opens; got {self.finding!r}. "
                "It may have been cut off."
            )
        if self.design not in DESIGNS:
            raise DataError(
                f"a page's design tier must be one of {', '.join(DESIGNS)}; got {self.design!r}."
            )

    def to_json(self) -> dict[str, str]:
        """Return all fields."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, str]) -> Box:
        """Rebuild a box from `to_json`."""
        return cls(**data)


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What a page concludes, and the rule stated beforehand by which it does.

    `verdict` is compared between runs as it stands: a changed verdict is a changed conclusion.
    """

    rule: str
    verdict: str

    @classmethod
    def from_interval(
        cls, estimate: Estimate, null: float = 0.0, difference: float | None = None
    ) -> Conclusion:
        """Conclude from an estimate's sign, whether its interval excludes `null`, and `difference`.

        Parameters
        ----------
        estimate
            The number concluded from, with its interval.
        null
            Value of no effect: 0 for differences, 1 for ratios.
        difference
            Smallest difference from `null` that matters, or None where no source states one.

        Raises
        ------
        DataError
            If the estimate has no value or no interval.
        """
        if estimate.value is None or estimate.low is None or estimate.high is None:
            raise DataError(
                f"a conclusion needs a value and an interval; {estimate.key!r} lacks one. "
                "Conclude from another estimate."
            )
        side = "above" if estimate.value > null else "below" if estimate.value < null else "at"
        excludes = estimate.low > null or estimate.high < null
        verdict = f"{side} {null:g}; interval {'excludes' if excludes else 'includes'} {null:g}"
        rule = "sign; interval excludes the null value"
        if difference is not None:
            rule += f"; estimate at least {difference:g} from it"
            reached = abs(estimate.value - null) >= difference
            verdict += f"; {'reaches' if reached else 'does not reach'} {difference:g}"
        return cls(rule, verdict)

    def to_json(self) -> dict[str, str]:
        """Return both fields."""
        return asdict(self)


def _no_table() -> pd.DataFrame:
    return pd.DataFrame()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Result:
    """What an analysis returns: numbers, table, plain words, choices made and doubts.

    Parameters
    ----------
    text
        One plain sentence computed from the numbers; for a result that could not be had, why.
    estimates
        `Estimate` objects with unique keys.
    table
        One row per unit (area, study, month), default index, string column names.
    settings
        Every choice that shaped the numbers (method, level, seed …), as plain values.
    cautions
        `Caution` objects; kept in order of weight.
    provenance
        Left empty by analyses; filled when a run records the result.
    reason
        Empty for a result; otherwise why there is none (``designs differ``).

    Raises
    ------
    DataError
        If keys repeat, the text is empty, or the table could not survive JSON.
    """

    text: str
    estimates: tuple[Estimate, ...] = ()
    table: pd.DataFrame = field(default_factory=_no_table)
    settings: Mapping[str, Any] = field(default_factory=dict)
    cautions: tuple[Caution, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise DataError("a result must say in words what was found; its text is empty.")
        _check_keys(self.estimates)
        _check_table(self.table)
        put = object.__setattr__
        put(self, "estimates", tuple(self.estimates))
        put(self, "table", self.table.copy())
        put(self, "settings", MappingProxyType(_plain(dict(self.settings), "settings")))
        put(self, "provenance", MappingProxyType(_plain(dict(self.provenance), "provenance")))
        put(self, "cautions", _by_weight(self.cautions))

    def __getitem__(self, key: str) -> Estimate:
        """Return the estimate with this key."""
        for estimate in self.estimates:
            if estimate.key == key:
                return estimate
        known = ", ".join(estimate.key for estimate in self.estimates[:8]) or "none"
        raise DataError(f"the key must be one of the result's estimates ({known}); got {key!r}.")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Result) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(self.dumps())

    @property
    def known(self) -> bool:
        """Whether there is a result, or only the reason why there is none."""
        return not self.reason

    @classmethod
    def could_not(cls, what: str, because: str, **settings: Any) -> Result:
        """Return a result that says what could not be had, and why.

        Parameters
        ----------
        what
            What was not done, such as ``not pooled``.
        because
            The reason, such as ``designs differ: rct, before_after``.
        """
        return cls(text=f"{what}: {because}.", reason=because, settings=settings)

    @classmethod
    def listing(cls, text: str, rows: Mapping[str, Any]) -> Result:
        """Return a result that lists statements: one row for each name, with what is stated."""
        stated = ["not stated" if value is None else str(value) for value in rows.values()]
        return cls(text=text, table=pd.DataFrame({"part": list(rows), "stated": stated}))

    def show(self, *columns: str, **renamed: str) -> Result:
        """Return the same result with only these columns of its table, for a reader.

        Parameters
        ----------
        *columns
            Names of columns, in order.
        **renamed
            Column names in words by column, such as ``yi="effect"``; added after `columns`.

        Raises
        ------
        DataError
            If the table lacks a column.
        """
        names = {**dict.fromkeys(columns, ""), **renamed}
        absent = [name for name in names if name not in self.table.columns]
        if absent:
            raise DataError(
                f"columns to show must be in the table ({', '.join(self.table.columns)}); "
                f"{absent[0]!r} is not. Choose others."
            )
        words = {name: word or name for name, word in names.items()}
        return replace(self, table=self.table[list(names)].rename(columns=words))

    def with_cautions(self, *cautions: Caution) -> Result:
        """Return the same result with more cautions."""
        return replace(self, cautions=(*self.cautions, *cautions))

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain JSON values; `from_json` gives it back exactly."""
        return {
            "text": self.text,
            "reason": self.reason,
            "estimates": [estimate.to_json() for estimate in self.estimates],
            "table": _table_to_json(self.table),
            "settings": dict(self.settings),
            "cautions": [asdict(caution) for caution in self.cautions],
            "provenance": dict(self.provenance),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Result:
        """Rebuild a result from `to_json`."""
        return cls(
            text=data["text"],
            reason=data.get("reason", ""),
            estimates=tuple(Estimate.from_json(item) for item in data["estimates"]),
            table=_table_from_json(data["table"]),
            settings=data["settings"],
            cautions=tuple(Caution(**item) for item in data["cautions"]),
            provenance=data["provenance"],
        )

    def dumps(self) -> str:
        """Return the JSON text of the result, keys sorted."""
        return json.dumps(self.to_json(), sort_keys=True, ensure_ascii=False, allow_nan=False)

    @classmethod
    def loads(cls, text: str) -> Result:
        """Rebuild a result from `dumps`."""
        return cls.from_json(json.loads(text))

    def _repr_html_(self) -> str:
        return f'<div class="ev-result">{self._words_html()}{self._table_html()}</div>'

    def __repr__(self) -> str:
        doubts = [f"Caution: {caution.text}" for caution in self.cautions]
        return "\n".join([self.text, *doubts])

    def _words_html(self) -> str:
        doubts = "".join(
            f'<li class="ev-caution ev-caution-{caution.kind}">{html.escape(caution.text)}</li>'
            for caution in self.cautions
        )
        listed = f'<ul class="ev-cautions">{doubts}</ul>' if doubts else ""
        return f'<p class="ev-text">{html.escape(self.text)}</p>{listed}'

    def _table_html(self) -> str:
        if self.table.empty:
            return ""
        numbers = self.table.select_dtypes(["float64", "integer"]).astype("float64")
        numbers = numbers.drop(columns="year", errors="ignore")
        html_table = self.table.assign(**numbers).to_html(
            index=False,
            border=0,
            classes="ev-table",
            justify="unset",
            na_rep="",
            escape=True,
            formatters={name: _printed(numbers[name]) for name in numbers},
        )
        return html_table.replace(' style="text-align: unset;"', "")


def _printed(column: pd.Series) -> Callable[[float], str]:
    """Return how a column's numbers are printed: the same decimals in every row."""
    known = column[np.isfinite(column)]
    whole = bool((known == known.round()).all())
    largest = float(known.abs().max()) if len(known) else 0.0
    decimals = 0 if whole or largest >= 1000 else 1 if largest >= 10 else 2 if largest >= 1 else 3
    return lambda value: f"{value:,.{decimals}f}".replace("-", "\N{MINUS SIGN}")


def _number(key: str, name: str, value: Any) -> float | None:
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise DataError(
            f"an estimate's {name} must be a number or absent; {key!r} has {value!r}."
        ) from None
    if math.isnan(number):
        raise DataError(
            f"an estimate's {name} must be a number or absent; {key!r} has NaN. "
            "Leave it out and say why in the result's text or cautions."
        )
    if math.isinf(number):
        raise DataError(f"an estimate's {name} must be finite; {key!r} has {number}.")
    return number


def _check_estimate(estimate: Estimate) -> None:
    key = estimate.key
    if not key or not all(char.isalnum() or char in "._-" for char in key):
        raise DataError(
            f"an estimate's key must be letters, digits and . _ - only; got {key!r}. Rename it."
        )
    if estimate.direction_better not in ("", "higher", "lower", "none"):
        raise DataError(
            f"direction_better must be higher, lower or none; {key!r} has "
            f"{estimate.direction_better!r}."
        )
    if estimate.design and estimate.design not in DESIGNS:
        raise DataError(
            f"a design must be one of {', '.join(DESIGNS)}; {key!r} has {estimate.design!r}."
        )
    if estimate.k is not None and _number(key, "k", estimate.k) != int(estimate.k):
        raise DataError(f"an estimate's k must be a whole number; {key!r} has {estimate.k}.")
    if estimate.se is not None and estimate.se < 0:
        raise DataError(f"a standard error must not be negative; {key!r} has {estimate.se}.")
    if estimate.level is not None and not 0 < estimate.level < 1:
        raise DataError(f"a level must lie between 0 and 1; {key!r} has {estimate.level}.")
    if estimate.low is not None and estimate.high is not None and estimate.low > estimate.high:
        raise DataError(
            f"an interval's low must not exceed its high; {key!r} has {estimate.low} and "
            f"{estimate.high}. Swap them."
        )


def _check_keys(estimates: Iterable[Estimate]) -> None:
    seen: set[str] = set()
    for estimate in estimates:
        if estimate.key in seen:
            raise DataError(
                f"keys of a result's estimates must be unique; {estimate.key!r} comes twice."
            )
        seen.add(estimate.key)


def _check_table(table: pd.DataFrame) -> None:
    names = list(table.columns)
    if any(not isinstance(name, str) for name in names) or len(set(names)) != len(names):
        raise DataError(f"a result's table needs unique text column names; got {names[:8]}.")
    if len(table) and not table.index.equals(pd.RangeIndex(len(table))):
        raise DataError("a result's table needs the default index; call reset_index() first.")


def _by_weight(cautions: Iterable[Caution]) -> tuple[Caution, ...]:
    unique = dict.fromkeys(cautions)
    return tuple(sorted(unique, key=lambda caution: CAUTION_KINDS.index(caution.kind)))


def _plain(value: Any, where: str) -> Any:
    """Return `value` as plain JSON values, or refuse it."""
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        raise DataError(f"{where} must hold finite numbers; got {value}. Leave it out or say why.")
    if isinstance(value, Mapping):
        return {str(key): _plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, where) for item in value]
    raise DataError(f"{where} must hold plain values; got {type(value).__name__}.")


def _cell(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, float):
        if math.isnan(value):
            return None
        if math.isinf(value):
            return "inf" if value > 0 else "-inf"
    if isinstance(value, (bool, int, float, str)):
        return value
    raise DataError(f"a result's table must hold numbers, text and truth values; got {value!r}.")


def _kind(column: pd.Series) -> str:
    nullable = isinstance(column.dtype, pd.api.extensions.ExtensionDtype)
    match column.dtype.kind:
        case "i" | "u":
            return "Int64" if nullable else "int64"
        case "b":
            return "boolean" if nullable else "bool"
        case "f":
            return "float64"
    return "text"


def _table_to_json(table: pd.DataFrame) -> dict[str, Any]:
    columns = {
        name: {
            "type": _kind(table[name]),
            "values": [_cell(value) for value in table[name].tolist()],
        }
        for name in table.columns
    }
    for name, column in columns.items():
        if column["type"] == "text" and not all(
            value is None or isinstance(value, str) for value in column["values"]
        ):
            raise DataError(
                f"a column of a result's table must hold one type; {name!r} mixes text with "
                "other values. Convert it first."
            )
    return {"order": list(table.columns), "columns": columns}


def _column(kind: str, values: list[Any]) -> pd.Series:
    if kind == "text":
        return pd.Series(values, dtype="str")
    if kind == "float64":
        return pd.Series(
            [math.nan if value is None else float(value) for value in values], dtype="float64"
        )
    return pd.Series(values, dtype=kind)


def _table_from_json(data: Mapping[str, Any]) -> pd.DataFrame:
    columns = {
        name: _column(data["columns"][name]["type"], data["columns"][name]["values"]).array
        for name in data["order"]
    }
    return pd.DataFrame(columns)
