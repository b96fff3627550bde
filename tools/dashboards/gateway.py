"""Cache and gateway: what is answered from memory, whom the gateway turns away, and whom it leaves alone."""

from tools.dashboards.layout import Row, Sheet
from tools.dashboards.panels import (
    GREEN,
    NONE_IS_WELL,
    ONE_IS_WELL,
    ORANGE,
    RED,
    falling,
    lines,
    number,
    rising,
    states,
)

_OUTCOMES = {"hit": GREEN, "shared": GREEN, "collapsed": "light-green", "stale": ORANGE, "error": RED}

LATE = number(
    "Event loop late by",
    "How late the slowest gateway runs. Over 0.1 s everything is slow; at COMMONRY_SHED_SECONDS (1 s) it turns "
    "people away.",
    "s",
    {"slowest": "max(commonry_loop_late_seconds)"},
    limits=rising(0.1, 0.5),
    w=5,
)
BREAKERS = number(
    "Breakers open",
    "Replicas that somebody leaves alone now. One of many is no harm to people; all of one service is an outage of it.",
    "none",
    {"open": "sum(max by (service, replica) (commonry_breaker_open))"},
    limits=NONE_IS_WELL,
    w=4,
)
IN_TOUCH = number(
    "Hear of changes",
    "Share of processes that hear what the others publish. Who does not keeps answers for a second only.",
    "percentunit",
    {"in touch": "avg(commonry_bus_in_touch)"},
    limits=falling(0.9, 1),
    w=5,
)
CACHE_AWAY = number(
    "Shared cache left alone by",
    "Processes whose own breaker to the Redis Cluster is open. They fetch instead of finding; nothing is wrong for "
    "people.",
    "none",
    {"processes": "count(max by (job, instance) (commonry_cache_breaker_open) == 1) or vector(0)"},
    limits=NONE_IS_WELL,
    w=5,
)
GATEWAYS = number(
    "Gateways",
    "How many answer. 1 has no spare.",
    "none",
    {"answer": 'job:up:sum{job="gateway"}'},
    limits=ONE_IS_WELL,
    w=5,
)
LOOKUPS = lines(
    "Look-ups in the response cache",
    "`bypass` is for one person and never kept, `pass` is known to be not for keeping. `stale` and `error` show "
    "while a service is away.",
    "reqps",
    {"{{outcome}}": 'sum by (outcome) (rate(commonry_cache_lookups_total{cache="response"}[$__rate_interval]))'},
    stacked=True,
    colours=_OUTCOMES,
)
FOUND = lines(
    "Share that is found",
    "Of what may be kept: `response` at the gateway, `door` who somebody is. Falls after a restart and while items "
    "change fast.",
    "percentunit",
    {"{{cache}}": "cache:commonry_cache_found:ratio5m"},
    limits=falling(0.2, 0.5),
    top=1,
)
BYTES = lines(
    "Answers kept in memory",
    "Rises to COMMONRY_CACHE_BYTES (64 MB) at most and stays; what was used longest ago goes first.",
    "bytes",
    {"{{instance}}": 'commonry_cached_bytes{job="gateway"}'},
)
REFUSED = lines(
    "Turned away at the door",
    "`overload` is the gateway that cannot keep up: add one. A limit's name is somebody who asks too much. The "
    "rest is HTTP that two programs could read differently.",
    "reqps",
    {"{{why}}": "sum by (why) (rate(commonry_refused_total[$__rate_interval]))"},
)
LOOP = lines(
    "Event loop late, by gateway",
    "Peaks are garbage collection or a large answer; a plateau is too much work for one process.",
    "s",
    {"{{instance}}": 'commonry_loop_late_seconds{job="gateway"}'},
    limits=rising(0.1, 1),
)
TRIES = lines(
    "Requests sent once more",
    "Passed on, repeated or hedged. A little is a replica that restarts; much is one that fails at real work.",
    "reqps",
    {"{{service}} {{why}}": "sum by (service, why) (rate(commonry_upstream_tries_total[$__rate_interval]))"},
)
LEFT_ALONE = states(
    "Whom the gateways leave alone",
    "Red is a breaker that is open. Short bars are restarts; one that keeps coming back is a replica that fails.",
    {"{{service}} {{replica}}": 'max by (service, replica) (commonry_breaker_open{job="gateway"})'},
    words={"0": ("asked", GREEN), "1": ("left alone", RED)},
    w=24,
    h=9,
)
PURGES = lines(
    "Changes that were told, per minute",
    "What owners change, and what makes kept answers worthless. Much more than usual is an import, or a script.",
    "none",
    {"{{job}}": "60 * sum by (job) (rate(commonry_cache_purges_total[$__rate_interval]))"},
)
MISSED = lines(
    "Messages missed or not acknowledged, per minute",
    "Whoever misses one forgets all that it keeps, to be safe. A few at a restart are usual; a steady line is a "
    "network that loses.",
    "none",
    {
        "missed by {{job}}": "60 * sum by (job) (rate(commonry_bus_missed_total[$__rate_interval]))",
        "not acknowledged to {{job}}": "60 * sum by (job) (rate(commonry_bus_unacknowledged_total[$__rate_interval]))",
    },
)
ERRORS = lines(
    "Commands to the shared cache that failed",
    "By command. A burst of two seconds is a master of the cluster being replaced; more is a cluster in trouble.",
    "reqps",
    {"{{command}}": "sum by (command) (rate(commonry_cache_errors_total[$__rate_interval]))"},
)

SHEET = Sheet(
    "gateway",
    "Cache and gateway",
    "What is answered from memory, whom the gateway turns away, and whom it leaves alone.",
    (
        Row("Now", (GATEWAYS, LATE, BREAKERS, IN_TOUCH, CACHE_AWAY)),
        Row("Answers from memory", (LOOKUPS, FOUND, BYTES)),
        Row("At the door and behind it", (REFUSED, LOOP, TRIES, LEFT_ALONE)),
        Row("Changes and the shared cache", (PURGES, MISSED, ERRORS)),
    ),
)
