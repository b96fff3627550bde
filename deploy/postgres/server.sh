#!/bin/bash
# One of several PostgreSQL servers that are alike: the one that PRIMARY names leads, every other follows it.
#
# Which is which may change between two starts. Who is to lead and followed before is promoted; who is to follow and led
# before is made anew from the leader, and what it had is kept beside as `before`. Who has another cluster than the leader keeps
# it and does not follow: the leader's may be the one that was lost. Roles and databases are made when they are missing, and
# have the passwords of the environment, at every start.
set -euo pipefail

: "${NAME:?}" "${PRIMARY:?}"
ROOM=${PGROOM:-/var/lib/postgresql/data}
DATA=$ROOM/cluster
PORT=${PGPORT:-5432}
SOCKETS=${PGSOCKETS:-/tmp}
LISTEN=${PGLISTEN:-*}
SLOT=$(printf %s "follower_$NAME" | tr -c 'a-z0-9_' _)
SERVICES=(users inventory bookings payments)
HERE=$(cd "$(dirname "$0")" && pwd)

say() { printf '%s: %s\n' "$NAME" "$*" >&2; }

OPTIONS=(
    -c "listen_addresses=$LISTEN" -c "port=$PORT" -c "unix_socket_directories=$SOCKETS"
    -c "hba_file=$DATA/pg_hba.conf" -c password_encryption=scram-sha-256
    -c max_connections=200 -c shared_buffers=256MB
    -c wal_level=replica -c hot_standby=on -c max_wal_senders=8 -c max_replication_slots=8 -c wal_log_hints=on
    # A follower that stays away must not fill the leader's disk; beyond this it is made anew.
    -c max_slot_wal_keep_size=2GB
    # Long reads on the follower wait, and do not hold back the leader.
    -c hot_standby_feedback=off -c max_standby_streaming_delay=30s
)

# Who may come in, and by what: each service to its own database, nobody as the superuser from outside.
write_hba() {
    {
        echo "local all postgres peer map=owner"
        for service in "${SERVICES[@]}"; do echo "host $service $service,${service}_reader all scram-sha-256"; done
        echo "host replication replicator all scram-sha-256"
        echo "host postgres,replication replicator all scram-sha-256"
        echo "host postgres monitor all scram-sha-256"
    } >"$DATA/pg_hba.conf"
    # Whoever this process runs as is the superuser, on this machine.
    echo "owner $(id -un) postgres" >"$DATA/pg_ident.conf"
}

# A server for ourselves: nobody else can connect.
alone() {
    pg_ctl --pgdata "$DATA" --wait --silent --timeout 600 --log "$SOCKETS/alone.log" --options "$(printf '%q ' "${OPTIONS[@]}" -c listen_addresses=)" start ||
        { cat "$SOCKETS/alone.log" >&2; exit 1; }
}

and_stop() { pg_ctl --pgdata "$DATA" --wait --silent --mode fast stop; }

ask() { psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 --host "$SOCKETS" --port "$PORT" --username postgres "$@"; }

lead() {
    if [ ! -d "$DATA" ]; then
        rm -rf "$DATA.new"
        initdb --pgdata "$DATA.new" --username postgres --auth peer --encoding UTF8 --locale C.UTF-8 --data-checksums >/dev/null
        mv "$DATA.new" "$DATA"
        say "has a new cluster"
    fi
    write_hba
    alone
    if [ -e "$DATA/standby.signal" ]; then
        say "is promoted"
        pg_ctl --pgdata "$DATA" --wait --silent --timeout 600 promote
    fi
    ask --file "$HERE/roles.sql"
    for service in "${SERVICES[@]}"; do
        variable=PASSWORD_${service^^}
        ROLE=$service ROLE_PASSWORD=${!variable:?} READER_PASSWORD=$PASSWORD_READER ask --file "$HERE/database.sql"
    done
    and_stop
    say "leads"
    exec postgres -D "$DATA" "${OPTIONS[@]}"
}

PASSFILE=$SOCKETS/replicator.$NAME
CONNECTION="host=$PRIMARY port=$PORT user=replicator application_name=$NAME connect_timeout=3 passfile=$PASSFILE"

# What the leader says of itself, as soon as there is one.
leader() { psql --no-psqlrc --tuples-only --no-align "$CONNECTION dbname=postgres" --command "$1" 2>/dev/null; }

# What is here must be the leader's cluster, or nothing. Only a person can say which of two is the one to keep.
must_be_the_leaders() {
    ours=$(pg_controldata "$DATA" | sed -n 's/^Database system identifier: *//p')
    theirs=$(leader 'SELECT system_identifier FROM pg_control_system()')
    [ "$ours" != "$theirs" ] || return 0
    say "has another cluster than $PRIMARY, and keeps it. If ours is the good one, start with PRIMARY=$NAME; if not, remove $DATA"
    exit 1
}

# Whether what is here can go on following: a follower's copy of the leader's cluster that is not too far behind.
can_follow() {
    [ -e "$DATA/standby.signal" ] || return 1
    [ "$(leader "SELECT wal_status FROM pg_replication_slots WHERE slot_name = '$SLOT'")" != lost ]
}

follow() {
    (umask 077 && echo "*:*:*:replicator:$PASSWORD_REPLICATION" >"$PASSFILE")
    until [ "$(leader 'SELECT pg_is_in_recovery()')" = f ]; do
        say "waits for $PRIMARY to lead"
        sleep 2
    done
    [ ! -d "$DATA" ] || must_be_the_leaders
    if [ -d "$DATA" ] && ! can_follow; then
        say "cannot go on with what it has, which is kept as $DATA.before, and begins anew"
        rm -rf "$DATA.before"
        mv "$DATA" "$DATA.before"
    fi
    leader "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '$SLOT' AND wal_status = 'lost'" >/dev/null
    leader "SELECT pg_create_physical_replication_slot('$SLOT', true) WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = '$SLOT')" >/dev/null
    if [ ! -d "$DATA" ]; then
        rm -rf "$DATA.new"
        pg_basebackup --dbname "$CONNECTION" --pgdata "$DATA.new" --slot "$SLOT" --wal-method stream --checkpoint fast
        touch "$DATA.new/standby.signal"
        mv "$DATA.new" "$DATA"
        say "has copied $PRIMARY"
    fi
    write_hba
    say "follows $PRIMARY"
    exec postgres -D "$DATA" "${OPTIONS[@]}" -c "primary_conninfo=$CONNECTION" -c "primary_slot_name=$SLOT"
}

if [ ! -w "$ROOM" ]; then
    say "cannot write to $ROOM: it must belong to user $(id -u)"
    exit 1
fi
: "${PASSWORD_REPLICATION:?}" "${PASSWORD_MONITOR:?}" "${PASSWORD_READER:?}"
if [ "$NAME" = "$PRIMARY" ]; then lead; else follow; fi
