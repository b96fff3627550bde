"""What others may know of analytics: what the warehouse says, drawn."""

from datetime import datetime

from commonry.contracts.words import Message
from commonry.kit.peers import Client


class Plot(Message, kw_only=True):
    """An insight: a drawing (SVG) that may stand in a page, the table behind it, and the mart that has all of it."""

    name: str
    title: str
    words: str
    mart: str
    svg: str
    columns: list[str]
    rows: list[list[str]]


class Plots(Message, kw_only=True):
    """GET /analytics/plots: all insights, as of the last run."""

    as_of: datetime
    data: list[Plot]


class Analytics(Client):
    """The analytics service, where this platform has one."""
