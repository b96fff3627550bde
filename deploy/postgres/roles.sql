-- Those who are nobody's service: who copies, and who watches. Passwords come from the environment, never from the command line.
\getenv replication PASSWORD_REPLICATION
\getenv monitor PASSWORD_MONITOR
SELECT 'CREATE ROLE replicator LOGIN REPLICATION' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'replicator') \gexec
SELECT 'CREATE ROLE monitor LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'monitor') \gexec
ALTER ROLE replicator PASSWORD :'replication';
ALTER ROLE monitor PASSWORD :'monitor';
GRANT pg_monitor TO monitor, replicator;
