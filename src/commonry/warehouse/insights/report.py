"""A month's report as one HTML file: what a community shows to those who pay for it. Nothing in it is fetched.

It prints as it looks; a browser's "Print to PDF" makes a PDF of it.
"""

from datetime import date, datetime
from html import escape
from typing import Any

from commonry.warehouse.insights.figures import Figure, Marts, Row, currency_of, figures, kilograms, money

Headline = tuple[str, str]
FEW = "fewer than 5"


def report(marts: Marts, month: date, as_of: datetime, place: str) -> str:
    """The page. `marts` has all rows of every mart that an insight needs, and of `overview` and `late`."""
    shown = [f for f in figures(marts, month) if not f.is_empty]
    heads = headlines(marts, month)
    about = "".join(f"<div><b>{escape(number)}</b><span>{escape(words)}</span></div>" for number, words in heads)
    empty = "" if any(number not in ("0", FEW) for number, _ in heads) else _EMPTY
    return _PAGE.format(
        title=escape(f"Sharing in {month:%B %Y}"),
        month=escape(f"{month:%B %Y}"),
        place=escape(place),
        style=STYLE,
        headlines=about,
        empty=empty,
        figures="".join(_shown(f) for f in shown),
        sources=_sources(marts["impact"]),
        as_of=escape(f"{as_of:%d %B %Y, %H:%M} UTC"),
    )


def headlines(marts: Marts, month: date) -> list[Headline]:
    """The month in numbers: (number, what it is). Where too few people are behind one, it is left out."""
    row: Row = next((r for r in marts["overview"] if r["month"] == month), Row())
    impact = [r for r in marts["impact"] if r["month"] == month]
    earned = [r for r in marts["money"] if r["month"] == month and r["currency"] == currency_of(marts["money"])]
    currency = currency_of(marts["money"])
    found: list[Headline] = [
        (f"{row.get('loans') or 0:,}", "loans"),
        (f"{row.get('days_lent') or 0:,}", "days in use"),
        (f"{row.get('items_lent') or 0:,}", "different things lent"),
        (_or_few(row.get("borrowers")), "people who borrowed"),
        (f"{row.get('members_joined') or 0:,}", "new members"),
    ]
    if earned:
        found.append((money(sum(r["owners"] for r in earned), currency), "paid out to owners"))
    if impact:
        found.append((f"{sum(r['purchases_avoided'] for r in impact):,.0f}", "purchases avoided (estimate)"))
        found.append((kilograms(sum(r["kg_co2e"] for r in impact), ""), "CO₂e saved (estimate)"))
    return found


def _or_few(number: Any) -> str:
    return FEW if number is None else f"{number:,}"


def _shown(figure: Figure) -> str:
    heads = "".join(f"<th scope='col'>{escape(c)}</th>" for c in figure.columns)
    rows = "".join(f"<tr>{''.join(f'<td>{escape(c)}</td>' for c in row)}</tr>" for row in figure.rows)
    return (
        f"<section><h2>{escape(figure.title)}</h2><p>{escape(figure.words)}</p>{figure.svg}"
        f"<details><summary>The numbers</summary><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
        "</details></section>"
    )


def _sources(impact: Any) -> str:
    if not impact:
        return ""
    return (
        "<p>What lending saves is an estimate: each person who borrows from a category counts once a year, times the"
        " share of such people who would have bought the thing, times what one costs and what making it causes. These"
        " factors, with where each is from, stand in <code>impact.csv</code> of the warehouse, and a community may put"
        " its own there.</p>"
    )


_EMPTY = "<p class='empty'>Nothing was lent in this month, or the warehouse does not know of it yet.</p>"
STYLE = """
:root { color-scheme: light dark; --paper: #fbf8f3; --sheet: #fff; --ink: #1d2733; --soft: #55606c; --line: #e7e0d5;
  --accent: #0b6e4f; --tint: #e3f1ea; }
@media (prefers-color-scheme: dark) { :root { --paper: #14191f; --sheet: #1c232b; --ink: #efe9df; --soft: #adb5bd;
  --line: #313a44; --accent: #5cc59d; --tint: #1a352b; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 Figtree, system-ui, "Segoe UI", Roboto,
  sans-serif; }
header { background: var(--tint); padding: 3.5rem 0 5rem; }
header p { color: var(--soft); margin: 0.4rem 0 0; font-size: 1.15rem; }
.wide { width: min(60rem, 100% - 2.5rem); margin-inline: auto; }
h1 { font-size: clamp(2rem, 1.5rem + 2.5vw, 3.2rem); line-height: 1.1; letter-spacing: -0.03em; margin: 0; }
h2 { font-size: 1.25rem; letter-spacing: -0.015em; margin: 0; }
.heads { display: grid; gap: 1px; background: var(--line); border: 1px solid var(--line); border-radius: 16px;
  overflow: hidden; grid-template-columns: repeat(auto-fit, minmax(12rem, 1fr)); margin-top: -3rem; }
.heads div { background: var(--sheet); padding: 1.2rem 1.4rem; }
.heads b { display: block; font-size: 1.75rem; letter-spacing: -0.03em; line-height: 1.2; }
.heads span, section p { color: var(--soft); }
main { display: grid; gap: 1.5rem; grid-template-columns: repeat(auto-fit, minmax(min(27rem, 100%), 1fr));
  margin-block: 2.5rem; align-items: start; }
section { background: var(--sheet); border: 1px solid var(--line); border-radius: 16px; padding: 1.4rem 1.6rem;
  break-inside: avoid; }
section p { margin: 0.3rem 0 1rem; }
.plot { width: 100%; height: auto; display: block; }
.plot-fill { fill: var(--accent); } .plot-line { stroke: var(--line); }
.plot-value, .plot-name { fill: var(--ink); } .plot-label { fill: var(--soft); }
details { margin-top: 0.75rem; } summary { cursor: pointer; color: var(--accent); font-weight: 600; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; margin-top: 0.5rem; }
th, td { text-align: left; padding: 0.35rem 0.5rem 0.35rem 0; border-bottom: 1px solid var(--line); }
td:last-child, th:last-child { text-align: right; font-variant-numeric: tabular-nums; }
footer { color: var(--soft); border-top: 1px solid var(--line); padding-block: 1.5rem 3rem; font-size: 0.9rem; }
.empty { padding: 1rem 1.4rem; background: var(--tint); border-radius: 12px; }
@media (max-width: 40rem) { .plot { min-width: 0; } .plot text { font-size: 17px; } }
@media print { details { display: none; } header { padding: 1rem 0 4rem; } body { background: none; } }
"""
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{style}</style></head>
<body><header><div class="wide"><h1>Sharing in {month}</h1><p>{place}</p></div></header>
<div class="wide"><div class="heads">{headlines}</div>{empty}<main>{figures}</main></div>
<footer><div class="wide">{sources}<p>From Commonry's warehouse, as of {as_of}. Numbers about fewer than five people are
left out, and nobody is named.</p></div></footer></body></html>
"""
