#!/bin/sh
# What `make compose-up` and `make compose-down` do: with docker compose, else (or with ENGINE=podman) with podman-compose.
#
#   run.sh up      makes what is missing (secrets, image), starts everything and waits until it answers.
#                  DEMO=yes: first the demo neighbourhood, on empty databases. LOOK=yes: Grafana and Prometheus on loopback
#   run.sh down    stops it; data stay. VOLUMES=yes: removes them too
set -eu
cd "$(dirname "$0")/../.."
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
files="-f deploy/compose.yaml"
[ "${LOOK:-}" != yes ] || files="$files -f deploy/compose/look.yaml"

say() { printf '%s\n' "$*" >&2; }

if [ "${ENGINE:-docker}" = docker ] && docker compose version >/dev/null 2>&1; then
    engine=docker compose="docker compose"
elif command -v podman >/dev/null && compose=$(command -v podman-compose || command -v .venv/bin/podman-compose); then
    engine=podman
else
    say "This needs docker with its compose plugin, or podman and podman-compose (Debian, Ubuntu: apt install podman; pip install podman-compose)."
    exit 1
fi

# shellcheck disable=SC2086 # words that are meant to be split
compose() { $compose $files "$@"; }

# The setting of .env, or its default.
setting() {
    value=$(sed -n "s/^$1=//p" deploy/.env | tail -n 1)
    printf '%s' "${value:-$2}"
}

up() {
    deploy/compose/secrets.sh
    $engine image inspect "commonry:$version" >/dev/null 2>&1 || ENGINE=$engine deploy/compose/build.sh
    if [ "${DEMO:-}" = yes ]; then
        compose up -d postgres-1
        compose --profile demo run --rm -T neighbourhood
    fi
    compose up -d
    published=$(setting PUBLISH 127.0.0.1:8000)
    url="http://$(printf '%s' "$published" | sed 's/^0\.0\.0\.0:/127.0.0.1:/; s/^\([0-9]*\)$/127.0.0.1:\1/')"
    say "Waiting for $url …"
    if ! "${PYTHON:-python3}" deploy/compose/wait.py "$url"; then
        say "Not everything answers yet: see '$compose $files ps' and '… logs'."
        exit 1
    fi
    say "" "Commonry is ready: $url"
    [ "${LOOK:-}" != yes ] || say "Grafana: http://127.0.0.1:$(setting GRAFANA_PORT 3000), as admin, with PASSWORD_GRAFANA of deploy/.env"
}

down() {
    deploy/compose/secrets.sh # compose asks for them, to stop things too
    if [ "${VOLUMES:-}" = yes ]; then compose down --volumes; else compose down; fi
}

case ${1:-} in
up | down) "$1" ;;
*)
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
