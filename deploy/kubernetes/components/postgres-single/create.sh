#!/bin/sh
# Makes a service's role and database where they are missing, and gives the role the password of its secret. Harmless to repeat.
# PGHOST, PGUSER and PGPASSWORD are the superuser's; DATABASE is the service's database, DATABASE_USER and DATABASE_PASSWORD
# its role.
set -eu
export PGDATABASE="${PGDATABASE:-postgres}" PGCONNECT_TIMEOUT=5

# psql itself puts the values in (:'name', :"name"), so that no password can be taken for SQL.
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 \
    --set role="$DATABASE_USER" --set password="$DATABASE_PASSWORD" --set database="$DATABASE" <<'SQL'
SELECT format('CREATE ROLE %I LOGIN', :'role')
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \gexec
ALTER ROLE :"role" WITH LOGIN PASSWORD :'password';
SELECT format('CREATE DATABASE %I OWNER %I', :'database', :'role')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec
REVOKE CONNECT ON DATABASE :"database" FROM PUBLIC;
SQL
