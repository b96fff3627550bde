"""One page for each service, chosen above it: its requests by route, what it works with, what it takes."""

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard as model

from tools.dashboards.layout import Row, Sheet
from tools.dashboards.panels import ONE_IS_WELL, PLAIN, SOURCE, STATUS, falling, lines, listing, number, rising

_ROUTES = 'service_route:commonry_requests:rate5m{service="$service"}'
_FAILED = 'service_route:commonry_requests:rate5m{service="$service", status="5xx"}'
_TIMES = 'service_route_le:commonry_request_seconds:rate5m{service="$service"}'


def _by_route(expr: str) -> str:
    return f"sum by (method, route) ({expr})"


SERVICE = (
    build.QueryVariable("service")
    .label("Service")
    .datasource(SOURCE)
    .query({"query": "label_values(service:commonry_requests:rate5m, service)", "refId": "services"})
    .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
    .sort(model.VariableSort.ALPHABETICAL_ASC)
    .current(model.VariableOption(selected=True, text="bookings", value="bookings"))
)

RUNNING = number(
    "Processes",
    "Replicas that Prometheus can reach. 0 is an outage, 1 has no spare.",
    "none",
    {"answer": 'job:up:sum{job="$service"}'},
    limits=ONE_IS_WELL,
)
RATE = number(
    "Requests",
    "How much it is asked. Compare with the same hour yesterday before you call it much.",
    "reqps",
    {"a second": 'service:commonry_requests:rate5m{service="$service"}'},
    limits=PLAIN,
)
FAILING = number(
    "Share that fails",
    "5xx of all requests. Anything above a tenth of a percent wants a look at the routes below.",
    "percentunit",
    {"5xx": 'service:commonry_requests_failed:ratio5m{service="$service"}'},
    limits=rising(0.001, 0.01),
    decimals=2,
)
SLOWEST = number(
    "95 of a hundred answered within",
    "What nearly everybody gets. Signing in and booking take longer than reading.",
    "s",
    {"95 %": f"histogram_quantile(0.95, sum by (le) ({_TIMES}))"},
    limits=rising(0.25, 1),
)
AT_WORK = number(
    "Being answered now",
    "Requests under way in all its processes. Growing while the rate does not: it waits for something.",
    "none",
    {"now": 'sum(commonry_requests_running{service="$service"})'},
    limits=PLAIN,
)
VERSION = number(
    "Versions that run",
    "Two at once is right during a deployment, and should end with it.",
    "none",
    {"{{version}}": 'count by (version) (commonry_build_info{job="$service"})'},
    limits=PLAIN,
)
ROUTES = listing(
    "Routes",
    "Every route that was asked in the last five minutes. Sort by what hurts: failures first, then time.",
    {
        "requests": (_by_route(_ROUTES), "reqps", PLAIN),
        "share that fails": (
            f"({_by_route(_FAILED)} or 0 * {_by_route(_ROUTES)}) / ({_by_route(_ROUTES)} > 0)",
            "percentunit",
            rising(0.001, 0.05),
        ),
        "95 % within": (
            f"histogram_quantile(0.95, sum by (method, route, le) ({_TIMES})) and {_by_route(_ROUTES)} > 0",
            "s",
            rising(0.25, 1),
        ),
    },
)
BY_STATUS = lines(
    "Requests by how they ended",
    "5xx are this service's mistakes, or those of what it needs; 503 among them is it saying that it cannot now.",
    "reqps",
    {"{{status}}": f"sum by (status) ({_ROUTES})"},
    stacked=True,
    colours=STATUS,
)
BY_ROUTE = lines(
    "Busiest routes",
    "The ten that are asked most. A new line on top may be a program that somebody let loose.",
    "reqps",
    {"{{method}} {{route}}": f"topk(10, sum by (method, route) ({_ROUTES}))"},
)
TIMES = lines(
    "How long they take",
    "When 99 % rises and half does not, a few wait: for locks, for connections, or for another service.",
    "s",
    {
        q: f"histogram_quantile({value}, sum by (le) ({_TIMES}))"
        for q, value in {"half": 0.5, "95 %": 0.95, "99 %": 0.99}.items()
    },
)
POOL = lines(
    "Database connections at work",
    "Of what COMMONRY_DATABASE_POOL allows each process. At 100 % requests wait. The gateway has none.",
    "percentunit",
    {
        "{{instance}}": 'commonry_database_pool_used{service="$service"} '
        '/ commonry_database_pool_size{service="$service"}'
    },
    w=6,
    limits=rising(0.8, 1),
    top=1,
)
WAITING = lines(
    "Waiting for a connection",
    "Should be nothing. Otherwise PostgreSQL is slow, or there is more work than the pool takes. The gateway has none.",
    "none",
    {"{{instance}}": 'commonry_database_pool_waiting{service="$service"}'},
    w=6,
    limits=rising(1, 5),
)
PROCESSOR = lines(
    "Processor",
    "Cores in use, by process. One process uses one core at most: near 1 it is time for another replica.",
    "none",
    {"{{instance}}": 'rate(process_cpu_seconds_total{job="$service"}[$__rate_interval])'},
    w=6,
    limits=rising(0.8, 1),
)
MEMORY = lines(
    "Memory",
    "Should be level after an hour. A steady rise that only a restart ends is a leak; please report it.",
    "bytes",
    {"{{instance}}": 'process_resident_memory_bytes{job="$service"}'},
    w=6,
)
FILES = lines(
    "Open files and connections",
    "Share of what the system allows a process. Near 100 % it cannot take connections any more.",
    "percentunit",
    {"{{instance}}": 'process_open_fds{job="$service"} / process_max_fds{job="$service"}'},
    w=12,
    limits=rising(0.6, 0.9),
)
FOUND = lines(
    "Tokens known without asking",
    "How often it need not ask users who somebody is. Falls for a while after a restart, or when the shared cache "
    "is away.",
    "percentunit",
    {
        "{{job}}": 'sum by (job) (rate(commonry_cache_lookups_total{cache="door", outcome="hit"}[5m])) '
        '/ (sum by (job) (rate(commonry_cache_lookups_total{cache="door", outcome=~"hit|miss"}[5m])) > 0)'
    },
    w=12,
    limits=falling(0.2, 0.6),
    top=1,
)

SHEET = Sheet(
    "service",
    "Each service",
    "One service, chosen above: how much it is asked, how that ends, and what it takes.",
    (
        Row("Now", (RUNNING, RATE, FAILING, SLOWEST, AT_WORK, VERSION)),
        Row("Requests", (BY_STATUS, BY_ROUTE, TIMES, ROUTES)),
        Row("What it works with", (POOL, WAITING, PROCESSOR, MEMORY, FILES, FOUND)),
    ),
    (SERVICE,),
)
