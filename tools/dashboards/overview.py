"""The first page to open: is all well, and if not, where to look."""

from tools.dashboards.layout import Row, Sheet
from tools.dashboards.panels import NONE_IS_WELL, ONE_IS_WELL, STATUS, falling, lines, number, rising

PROMISES = number(
    "Error budget left this month",
    "What may still go wrong in thirty days before a promise is broken (docs/how-to/slos.md). 100 % is untouched, "
    "below 0 the promise is broken. Under a quarter: no risky deployments.",
    "percentunit",
    {"{{slo}}": "1 - commonry:slo_bad:ratio30d / on (slo) commonry:slo_budget:ratio"},
    w=10,
    limits=falling(0, 0.25),
    decimals=1,
)
ALERTS = number(
    "Alerts",
    "How many fire now, critical ones and warnings. Each names a page that says what to do.",
    "none",
    {"firing": 'count(ALERTS{alertname=~"Commonry.+", alertstate="firing", severity!="none"}) or vector(0)'},
    limits=NONE_IS_WELL,
)
PROCESSES = number(
    "Processes that answer",
    "How many of each service Prometheus can reach. 0 is an outage of that service; 1 has no spare.",
    "none",
    {"{{job}}": 'job:up:sum{job=~"gateway|users|inventory|bookings|payments"}'},
    w=10,
    limits=ONE_IS_WELL,
)
BURNING = lines(
    "How fast the budget is used",
    "1 uses up exactly the month's budget in a month; 14.4 uses 2 % of it in an hour, and wakes somebody.",
    "suffix:×",
    {"{{slo}}": "commonry:slo_bad:ratio1h / on (slo) commonry:slo_budget:ratio"},
    limits=rising(1, 14.4),
)
GATEWAY_RATE = lines(
    "Requests by how they ended",
    "What people ask of the gateway. 4xx are their mistakes, or somebody trying doors; 5xx are ours, and should be "
    "invisible.",
    "reqps",
    {"{{status}}": 'sum by (status) (service_route:commonry_requests:rate5m{service="gateway"})'},
    stacked=True,
    colours=STATUS,
)
_QUANTILE = (
    'histogram_quantile({q}, sum by (le) (service_route_le:commonry_request_seconds:rate5m{{service="gateway"}}))'
)
GATEWAY_TIME = lines(
    "How long people wait",
    "Half, 95 and 99 of a hundred requests are answered within this. Reads promise 0.25 s; signing in takes longer "
    "on purpose.",
    "s",
    {"half": _QUANTILE.format(q=0.5), "95 %": _QUANTILE.format(q=0.95), "99 %": _QUANTILE.format(q=0.99)},
)
SERVICE_RATE = lines(
    "Requests by service",
    "What each service is asked, by the gateway and by the others. A line that falls to nothing is a service "
    "nobody can reach.",
    "reqps",
    {"{{service}}": 'service:commonry_requests:rate5m{service!="gateway"}'},
)
SERVICE_FAILS = lines(
    "Share that fails, by service",
    "5xx of all requests. The service with the highest line is where to look first; the others often only pass its "
    "failures on.",
    "percentunit",
    {"{{service}}": "service:commonry_requests_failed:ratio5m"},
    limits=rising(0.001, 0.01),
)
SERVICE_TIME = lines(
    "95 of a hundred answered within, by service",
    "Which service is slow. If all are, it is what they share: PostgreSQL, or the machine.",
    "s",
    {
        "{{service}}": "histogram_quantile(0.95, "
        'sum by (service, le) (service_route_le:commonry_request_seconds:rate5m{service!="gateway"}))'
    },
)
BOOKINGS = lines(
    "Bookings by state reached, per minute",
    "Life of the community: `confirmed` should follow `pending`. Many `failed` is mostly things that were taken "
    "already.",
    "none",
    {"{{state}}": "60 * sum by (state) (rate(commonry_bookings_total[$__rate_interval]))"},
    w=12,
)
MONEY = lines(
    "Money that moved, per minute",
    "In minor units (cents), by what became of it. `refunded` above `captured` for long is unusual: is "
    "something undone?",
    "none",
    {"{{kind}} {{currency}}": "60 * sum by (kind, currency) (rate(commonry_money_minor_total[$__rate_interval]))"},
    w=12,
)
WAREHOUSE = lines(
    "Age of the warehouse's numbers",
    "How long ago they were true. A run every fifteen minutes keeps it below half an hour; six hours is an alert.",
    "s",
    {"{{job}}": "time() - max by (job) (commonry_etl_as_of_timestamp_seconds)"},
    w=12,
)
WAREHOUSE_TIME = lines(
    "What a run of the warehouse takes",
    "The last run's steps. `extract` grows with what has changed, `transform` with all there is.",
    "s",
    {"{{step}}": "max by (step) (commonry_etl_seconds)"},
    w=12,
)

SHEET = Sheet(
    "overview",
    "Overview",
    "Is all well? From the top: promises, people's requests, services, bookings and money.",
    (
        Row("Is all well?", (ALERTS, PROCESSES, PROMISES)),
        Row("People's requests", (BURNING, GATEWAY_RATE, GATEWAY_TIME)),
        Row("Services", (SERVICE_RATE, SERVICE_FAILS, SERVICE_TIME)),
        Row("Bookings and money", (BOOKINGS, MONEY)),
        Row("The warehouse", (WAREHOUSE, WAREHOUSE_TIME)),
    ),
)
