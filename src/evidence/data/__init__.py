"""The only reader of data/raw and data/definitions: catalogue, tables, indicators, joins.

Names are imported on first use, so that the catalogue is at hand without pandas.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evidence.data.catalogue import Area as Area
    from evidence.data.catalogue import Dataset as Dataset
    from evidence.data.catalogue import Doubt as Doubt
    from evidence.data.catalogue import Indicator as Indicator
    from evidence.data.catalogue import area as area
    from evidence.data.catalogue import areas as areas
    from evidence.data.catalogue import current_hash as current_hash
    from evidence.data.catalogue import dataset as dataset
    from evidence.data.catalogue import datasets as datasets
    from evidence.data.catalogue import definition as definition
    from evidence.data.catalogue import forget as forget
    from evidence.data.catalogue import frameworks as frameworks
    from evidence.data.catalogue import indicators as indicators
    from evidence.data.catalogue import noted as noted
    from evidence.data.catalogue import protocol as protocol
    from evidence.data.catalogue import root as root
    from evidence.data.counts import doubts as doubts
    from evidence.data.counts import indicator as indicator
    from evidence.data.plausibility import Notice as Notice
    from evidence.data.plausibility import notices as notices
    from evidence.data.tables import check as check
    from evidence.data.tables import join as join
    from evidence.data.tables import load as load
    from evidence.data.tables import only as only
    from evidence.data.tables import without as without

_HOMES = {
    "catalogue": "Area Dataset Doubt Indicator area areas current_hash dataset datasets definition "
    "forget frameworks indicators noted protocol root",
    "counts": "doubts indicator",
    "plausibility": "Notice notices",
    "tables": "check join load only without",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'evidence.data' has no attribute {name!r}")
    return getattr(import_module(f"evidence.data.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_HOME_OF)
