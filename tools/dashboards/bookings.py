"""Sagas and money: does everything that began also end, and where does it wait."""

from tools.dashboards.layout import Row, Sheet
from tools.dashboards.panels import NONE_IS_WELL, lines, number, rising

_ENDED = '{state=~"completed|failed|declined|expired|cancelled|no_show"}'

STUCK = number(
    "Stuck",
    "Rows whose step has failed six times or more. Each wants a person: docs/how-to/runbooks/saga-stuck.md.",
    "none",
    {"{{queue}}": 'max by (queue) (commonry_due_stuck{queue=~"bookings|payments"})'},
    w=5,
    limits=NONE_IS_WELL,
)
OLDEST = number(
    "Longest under way",
    "How long the slowest saga that waits for nobody has got no further. Seconds are usual; ten minutes are an alert.",
    "s",
    {"oldest": "max(commonry_saga_oldest_seconds)"},
    w=5,
    limits=rising(60, 600),
)
LATE = number(
    "Longest due",
    "How long the oldest due row waits for a worker. More than some seconds: workers are too few, too slow, or off.",
    "s",
    {"{{queue}}": "max by (queue) (commonry_due_oldest_seconds)"},
    w=7,
    limits=rising(10, 120),
)
OUTBOX = number(
    "Messages on their way",
    "Events that their receivers have not taken yet. None is lost; many that stay mean that a receiver is away.",
    "none",
    {"{{service}}": "max by (service) (commonry_outbox_waiting)"},
    w=7,
    limits=rising(100, 1000),
)
RUNNING = lines(
    "Sagas by state",
    "Bookings with something left to do, now or at a known time. `requested` waits for owners, `confirmed` for the "
    "pickup: high is good. `pending` should come and go.",
    "none",
    {"{{state}}": "max by (state) (commonry_sagas_running)"},
    stacked=True,
)
WAITING = lines(
    "Due, and nobody at it",
    "Work that could be done now. It should fall to nothing between bursts; a level that stays wants more replicas.",
    "none",
    {"{{queue}}": "max by (queue) (commonry_due_waiting)"},
)
FAILURES = lines(
    "Steps that failed, per minute",
    "Each is tried again after 1, 2, 4 … 300 s. A burst is another service being away; a steady line is something "
    "stuck.",
    "none",
    {"{{queue}}": "60 * sum by (queue) (rate(commonry_due_failures_total[$__rate_interval]))"},
)
REACHED = lines(
    "Bookings by state reached, per minute",
    "The whole life: pending, requested, confirmed, in use, returned, completed. A state that nobody reaches any "
    "more is where it jams.",
    "none",
    {"{{state}}": "60 * sum by (state) (rate(commonry_bookings_total[$__rate_interval]))"},
    w=12,
)
ENDED_WELL = lines(
    "Of the bookings that ended, how they ended",
    "`failed` is mostly things that were taken or cards that were declined; a sudden rise with no rise in bookings "
    "is ours.",
    "percentunit",
    {
        "{{state}}": f"sum by (state) (rate(commonry_bookings_total{_ENDED}[1h])) "
        f"/ on () group_left () (sum(rate(commonry_bookings_total{_ENDED}[1h])) > 0)"
    },
    w=12,
    stacked=True,
    top=1,
)
MONEY = lines(
    "Money that moved, per minute",
    "In minor units (cents), by what became of it. Whatever is `authorised` ends as `captured` or `released`.",
    "none",
    {"{{kind}} {{currency}}": "60 * sum by (kind, currency) (rate(commonry_money_minor_total[$__rate_interval]))"},
    w=12,
)
ANSWERS = lines(
    "How long a booking takes to be answered",
    "POST to /bookings at the gateway: to book, accept, cancel … 99 of a hundred within 2.5 s is promised.",
    "s",
    {
        name: f"histogram_quantile({q}, sum by (le) (service_route_le:commonry_request_seconds:rate5m"
        '{service="gateway", method="POST", route="/api/v1/bookings"}))'
        for name, q in {"half": 0.5, "99 %": 0.99}.items()
    },
    w=12,
    limits=((None, "green"), (2.5, "red")),
)

SHEET = Sheet(
    "bookings",
    "Sagas and money",
    "Everything that began must end: bookings, payments and messages, and where they wait.",
    (
        Row("Does anything stand still?", (STUCK, OLDEST, LATE, OUTBOX)),
        Row("Sagas and their queues", (RUNNING, WAITING, FAILURES)),
        Row("Bookings", (REACHED, ENDED_WELL)),
        Row("Money", (MONEY, ANSWERS)),
    ),
)
