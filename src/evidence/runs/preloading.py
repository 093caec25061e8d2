"""Imports all that pages compute and draw with, and reads what most of them read.

The fork server does it once for every kernel.
The runs of a build state the code as it was when the build began (`identity.code_hashes` is asked
first); kernels that fork from here run that code, whatever is edited meanwhile.
"""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from pkgutil import iter_modules

import evidence
from evidence import data

PARTS = (
    "data",
    "disclosure",
    "evaluation",
    "plots",
    "practice",
    "results",
    "synthesis",
    "variation",
    "runs.record",
)


def import_parts() -> None:
    """Import every module of the parts that notebooks use.

    One that cannot be imported is left out: it fails in the pages that use it, and in no other.
    """
    for part in PARTS:
        with suppress(Exception):
            package = import_module(f"{evidence.__name__}.{part}")
            for module in iter_modules(getattr(package, "__path__", ())):
                with suppress(Exception):
                    import_module(f"{package.__name__}.{module.name}")


def read_indicators() -> None:
    """Read the definitions and tables of all indicators, which `data` then remembers.

    A page takes nothing for granted: each file is hashed again when it is asked for, and read anew
    if it has changed.  What cannot be read fails in the pages that use it.
    """
    with suppress(Exception):
        for id in data.indicators():
            with suppress(Exception):
                data.indicator(id)
    data.forget()


import_parts()
read_indicators()
with suppress(Exception):
    import_module("evidence.plots.style").find_fonts()
