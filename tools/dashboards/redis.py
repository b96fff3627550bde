"""The Redis Cluster by its exporter. It is a cache: its loss costs speed, and nothing else."""

from tools.dashboards.layout import Row, Sheet
from tools.dashboards.panels import GREEN, RED, falling, lines, number, rising

STATE = number(
    "Cluster",
    "Whether every slot has somebody who answers for it. If not, a part of the keys is fetched anew each time.",
    "none",
    {"state": "min(redis_cluster_state)"},
    words={"0": ("broken", RED), "1": ("well", GREEN)},
)
SLOTS = number(
    "Slots in order",
    "Of 16,384. A third less is a master that is gone with its replica.",
    "none",
    {"slots": "min(redis_cluster_slots_ok)"},
    limits=((None, RED), (16384, GREEN)),
)
NODES = number(
    "Nodes that answer",
    "Six in a cluster of three masters with a replica each. Five is a node being replaced.",
    "none",
    {"nodes": "sum(redis_up)"},
    limits=((None, RED), (4, "orange"), (6, GREEN)),
)
MASTERS = number(
    "Masters, and those without a replica",
    "A master alone takes its third of the cache with it when it ends.",
    "none",
    {
        "masters": 'count(redis_instance_info{role="master"})',
        "alone": 'count(redis_connected_slaves == 0 and on (instance) redis_instance_info{role="master"}) or vector(0)',
    },
    w=6,
)
FOUND = number(
    "Share of keys found",
    "In the whole cluster. What is new cannot be found; under a half for long, memory may be too small.",
    "percentunit",
    {
        "found": "sum(rate(redis_keyspace_hits_total[5m])) "
        "/ (sum(rate(redis_keyspace_hits_total[5m]) + rate(redis_keyspace_misses_total[5m])) > 0)"
    },
    limits=falling(0.2, 0.5),
    w=6,
)
COMMANDS = lines(
    "Commands",
    "By node. One line far above the others is one key that everybody asks for.",
    "ops",
    {"{{instance}}": "sum by (instance) (rate(redis_commands_processed_total[$__rate_interval]))"},
)
MEMORY = lines(
    "Memory used",
    "Full is what a cache should be. In the next graph it shows whether that hurts.",
    "bytes",
    {"{{instance}}": "max by (instance) (redis_memory_used_bytes)"},
)
DROPPED = lines(
    "Keys that went, per minute",
    "`expired` was to go. `thrown away` had to make room: much of it, with little found, wants more memory.",
    "none",
    {
        "expired": "60 * sum(rate(redis_expired_keys_total[$__rate_interval]))",
        "thrown away": "60 * sum(rate(redis_evicted_keys_total[$__rate_interval]))",
    },
)
LIMIT = lines(
    "Memory allowed",
    "maxmemory of each node. 0 has no limit, and the system may end it one day: set one, with allkeys-lru.",
    "bytes",
    {"{{instance}}": "max by (instance) (redis_memory_max_bytes)"},
)
CLIENTS = lines(
    "Clients",
    "Three connections or so for each process of ours, and the cluster's own.",
    "none",
    {"{{instance}}": "max by (instance) (redis_connected_clients)"},
)
KEYS = lines(
    "Keys",
    "By node; the three masters should be alike.",
    "none",
    {"{{instance}}": "sum by (instance) (redis_db_keys)"},
)
BEHIND = lines(
    "Replicas behind their master",
    "Seconds since the master heard of each. A replica of ten seconds and more cannot take over well.",
    "s",
    {"{{instance}}": "max by (instance) (redis_connected_slave_lag_seconds)"},
    w=12,
    limits=rising(5, 10),
)
NETWORK = lines(
    "Sent and received",
    "By all nodes together. Replicas get a copy of all that is written.",
    "Bps",
    {
        "sent": "sum(rate(redis_net_output_bytes_total[$__rate_interval]))",
        "received": "sum(rate(redis_net_input_bytes_total[$__rate_interval]))",
    },
    w=12,
)

SHEET = Sheet(
    "redis",
    "Redis",
    "The Redis Cluster that all processes share as a cache.",
    (
        Row("Now", (STATE, SLOTS, NODES, MASTERS, FOUND)),
        Row("Work and memory", (COMMANDS, MEMORY, DROPPED, LIMIT, CLIENTS, KEYS)),
        Row("Copies and network", (BEHIND, NETWORK)),
    ),
)
