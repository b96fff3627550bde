"""PostgreSQL by its exporter: is it there, does it cope, are the copies close, does the disk last."""

from tools.dashboards.layout import Row, Sheet
from tools.dashboards.panels import GREEN, RED, falling, lines, number, rising

_OURS = 'datname!~"template.*|"'

ANSWERS = number(
    "Servers",
    "Whether each exporter can ask its server. A server that is down with another as primary is no outage.",
    "none",
    {"{{instance}}": "max by (instance) (pg_up)"},
    w=6,
    words={"0": ("down", RED), "1": ("up", GREEN)},
)
ROLES = number(
    "Who is primary",
    "There must be exactly one. Two would be a split: stop the one that the cluster does not know.",
    "none",
    {"{{instance}}": "max by (instance) (pg_recovery_is_standby)"},
    w=6,
    words={"0": ("primary", GREEN), "1": ("standby", "blue")},
)
STANDBYS = number(
    "Standbys that follow",
    "Copies that stream from the primary. 0: the loss of its machine would be a restore from backup.",
    "none",
    {"standbys": "max(pg_standbys_connected)"},
    limits=((None, "orange"), (1, GREEN)),
)
CONNECTED = number(
    "Connections taken",
    "Of max_connections. At 100 % nobody can connect any more, not even you.",
    "percentunit",
    {
        "{{instance}}": "sum by (instance) (pg_stat_activity_count) "
        "/ on (instance) max by (instance) (pg_settings_max_connections)"
    },
    limits=rising(0.6, 0.8),
)
AGE = number(
    "Oldest transaction id",
    "Share of the way to the point where PostgreSQL stops writes. Autovacuum keeps it near a tenth; half is an alert.",
    "percentunit",
    {"oldest": "max(pg_wraparound_age_transactions) / 2.1e9"},
    limits=rising(0.2, 0.47),
    decimals=2,
)
TRANSACTIONS = lines(
    "Transactions",
    "Committed, by database. Falls to nothing when the service in front cannot reach it.",
    "ops",
    {"{{datname}}": f"sum by (datname) (rate(pg_stat_database_xact_commit{{{_OURS}}}[$__rate_interval]))"},
)
SESSIONS = lines(
    "Sessions by what they do",
    "`active` above the number of cores: it is at its limit. `idle in transaction` that stays is somebody who "
    "forgot to commit.",
    "none",
    {"{{state}}": f"sum by (state) (pg_stat_activity_count{{{_OURS}}} > 0)"},
    stacked=True,
)
LONGEST = lines(
    "Longest transaction",
    "Commonry's own end within 30 s; a backup or a migration may take longer. It keeps dead rows from being "
    "cleaned away.",
    "s",
    {"{{datname}}": f'max by (datname) (pg_stat_activity_max_tx_duration{{{_OURS}, state!="idle"}})'},
    limits=rising(30, 900),
)
FOUND = lines(
    "Pages found in memory",
    "Below 99 % in the long run the data has outgrown shared_buffers: more memory, or a look at what reads so much.",
    "percentunit",
    {
        "{{datname}}": f"sum by (datname) (rate(pg_stat_database_blks_hit{{{_OURS}}}[5m])) / (sum by (datname) "
        f"(rate(pg_stat_database_blks_hit{{{_OURS}}}[5m]) + rate(pg_stat_database_blks_read{{{_OURS}}}[5m])) > 0)"
    },
    limits=falling(0.9, 0.99),
    top=1,
)
CONFLICTS = lines(
    "Rolled back, and deadlocks, per minute",
    "A rollback is often a booking that somebody else got first. Deadlocks are tried again; many want a look.",
    "none",
    {
        f"{what} in {{{{datname}}}}": f"60 * sum by (datname) (rate({name}{{{_OURS}}}[$__rate_interval]))"
        for what, name in {
            "rolled back": "pg_stat_database_xact_rollback",
            "deadlocks": "pg_stat_database_deadlocks",
        }.items()
    },
)
ROWS = lines(
    "Rows written",
    "Inserted, changed and deleted. Compare with the transactions: many rows for few of them is an import or an "
    "erasure.",
    "ops",
    {
        "{{datname}}": f"sum by (datname) (rate(pg_stat_database_tup_inserted{{{_OURS}}}[$__rate_interval]) "
        f"+ rate(pg_stat_database_tup_updated{{{_OURS}}}[$__rate_interval]) "
        f"+ rate(pg_stat_database_tup_deleted{{{_OURS}}}[$__rate_interval]))"
    },
)
BEHIND = lines(
    "How far standbys are behind",
    "In seconds, as the primary sees it. What is read from a standby is so old; a failover takes as long.",
    "s",
    {"{{standby}}": "max by (standby) (pg_standby_lag_seconds)"},
    limits=rising(5, 30),
)
READ_BEHIND = lines(
    "How old what services read is",
    "Where a service reads from a replica (COMMONRY_READ_URL), how far that one is behind by the service's own "
    "measure.",
    "s",
    {"{{service}}": "max by (service) (commonry_database_lag_seconds)"},
    limits=rising(5, 30),
)
BYTES_BEHIND = lines(
    "Log that is not replayed yet",
    "In bytes. It grows while a standby is slow or away, and the primary's disk has to hold it.",
    "bytes",
    {"{{standby}}": "max by (standby) (pg_standby_lag_bytes)"},
)
SIZE = lines(
    "Size of the databases",
    "Bookings and their timeline grow with use and stay. Twice in a week without twice the people: look at the "
    "largest tables.",
    "bytes",
    {"{{datname}}": f"max by (datname) (pg_database_size_bytes{{{_OURS}}})"},
    stacked=True,
)
DISK = lines(
    "Free disk",
    "Of the disks that the node exporter sees; in Kubernetes the alert looks at the volumes themselves. 15 % is an "
    "alert.",
    "percentunit",
    {
        "{{instance}} {{mountpoint}}": "min by (instance, mountpoint) "
        '(node_filesystem_avail_bytes{fstype!~"tmpfs|ramfs|overlay|squashfs"} / node_filesystem_size_bytes)'
    },
    limits=falling(0.15, 0.3),
    top=1,
)
ARCHIVED = lines(
    "Log archived, and failures, per minute",
    "Without an archive both are nothing. A failure that repeats means that what happens now cannot be restored "
    "from it.",
    "none",
    {
        "archived by {{instance}}": "60 * sum by (instance) (rate(pg_stat_archiver_archived_count[5m]))",
        "failed at {{instance}}": "60 * sum by (instance) (rate(pg_stat_archiver_failed_count[5m]))",
    },
)

SHEET = Sheet(
    "postgres",
    "PostgreSQL",
    "Is it there, does it cope, are the copies close, does the disk last.",
    (
        Row("Now", (ANSWERS, ROLES, STANDBYS, CONNECTED, AGE)),
        Row("Work", (TRANSACTIONS, SESSIONS, LONGEST, FOUND, CONFLICTS, ROWS)),
        Row("Copies", (BEHIND, READ_BEHIND, BYTES_BEHIND)),
        Row("Disk", (SIZE, DISK, ARCHIVED)),
    ),
)
