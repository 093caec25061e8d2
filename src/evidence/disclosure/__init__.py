"""Disclosure control of restricted data: what may be shown, and what would give a person away."""

from evidence.disclosure import scan
from evidence.disclosure.rules import Rule
from evidence.disclosure.tables import control, control_parts

__all__ = ["Rule", "control", "control_parts", "scan"]
