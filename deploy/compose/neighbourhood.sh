#!/bin/sh
# Loads the demo neighbourhood into empty databases: everything in this one process, with a clock that can be moved, so the
# services must not run yet. Ends when it is done.
set -eu
umask 077
for service in users inventory bookings payments; do
    password=$(eval "echo \"\$PASSWORD_$(echo "$service" | tr '[:lower:]' '[:upper:]')\"")
    echo "*:*:$service:$service:$password"
done >/tmp/passwords
export PGPASSFILE=/tmp/passwords
export COMMONRY_DATABASE_URL="postgresql://{service}@$PRIMARY/{service}"

until python3 -c "import psycopg; psycopg.connect('postgresql://payments@$PRIMARY/payments', connect_timeout=3)" 2>/dev/null; do
    echo "Waiting for the databases …"
    sleep 1
done

mkdir -p /tmp/data
: >/tmp/told
commonry up --host 127.0.0.1 --port 8099 --data /tmp/data >/tmp/told &
platform=$!
tail -n +1 -f /tmp/told &
telling=$!
until grep -q "Commonry is ready" /tmp/told; do
    kill -0 $platform 2>/dev/null || { echo "The neighbourhood could not be loaded."; exit 1; }
    sleep 0.2
done
kill $platform
wait $platform || true
kill $telling
[ -e /tmp/data/demo ] || echo "The databases are not empty: nothing was loaded."
