"""Plots as SVG: columns for months, bars for names. Small, readable without colour, in light and in dark.

What is drawn has classes, for a page with a stylesheet, and colours of its own for where it stands alone.
"""

from collections.abc import Callable, Sequence
from html import escape

WIDTH = 460
INK, SOFT, LINE, FILL = "#1d2733", "#55606c", "#e7e0d5", "#0b6e4f"
HEIGHT, TOP, BOTTOM, LEFT = 260, 22, 34, 8
ROW, NAMES = 30, 140
LONGEST_NAME = 19

Words = Callable[[float], str]
"""How a value is written: `12`, `34 %`, `120 EUR`. Above a column stands its number alone, for want of room."""


def columns(title: str, points: Sequence[tuple[str, float | None]], words: Words) -> str:
    """One column a label, in their order; None is a gap that says so."""
    most = max((value for _, value in points if value is not None), default=0) or 1
    step = (WIDTH - 2 * LEFT) / max(len(points), 1)
    wide = min(step * 0.66, 56)
    high = HEIGHT - TOP - BOTTOM
    parts = [f'<path class="plot-line" d="M{LEFT} {HEIGHT - BOTTOM}H{WIDTH - LEFT}" stroke="{LINE}" fill="none"/>']
    for number, (label, value) in enumerate(points):
        middle = LEFT + step * (number + 0.5)
        if value is not None:
            tall = round(max(high * value / most, 0), 1)
            top = HEIGHT - BOTTOM - tall
            parts.append(
                f'<rect class="plot-fill" x="{middle - wide / 2:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{tall}"'
                f' rx="3" fill="{FILL}"/>'
            )
            parts.append(_text(middle, top - 6, words(value).split()[0], "plot-value", INK))
        else:
            parts.append(_text(middle, HEIGHT - BOTTOM - 6, "–", "plot-label", SOFT))
        parts.append(_text(middle, HEIGHT - 12, label.split()[0], "plot-label", SOFT))
    return _svg(title, HEIGHT, parts, [f"{label}: {_said(value, words)}" for label, value in points])


def bars(title: str, points: Sequence[tuple[str, float | None]], words: Words) -> str:
    """One bar a label, the longest names cut."""
    most = max((value for _, value in points if value is not None), default=0) or 1
    room = WIDTH - NAMES - 64
    height = ROW * max(len(points), 1) + 8
    parts: list[str] = []
    for number, (label, value) in enumerate(points):
        y = number * ROW + 6
        long = round(room * max(value or 0, 0) / most, 1)
        cut = label if len(label) <= LONGEST_NAME else label[: LONGEST_NAME - 1] + "…"
        parts.append(_text(NAMES - 12, y + 15, cut, "plot-name", INK, "end"))
        parts.append(
            f'<rect class="plot-fill" x="{NAMES}" y="{y}" width="{max(long, 1)}" height="20" rx="3" fill="{FILL}"/>'
        )
        parts.append(_text(NAMES + long + 8, y + 15, _said(value, words), "plot-value", INK, "start"))
    return _svg(title, height, parts, [f"{label}: {_said(value, words)}" for label, value in points])


def _said(value: float | None, words: Words) -> str:
    return "too few to say" if value is None else words(value)


def _text(x: float, y: float, words: str, kind: str, fill: str, anchor: str = "middle") -> str:
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="13" fill="{fill}">'
        f"{escape(words)}</text>"
    )


def _svg(title: str, height: float, parts: Sequence[str], described: Sequence[str]) -> str:
    said = escape("; ".join(described) or "Nothing yet.")
    return (
        f'<svg class="plot" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"'
        f' font-family="Figtree, system-ui, sans-serif"><title>{escape(title)}</title><desc>{said}</desc>'
        f"{''.join(parts)}</svg>"
    )
