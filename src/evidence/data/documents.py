"""Definition files: strict YAML, read field by field with errors that name file, line and key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from evidence.data.files import read_definition, shown
from evidence.errors import CatalogueError

TO_DO = "TO DO"
"""How a text begins that a template leaves to be written."""

DEEPEST = 30
"""Levels that a definition may have: building deeper ones can end the interpreter."""
MOST_DIGITS = 18
"""Digits of a whole number that tables can hold, too (int64)."""
LONGEST_SHOWN = 200
"""Characters of a wrong value that a message shows."""

UNSEEN = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffd]"
)
"""Characters of control, of no width, that turn the order of reading, or that stand for damage."""

_REQUIRED: Any = object()


class _Lined(dict[str, Any]):
    """A mapping that knows the line of each of its keys."""

    lines: dict[str, int]


class _StrictLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Safe YAML without silent surprises: no repeated keys, dates and periods stay text."""

    yaml_implicit_resolvers = {  # noqa: RUF012 (PyYAML reads it from the class)
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _construct_lined(loader: Any, node: yaml.MappingNode) -> Any:
    data = _Lined()
    data.lines = {}
    yield data
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise _wrong(key_node, f"a key must be text; {key!r} needs quotes")
        if key in data.lines:
            raise _wrong(key_node, f"{key!r} stands already in line {data.lines[key]}")
        data.lines[key] = key_node.start_mark.line + 1
        data[key] = loader.construct_object(value_node, deep=True)


def _construct_integer(loader: Any, node: yaml.ScalarNode) -> int:
    """Return a whole number as a reader takes it: 010 would be 8, and 1:30 would be 90."""
    digits = loader.construct_scalar(node).lstrip("+-")
    if not digits.isdecimal() or (digits[0] == "0" and digits != "0"):
        raise _wrong(node, f"{node.value!r} needs quotes if it is text, or plain digits")
    if len(digits) > MOST_DIGITS:
        raise _wrong(node, f"a whole number must have at most {MOST_DIGITS} digits")
    return int(node.value)


def _wrong(node: yaml.Node | yaml.Event, problem: str) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


_StrictLoader.add_constructor("tag:yaml.org,2002:map", _construct_lined)
_StrictLoader.add_constructor("tag:yaml.org,2002:int", _construct_integer)


def read(path: Path) -> Fields:
    """Return the top mapping of a YAML file.

    Raises
    ------
    CatalogueError
        Naming file and line, if the file is missing, too large, not UTF-8, not YAML, not a
        mapping, repeats a key, has aliases, tags or keys that are no text, or holds a text that is
        still marked `TO_DO`.
    """
    content = read_definition(path)
    try:
        data = _parsed(content)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise CatalogueError(
            f"{shown(path)}, line {line}: a definition must be UTF-8 text; byte {error.start} is "
            "not. Save the file as UTF-8."
        ) from None
    except yaml.YAMLError as error:
        raise CatalogueError(_what_is_wrong(path, error)) from None
    if not isinstance(data, _Lined):
        raise CatalogueError(
            f"{shown(path)}: a definition must hold 'key: value' lines; this file holds "
            f"{'nothing' if data is None else type(data).__name__}. Compare it with another one."
        )
    _refuse_to_do(data, path)
    return Fields(data, path)


@lru_cache(maxsize=256)
def _parsed(content: bytes) -> Any:
    text = content.decode("utf-8-sig")
    _refuse_unusual(text)
    return yaml.load(text, Loader=_StrictLoader)


def _refuse_unusual(text: str) -> None:
    """Refuse what can fill the memory or run long, before anything is built of it."""
    depth = 0
    for event in yaml.parse(text, Loader=_StrictLoader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise _wrong(event, f"at most {DEEPEST} levels may lie in each other")
        if getattr(event, "anchor", None):
            raise _wrong(event, "anchors and aliases (&name, *name) are not read; write it out")
        if getattr(event, "tag", None):
            raise _wrong(event, f"tags are not read; {event.tag!r} is one")


def _refuse_to_do(data: _Lined, path: Path) -> None:
    marked = list(_marked(data, "", 0))
    if not marked:
        return
    line, key, text = marked[0]
    others = ", ".join(str(line) for line, _, _ in marked[1:])
    more = f" (as in line{'s' * (len(marked) > 2)} {others})" if others else ""
    raise CatalogueError(
        f"{shown(path)}, line {line}: {key} must be filled in; it is marked {TO_DO}{more}. "
        f"Write there: {text.removeprefix(TO_DO).lstrip(': ') or 'what it asks for'}."
    )


def _marked(value: Any, key: str, line: int) -> Iterator[tuple[int, str, str]]:
    """Yield line, key and text of whatever begins with `TO_DO`, in the order of the file."""
    if isinstance(value, _Lined):
        for name, item in value.items():
            yield from _marked(item, f"{key}.{name}" if key else str(name), value.lines[name])
    elif isinstance(value, list):
        for item in value:
            yield from _marked(item, key, line)
    elif isinstance(value, str) and value.startswith(TO_DO):
        yield line, key, value


def _what_is_wrong(path: Path, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    line = f", line {mark.line + 1}" if mark else ""
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    if "stands already" in problem:
        return f"{shown(path)}{line}: a key must stand once; {problem}. Remove one of the two."
    return f"{shown(path)}{line}: the file must be valid YAML; {problem}. Correct that line."


def nearest(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return ``Did you mean 'x'?`` for the closest known name, else `otherwise` or the names."""
    from difflib import get_close_matches

    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"Did you mean {close[0]!r}?"
    more = f" and {len(names) - 40} more" if len(names) > 40 else ""
    return otherwise or f"Known: {', '.join(names[:40]) or 'none'}{more}."


class Fields:
    """One mapping of a definition file; takes its fields and refuses what nobody asked for.

    Parameters
    ----------
    data
        The mapping.
    path
        Its file, for messages.
    where
        The keys that lead to it, such as ``tables[2]``; empty at the top.
    """

    def __init__(self, data: Mapping[str, Any], path: Path, where: str = "") -> None:
        self.data, self.path, self.where = data, path, where
        self._asked: set[str] = set()

    def refuse(self, key: str, must: str, do: str = "Correct it.") -> CatalogueError:
        """Return the error for a key: ``file, line n: where.key must …; got …. do``."""
        lines = getattr(self.data, "lines", {})
        line = f", line {lines[key]}" if key in lines else ""
        inside = f"{self.where}.{key}" if self.where else key
        came = f"got {_cut(repr(self.data[key]))}" if key in self.data else "it is missing"
        return CatalogueError(f"{shown(self.path)}{line}: {inside} {must}; {came}. {do}")

    def has(self, key: str) -> bool:
        """Return whether the mapping holds the key with a value."""
        self._asked.add(key)
        return self.data.get(key) is not None

    def text(self, key: str, default: str = _REQUIRED, allowed: Iterable[str] = ()) -> str:
        """Return a text that is not blank, one of `allowed` where given."""
        value = self._take(key, default, "must be text")
        if value is default:
            return default
        if not isinstance(value, str) or not value.strip():
            raise self.refuse(key, "must be text", "Write the text, in quotes if it is a number.")
        if UNSEEN.search(value.strip()):
            raise self.refuse(key, "must hold no characters that nobody sees", "Write it again.")
        known = list(allowed)
        if known and value not in known:
            do = nearest(value, known, "Choose one of them.")
            raise self.refuse(key, f"must be one of {', '.join(known)}", do)
        return value.strip()

    def texts(self, key: str, default: tuple[str, ...] = _REQUIRED) -> tuple[str, ...]:
        """Return a list of texts."""
        value = self._take(key, default, "must be a list of texts")
        if not isinstance(value, (list, tuple)) or not all(isinstance(v, str) for v in value):
            raise self.refuse(key, "must be a list of texts", "Write it as [a, b].")
        if any(UNSEEN.search(text.strip()) for text in value):
            raise self.refuse(key, "must hold no characters that nobody sees", "Write it again.")
        return tuple(value)

    def number(self, key: str, default: float | None = _REQUIRED) -> float | None:
        """Return a finite number."""
        value = self._take(key, default, "must be a number")
        if value is default:
            return default
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.refuse(key, "must be a number")
        if value != value or value in (float("inf"), float("-inf")):
            raise self.refuse(key, "must be a finite number")
        return value

    def integer(self, key: str, default: int | None = _REQUIRED) -> int | None:
        """Return a whole number."""
        value = self._take(key, default, "must be a whole number")
        if value is not default and (isinstance(value, bool) or not isinstance(value, int)):
            raise self.refuse(key, "must be a whole number")
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        """Return true or false."""
        value = self._take(key, default, "must be true or false")
        if not isinstance(value, bool):
            raise self.refuse(key, "must be true or false")
        return value

    def plain(self, key: str, default: Any = _REQUIRED) -> Any:
        """Return the value as it is, with plain dictionaries."""
        return _plain(self._take(key, default, "must be given"))

    def mapping(self, key: str, default: Mapping[str, Any] = _REQUIRED) -> dict[str, Any]:
        """Return a mapping whose keys are free."""
        value = self._take(key, default, "must be a mapping")
        if not isinstance(value, Mapping):
            raise self.refuse(key, "must be a mapping", "Write it as {key: value}.")
        return {str(name): _plain(item) for name, item in value.items()}

    def words(self, key: str, default: Mapping[str, str] = _REQUIRED) -> dict[str, str]:
        """Return a mapping whose keys are free and whose values are texts."""
        found = self.mapping(key, default)
        if not all(isinstance(value, str) for value in found.values()):
            raise self.refuse(key, "must map to texts", "Put numbers and dates in quotes.")
        return found

    def inside(self, key: str) -> Fields:
        """Return the fields of a mapping under `key`."""
        value = self._take(key, _REQUIRED, "must be a mapping")
        if not isinstance(value, Mapping):
            raise self.refuse(key, "must be a mapping", "Write it as {key: value}.")
        return Fields(value, self.path, f"{self.where}.{key}" if self.where else key)

    def each(self, key: str, required: bool = True) -> list[Fields]:
        """Return the fields of every mapping in the list under `key`."""
        value = self._take(key, _REQUIRED if required else [], "must be a list of mappings")
        if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
            raise self.refuse(key, "must be a list of mappings", "Write it as '- key: value'.")
        inside = f"{self.where}.{key}" if self.where else key
        return [Fields(v, self.path, f"{inside}[{n}]") for n, v in enumerate(value, start=1)]

    def done(self) -> None:
        """Refuse keys that nobody asked for, with the nearest known name."""
        for key in self.data:
            if key not in self._asked:
                raise self.refuse(key, "is not a known key here", nearest(str(key), self._asked))

    def _take(self, key: str, default: Any, must: str) -> Any:
        self._asked.add(key)
        value = self.data.get(key)
        if value is None:
            if default is _REQUIRED:
                raise self.refuse(key, must, "Add it.")
            return default
        return value


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]} …"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
