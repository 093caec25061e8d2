"""A page: one notebook with one set of parameters, as the report plans it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of the report.

    Parameters
    ----------
    id
        Lasting name: lower-case letters, digits and hyphens.
    title
        What the reader sees.
    notebook
        Path below ``notebooks/`` without ``.ipynb``; empty for a page of prose alone.
    parameters
        The page's own parameter values; the notebook's defaults fill the rest.
    needs
        Ids of the pages whose published results this page reads.
    part, prose, tags, subject
        Part of the report, Markdown file below ``book/``, tags, and the indicator or area code
        that the page is about.
    """

    id: str
    title: str
    notebook: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    part: str = ""
    prose: str = ""
    tags: tuple[str, ...] = ()
    subject: str = ""
