#!/bin/sh
# Dumps each database in DATABASES to BACKUPS, and deletes dumps older than KEEP_DAYS, once today's are complete. A dump appears
# under its name only when it is whole and can be read. PGHOST, PGUSER and PGPASSWORD are the superuser's.
set -eu
umask 077
export PGCONNECT_TIMEOUT=5
stamp=$(date -u +%Y%m%dT%H%M%SZ)

for database in $DATABASES; do
    file=$BACKUPS/$database-$stamp.dump
    pg_dump --format custom --dbname "$database" --file "$file.part"
    pg_restore --list "$file.part" >/dev/null
    mv "$file.part" "$file"
    echo "wrote $file: $(wc -c <"$file") bytes"
done
find "$BACKUPS" -name '*.dump.part' -mmin +1440 -delete
find "$BACKUPS" -name '*.dump' -mtime "+$KEEP_DAYS" -delete
