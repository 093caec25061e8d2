"""Errors for wrong input: each says what must hold, what came and where, and what to do."""

from __future__ import annotations


class EvidenceError(ValueError):
    """Base of every error that the workbook raises for wrong input."""


class DataError(EvidenceError):
    """A table, a value in it, or an argument of an analysis breaks its stated rule."""


class CatalogueError(EvidenceError):
    """A definition file (dataset, indicator, area, report) is missing, wrong or unknown."""


class RunError(EvidenceError):
    """A run cannot start, a parameter breaks its contract, or a result cannot be recorded."""
