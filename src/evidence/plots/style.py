"""One look for every picture: sizes, colours, labels that do not collide, and the Picture itself.

Pictures are drawn 4.6 inches wide, so that text stays legible on a phone of 390 px, and as outlines
of letters, so that they look the same everywhere. Colours are those of Okabe and Ito (2008), told
apart by readers with any common colour blindness; shapes repeat what colours say.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any, TypeVar

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox

from evidence.errors import DataError
from evidence.results import Result

__all__ = ["Picture"]

WIDTH = 4.6
"""Width of every picture in inches."""

DPI = 72
"""That of SVG, so that what was measured for the layout is known when it is drawn."""

INK = "#1f2933"
QUIET = "#5b6770"
FAINT = "#c4ccd3"
BLUE = "#0072b2"
ORANGE = "#d55e00"
GREEN = "#009e73"
PURPLE = "#8a4f7d"
SKY = "#56b4e9"
YELLOW = "#e69f00"
BAND = "#dfe7ee"
WIDE_BAND = "#eff3f6"

RULES: Any = {name: value for name, value in mpl.rcParamsDefault.items() if name != "backend"}
RULES |= {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.5,
    "axes.labelcolor": INK,
    "axes.edgecolor": QUIET,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "text.hinting": "no_hinting",
    "svg.hashsalt": "evidence",
    "svg.fonttype": "path",
    "path.simplify": True,
}


def find_fonts() -> None:
    """Look up the files of the house's letters; matplotlib remembers them for each size."""
    with mpl.rc_context(RULES):
        for tenths, weight in product(range(60, 121), ("normal", "bold")):
            letters = FontProperties(size=tenths / 10, weight=weight)
            findfont(letters, fallback_to_default=False)


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A drawn figure with the words that stand in for it.

    Parameters
    ----------
    figure
        The figure; it belongs to no window and needs no closing.
    alt
        What it shows and its key numbers, computed from the result.
    """

    figure: Figure
    alt: str

    def svg(self) -> str:
        """Return the picture as SVG text: the same bytes for the same result."""
        return _svg(self.figure)

    def png(self, dpi: int = 160) -> bytes:
        """Return the picture as PNG."""
        buffer = io.BytesIO()
        with _laid_out(self.figure, dpi):
            FigureCanvasAgg(self.figure).print_png(buffer, metadata={"Software": None})
        return buffer.getvalue()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"image/svg+xml": self.svg(), "text/plain": self.alt}

    def __repr__(self) -> str:
        return self.alt


@lru_cache(maxsize=32)
def _svg(figure: Figure) -> str:
    """Draw once what the notebook shows and the run keeps."""
    buffer = io.StringIO()
    with _laid_out(figure, DPI):
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


@contextmanager
def _laid_out(figure: Figure, dpi: float) -> Iterator[None]:
    """Hold a figure, with its places found, while a canvas draws it under the house rules.

    The canvas is called itself because `savefig` would draw everything twice.
    """
    with mpl.rc_context(RULES):
        _lay_out(figure)
        figure.set_layout_engine("none")
        figure.dpi = dpi
        try:
            yield
        finally:
            figure.dpi = DPI


def _lay_out(figure: Figure | None) -> None:
    """Find the places of axes and texts as they are by now."""
    engine = figure.get_layout_engine() if figure else None
    if figure and isinstance(engine, ConstrainedLayoutEngine):
        engine.execute(figure)


def canvas(height: float, rows: int = 1, **grid: Any) -> tuple[Figure, Any]:
    """Return a figure of the house width with its axes, drawn under `RULES`.

    Parameters
    ----------
    height
        Height in inches.
    rows
        Number of axes below each other.
    grid
        Further arguments of `Figure.subplots`.
    """
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, **grid)


Draw = TypeVar("Draw", bound=Callable[..., Picture])


def drawn(function: Draw) -> Draw:
    """Run a drawing function under the house rules, whatever the caller's settings are."""
    return mpl.rc_context(RULES)(function)


def require_method(result: Result, *methods: str) -> str:
    """Return the method that gave a result, one of those that a picture draws.

    Raises
    ------
    DataError
        Naming the methods that fit and the one that came.
    """
    method = str(result.settings.get("method", "another method"))
    if method not in methods:
        raise DataError(
            f"this picture draws a result of {' or '.join(methods)}; got one of {method!r}. "
            "Pass the right result."
        )
    return method


def short(text: str, most: int) -> str:
    """Return text cut to `most` characters at a word, with an ellipsis."""
    if len(text) <= most:
        return text
    return text[: most - 1].rsplit(" ", 1)[0].rstrip(",;: ") + "…"


def headline(axes: Axes, text: str, width: int = 44) -> None:
    """Write a title, on two lines where one of `width` characters is too short.

    That of a picture with one panel begins at its left edge, whatever room its labels take.
    """
    lines = textwrap.wrap(text, width) or [""]
    rest = [short(" ".join(lines[1:]), width)] if lines[1:] else []
    title, figure = "\n".join([lines[0], *rest]), axes.get_figure(root=True)
    if figure is None or len(figure.axes) > 1:
        axes.set_title(title)
    else:
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")


OFFSETS = [
    (7, 0, "left", "center"),
    (-7, 0, "right", "center"),
    (0, 8, "center", "bottom"),
    (0, -8, "center", "top"),
    (6, 7, "left", "bottom"),
    (-6, 7, "right", "bottom"),
    (6, -7, "left", "top"),
    (-6, -7, "right", "top"),
    (14, 14, "left", "bottom"),
    (-14, 14, "right", "bottom"),
    (14, -14, "left", "top"),
    (-14, -14, "right", "top"),
]
"""Places of a label around its point, in points, best first."""


def label_points(
    axes: Axes, x: Sequence[float], y: Sequence[float], texts: Sequence[str], **words: Any
) -> list[Any]:
    """Write labels beside points so that they cover neither points, each other, nor the frame.

    Parameters
    ----------
    axes
        Axes with their points drawn and limits set.
    x, y
        All points, shape (n,).
    texts
        Label of each point, empty for none.

    Returns
    -------
    list
        The labels drawn.
    """
    _lay_out(axes.get_figure(root=True))
    dots = axes.transData.transform(np.column_stack([x, y]))
    taken = [Bbox.from_bounds(px - 4, py - 4, 8, 8) for px, py in dots]
    labels = []
    for at, text in enumerate(texts):
        if text:
            labels.append(_place(axes, (x[at], y[at]), text, taken, words))
            taken.append(labels[-1].get_window_extent())
    return labels


def _place(
    axes: Axes, point: tuple[float, float], text: str, taken: list[Bbox], words: dict[str, Any]
) -> Any:
    frame = axes.get_window_extent()
    best, least = None, np.inf
    for rank, (dx, dy, ha, va) in enumerate(OFFSETS):
        label = axes.annotate(
            text, point, (dx, dy), textcoords="offset points", ha=ha, va=va, **words
        )
        label.set_path_effects([withStroke(linewidth=2.5, foreground="white")])
        box = label.get_window_extent()
        cost = sum(_overlap(box, other) for other in taken) + rank
        cost += 10 * (box.width * box.height - _overlap(box, frame))
        if cost < least:
            if best is not None:
                best.remove()
            best, least = label, cost
        else:
            label.remove()
    return best


def _overlap(one: Bbox, other: Bbox) -> float:
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return max(width, 0.0) * max(height, 0.0)
