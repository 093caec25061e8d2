"""Tables of published analyses, from the reference files that carry them."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

FILES = Path(__file__).parents[1] / "reference" / "synthesis"


@pytest.fixture
def published_table():
    """Return the study table of a reference file by its name."""

    def table(name: str) -> pd.DataFrame:
        data = json.loads((FILES / f"{name}.json").read_text(encoding="utf-8"))
        return pd.DataFrame(data["table"]).infer_objects()

    return table
