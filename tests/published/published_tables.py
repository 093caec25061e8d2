"""Tables of published analyses, from the reference files that carry them."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

FILES = Path(__file__).parents[1] / "reference" / "synthesis"


def published_table(name: str) -> pd.DataFrame:
    """Return the study table of a reference file by its name."""
    data = json.loads((FILES / f"{name}.json").read_text(encoding="utf-8"))
    return pd.DataFrame(data["table"]).infer_objects()
