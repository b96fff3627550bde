#!/bin/sh
# Makes what is missing of deploy/.env: secrets nobody can guess, readable by its owner only. What is there is never changed,
# because databases that exist know it.
set -eu
file=${1:-$(dirname "$0")/../.env}
umask 077
touch "$file"
chmod 600 "$file"
[ -s "$file" ] || echo "# Secrets and choices of compose.yaml, made by make compose-up. Keep them, and keep them to yourself." >>"$file"
for name in COMMONRY_SERVICE_TOKEN REDIS_PASSWORD PASSWORD_USERS PASSWORD_INVENTORY PASSWORD_BOOKINGS PASSWORD_PAYMENTS \
    PASSWORD_READER PASSWORD_REPLICATION PASSWORD_MONITOR PASSWORD_GRAFANA; do
    grep -q "^$name=." "$file" || echo "$name=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')" >>"$file"
done
