#!/bin/sh
# One node of a Redis Cluster that forms and mends itself. Every node runs this script and looks after its own place only;
# there is no coordinator. A node is known by its name, which stays; its address and what it keeps may go at any time.
#
#   node.sh          runs the server until the end; on SIGTERM a master first hands its slots to a replica
#   node.sh alive    whether the server answers (liveness)
#   node.sh ready    whether it takes part: has slots, or follows a master that has, and the cluster is well (readiness)
#   node.sh leave    hands its slots to a replica (what SIGTERM does too)
#
# REDIS_NODES     names of all nodes, the same list everywhere: "redis-1 redis-2 …", or with ports, "redis-1:6379 …"
# REDIS_NAME      which of them this one is
# REDIS_ADDRESS   its IP address (else: what its own host name means)
# REDIS_PASSWORD  the same everywhere
# and, with a default: REDIS_MASTERS (3), REDIS_MEMORY (64mb), REDIS_DATA (/data), REDIS_TIMEOUT (2000 ms without an answer
# are a failure), REDIS_PATIENCE (15 s that a first start waits for all; then a majority will do)
set -u

NODES=${REDIS_NODES:?is needed: the names of all nodes}
NAME=${REDIS_NAME:?is needed: which of REDIS_NODES this one is}
MASTERS=${REDIS_MASTERS:-3}
TIMEOUT=${REDIS_TIMEOUT:-2000}
ADDRESS=${REDIS_ADDRESS:-$(hostname -i | cut -d' ' -f1)}
PATIENCE=${REDIS_PATIENCE:-15}
export REDISCLI_AUTH="${REDIS_PASSWORD:-}"

say() { printf '%s %s: %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$NAME" "$*"; }

port_of() { case $1 in *:*) echo "${1##*:}" ;; *) echo 6379 ;; esac; }

address_of() { getent ahostsv4 "${1%%:*}" | awk 'NR == 1 {print $1}'; }

# ask ADDRESS PORT COMMAND…: fails when the node does not answer in time, or refuses.
ask() {
    host=$1 port=$2
    shift 2
    timeout 2 redis-cli -e -h "$host" -p "$port" "$@" 2>/dev/null
}

PORT=$(port_of "$NAME")

here() { ask "$ADDRESS" "$PORT" "$@"; }

HOSTS=$(for node in $NODES; do printf '%s ' "${node%%:*}"; done)
ALL=$(echo "$HOSTS" | wc -w)

# What follows reads lines of CLUSTER NODES: id, ip:port@bus,hostname, flags, master's id, …, link (8), slots (9 on).
# shellcheck disable=SC2016 # awk's own
LINES='
function host(endpoint, parts) { split(endpoint, parts, ","); return parts[2] }
function address(endpoint, parts) { split(endpoint, parts, ","); return parts[1] }
function fails(flags) { return flags ~ /fail|noaddr|handshake/ && flags !~ /fail\?/ }
function slots_of(first, i, n, span) {
    for (i = first; i <= NF; i++) if ($i ~ /^[0-9]/) { span[2] = ""; split($i, span, "-"); n += (span[2] == "" ? span[1] : span[2]) - span[1] + 1 }
    return n + 0
}'

# Whether nothing is to be done: everybody is here under the right name, all slots are served, no master is without a
# replica that it could have, and I have my place.
is_well() {
    ! here info replication | grep -q '^master_link_status:down' && echo "$1" | awk -v names="$HOSTS" "$LINES"'
        BEGIN { n = split(names, list, " "); for (i in list) expected[list[i]] = 1 }
        { slots = slots_of(9); total += slots; if (slots) { serves[$1] = 1; masters++ } }
        $3 ~ /slave/ { followers[$4]++; slaves++ }
        fails($3) || (($3 !~ /myself/) && $8 != "connected") || !(host($2) in expected) || seen[host($2)]++ { bad = 1 }
        $3 ~ /myself/ { me = $1; master = $4; is_slave = ($3 ~ /slave/) }
        END { for (id in serves) if (slaves >= masters && !followers[id]) bad = 1
              exit !(!bad && NR == n && total == 16384 && (is_slave ? serves[master] : serves[me])) }'
}

# Asks everybody what they see. PRESENT: "host id ip:port@bus role slots master" of those who answer, me included, in the order
# of REDIS_NODES. VIEWS: all that they see. A name that still leads to somebody else counts as silent.
look() {
    PRESENT='' VIEWS=''
    for node in $NODES; do
        if [ "$node" = "$NAME" ]; then
            view=$MINE
        else
            address=$(address_of "$node")
            [ -n "$address" ] || continue
            view=$(ask "$address" "$(port_of "$node")" cluster nodes) || continue
        fi
        line=$(echo "$view" | awk -v name="${node%%:*}" "$LINES"'
            $3 ~ /myself/ && host($2) == name { print name, $1, address($2), ($3 ~ /slave/ ? "slave" : "master"), slots_of(9), $4 }')
        [ -n "$line" ] || continue
        PRESENT="$PRESENT$line
"
        VIEWS="$VIEWS$view
"
    done
    REACHED=$(printf %s "$PRESENT" | wc -l)
}

# Whom I do not know, or know at another address, I meet. It also merges what was formed apart.
meet() {
    printf %s "$PRESENT" | while read -r host id place _; do
        if ! echo "$MINE" | awk -v id="$id" -v place="$place" "$LINES"'$1 == id && address($2) == place && !fails($3) { f = 1 } END { exit !f }'; then
            bus=${place##*@} place=${place%%@*}
            say "meets $host at $place"
            here cluster meet "${place%%:*}" "${place##*:}" "$bus" >/dev/null
        fi
    done
}

# Ids whose name answers under another id by now, or that are nobody's where everybody has answered: they have lost all they
# had, and never come back. Prints "id slots followers": how many slots I still believe to be theirs, and who of their
# replicas lives.
gone() {
    { printf %s "$PRESENT"; echo "--"; echo "$MINE"; } | awk -v everybody="$((REACHED == ALL))" "$LINES"'
        $1 == "--" { listed = 1; next }
        !listed { now[$1] = $2; alive[$2] = NR; next }
        $3 !~ /handshake/ { theirs[$1] = host($2); slots[$1] = slots_of(9); if ($3 ~ /slave/ && ($1 in alive)) followers[$4] = followers[$4] "," alive[$1] ":" $1 }
        END { for (id in theirs) if (!(id in alive) && (everybody || (theirs[id] in now))) print id, slots[id], (followers[id] == "" ? "-" : substr(followers[id], 2)) }'
}

# Forgets who is gone. What they served goes to one of their replicas, which must ask for it, as nobody will ever see them
# fail; if there is none, it is nobody's.
bury() {
    heir=
    for line in $(gone | tr ' ' '/'); do
        id=${line%%/*} followers=${line##*/} slots=${line#*/}
        slots=${slots%%/*}
        if [ "$slots" = 0 ] || [ "$followers" = - ]; then
            say "forgets $id, whose name is another's now"
            here cluster forget "$id" >/dev/null
        elif [ "$(echo "$followers" | tr ',' '\n' | sort -n | head -n 1 | cut -d: -f2)" = "$ME" ]; then
            heir=yes
        fi
    done
    if [ -z "$heir" ]; then
        INHERITS=0
        return
    fi
    INHERITS=$((INHERITS + 1))
    # By vote first; without a majority to ask, by right.
    if [ "$INHERITS" -gt 4 ]; then how=takeover; else how=force; fi
    say "takes over from its master ($how)"
    here cluster failover "$how" >/dev/null
}

# The slots that nobody has and that are mine to take, as "first last first last …". Each of REDIS_MASTERS equal spans goes
# to the node of its number if that serves nothing yet, else to the first that serves nothing, else to the first master.
mine_to_take() {
    { printf %s "$PRESENT"; echo "--"; printf %s "$VIEWS"; } | awk -v me="$ME" -v masters="$MASTERS" -v names="$HOSTS" "$LINES"'
        BEGIN { n = split(names, list, " ") }
        $1 == "--" { listed = 1; next }
        !listed { if ($4 == "master") { id[$1] = $2; is_empty[$1] = ($5 == 0) } next }
        { for (i = 9; i <= NF; i++) if ($i ~ /^[0-9]/) { span[2] = ""; split($i, span, "-"); for (s = span[1] + 0; s <= (span[2] == "" ? span[1] : span[2]) + 0; s++) owned[s] = 1 } }
        END {
            for (k = 0; k < masters; k++) {
                first = int(16384 * k / masters); last = int(16384 * (k + 1) / masters) - 1
                who = ""
                if ((list[k + 1] in id) && is_empty[list[k + 1]]) who = list[k + 1]
                for (i = n; who == "" && i >= 1; i--) if ((list[i] in id) && is_empty[list[i]] && !(list[i] in busy)) who = list[i]
                for (i = 1; who == "" && i <= n; i++) if (list[i] in id) who = list[i]
                start = -1; some = 0
                for (s = first; s <= last + 1; s++) {
                    if (s <= last && !(s in owned)) { some = 1; if (start < 0) start = s }
                    else if (start >= 0) { if (id[who] == me) printf "%d %d ", start, s - 1; start = -1 }
                }
                if (some) { busy[who] = 1; is_empty[who] = 0 }
            }
        }'
}

# The master I am to follow, if it is another than I follow. Those who follow nobody are given out in the order of
# REDIS_NODES, each to the master with the fewest followers; so all who look at the same moment choose differently. And of
# two who follow one master, while another has nobody, the last moves.
to_follow() {
    printf %s "$PRESENT" | awk -v me="$ME" '
        $4 == "master" && $5 > 0 { masters[++m] = $2; total += $5 }
        $4 == "master" && $5 == 0 { free[++f] = $2 }
        $4 == "slave" { follows[$2] = $6; followers[$6]++; last[$6] = $2 }
        function neediest(i, found) {
            for (i = 1; i <= m; i++) if (found == "" || followers[masters[i]] + 0 < followers[found] + 0) found = masters[i]
            return found
        }
        END {
            if (total != 16384) exit
            for (i = 1; i <= f; i++) { whom = neediest(); followers[whom]++; if (free[i] == me) { print whom; exit } }
            mine = follows[me]; whom = neediest()
            serves = 0
            for (i = 1; i <= m; i++) if (masters[i] == mine) serves = 1
            if (mine != "" && (!serves || (followers[mine] > 1 && followers[whom] + 0 == 0 && last[mine] == me))) print whom
        }'
}

# Take what nobody has and is mine to take, or follow somebody who needs a follower.
find_place() {
    take=$(mine_to_take)
    if [ -n "$take" ]; then
        say "takes slots $take"
        # shellcheck disable=SC2086 # the numbers are meant to be split
        here cluster addslotsrange $take >/dev/null
    elif whom=$(to_follow) && [ -n "$whom" ]; then
        say "follows $whom"
        here cluster replicate "$whom" >/dev/null
    fi
}

# yes: I have slots, or follow a master that has some. no: neither.
serves() {
    echo "$MINE" | awk "$LINES"'
        slots_of(9) { has[$1] = 1 }
        $3 ~ /myself/ { whom = ($3 ~ /slave/ ? $4 : $1) }
        END { print (has[whom] ? "yes" : "no") }'
}

mend() {
    look
    # Fewer than a majority of the names are no cluster, whatever they think.
    if [ $((REACHED * 2)) -le "$ALL" ]; then
        [ -n "$WAITING" ] || say "waits for a majority: $REACHED of $ALL are there"
        WAITING=yes
        return
    fi
    WAITING=
    meet
    bury
    MINE=$(here cluster nodes) || return
    if [ "$REACHED" -lt "$ALL" ] && [ "$ROUND" -lt "$PATIENCE" ] && ! printf %s "$PRESENT" | awk '$5 > 0 { f = 1 } END { exit !f }'; then
        return
    fi
    find_place
}

tend() {
    ROUND=0 INHERITS=0 WAITING=
    pause=1
    while sleep "$pause" && kill -0 "$server" 2>/dev/null; do
        ROUND=$((ROUND + 1))
        MINE=$(here cluster nodes) || continue
        ME=$(echo "$MINE" | awk '$3 ~ /myself/ { print $1 }')
        pause=2
        is_well "$MINE" || { pause=1 && mend; }
    done
}

leave() {
    replica=$(here cluster nodes | awk "$LINES"'
        $3 ~ /myself/ && slots_of(9) { me = $1 }
        { followers[$4] = ($3 ~ /slave/ && !fails($3) && $8 == "connected" ? address($2) : followers[$4]) }
        END { if (me != "") print followers[me] }')
    [ -n "$replica" ] || return 0
    replica=${replica%%@*}
    say "hands its slots to $replica"
    ask "${replica%%:*}" "${replica##*:}" cluster failover >/dev/null || return 0
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        here role | head -n 1 | grep -q slave && return 0
        sleep 0.5
    done
}

alive() { [ "$(here ping)" = PONG ]; }

ready() {
    here cluster info | grep -q '^cluster_state:ok' && MINE=$(here cluster nodes) && [ "$(serves)" = yes ] &&
        ! here info replication | grep -q '^master_link_status:down'
}

run() {
    cd "${REDIS_DATA:-/data}" || exit 1
    redis-server - <<END &
bind $ADDRESS
port $PORT
cluster-enabled yes
cluster-port ${REDIS_BUS_PORT:-$((PORT + 10000))}
cluster-announce-ip $ADDRESS
cluster-announce-hostname ${NAME%%:*}
cluster-node-timeout $TIMEOUT
cluster-replica-validity-factor 0
cluster-require-full-coverage no
repl-diskless-sync yes
repl-diskless-sync-delay 0
repl-diskless-load on-empty-db
save ""
appendonly no
maxmemory ${REDIS_MEMORY:-64mb}
maxmemory-policy allkeys-lru
${REDIS_PASSWORD:+requirepass $REDIS_PASSWORD}
${REDIS_PASSWORD:+masterauth $REDIS_PASSWORD}
END
    server=$!
    tend &
    tending=$!
    trap 'kill $tending; leave; kill $server; wait $server; exit 0' TERM INT
    wait $server
    ended=$?
    kill $tending
    exit $ended
}

case ${1:-run} in
run | alive | ready | leave) "${1:-run}" ;;
*)
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
