"""Horizontal bars as SVG, readable on light and on dark pages."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, LABEL, ROW, HEAD = 760, 200, 22, 26
LONGEST = WIDTH - LABEL - 110


class Bar(NamedTuple):
    """Microseconds: the proxy's own and, after it, those behind it."""

    label: str
    own: float
    behind: float


class Group(NamedTuple):
    """Bars on one scale."""

    title: str
    bars: Sequence[Bar]


def drawn(title: str, groups: Sequence[Group]) -> str:
    """The picture. Each group has its own scale, which fills the width."""
    parts, y = [], 62
    for group in groups:
        parts.append(f'<text class="group" x="16" y="{y + 16}">{escape(group.title)}</text>')
        y += HEAD
        scale = LONGEST / max(bar.own + bar.behind for bar in group.bars)
        for bar in group.bars:
            parts += _row(bar, y, scale)
            y += ROW
        y += 14
    return PAGE.format(width=WIDTH, height=y + 4, title=escape(title), parts="\n".join(parts))


def _row(bar: Bar, y: int, scale: float) -> list[str]:
    own, behind = bar.own * scale, bar.behind * scale
    words = _shown(bar.own) + (f" + {_shown(bar.behind)}" if bar.behind >= 0.05 else "")
    return [
        f'<text class="label" x="{LABEL - 8}" y="{y + 13}">{escape(bar.label)}</text>',
        f'<rect class="own" x="{LABEL}" y="{y + 2}" width="{own:.1f}" height="14"/>',
        f'<rect class="behind" x="{LABEL + own:.1f}" y="{y + 2}" width="{behind:.1f}" height="14"/>',
        f'<text class="figure" x="{LABEL + own + behind + 6:.1f}" y="{y + 13}">{words}</text>',
    ]


def _shown(microseconds: float) -> str:
    return f"{microseconds:.0f}" if microseconds >= 100 else f"{microseconds:.1f}"


PAGE = """\
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">
<title>{title}</title>
<style>
text {{ font: 13px system-ui, sans-serif; fill: #1f2328; }}
.title {{ font-size: 16px; font-weight: 600; }}
.group {{ font-weight: 600; }}
.label {{ text-anchor: end; }}
.figure {{ fill: #59636e; font-size: 12px; }}
.paper {{ fill: #ffffff; }}
.own {{ fill: #0969da; }}
.behind {{ fill: #b6d4f5; }}
@media (prefers-color-scheme: dark) {{
  text {{ fill: #e6edf3; }}
  .figure {{ fill: #9198a1; }}
  .paper {{ fill: #0d1117; }}
  .own {{ fill: #4493f8; }}
  .behind {{ fill: #1f4a80; }}
}}
</style>
<rect class="paper" width="{width}" height="{height}"/>
<text class="title" x="16" y="26">{title}</text>
<rect class="own" x="16" y="38" width="12" height="12"/>
<text class="figure" x="34" y="48">µs of the proxy itself</text>
<rect class="behind" x="190" y="38" width="12" height="12"/>
<text class="figure" x="208" y="48">
µs of what is behind it (all in one: part of the first). Each group has its own scale.</text>
{parts}
</svg>
"""
