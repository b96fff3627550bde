-- One service's role and database, and the role by which the warehouse reads what the service publishes.
\getenv role ROLE
\getenv password ROLE_PASSWORD
\getenv reading READER_PASSWORD
SELECT format('CREATE ROLE %I LOGIN', name) FROM unnest(ARRAY[:'role', :'role' || '_reader']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
ALTER ROLE :"role" PASSWORD :'password';
SELECT format('ALTER ROLE %I PASSWORD %L', :'role' || '_reader', :'reading') \gexec
SELECT format('CREATE DATABASE %I OWNER %I', :'role', :'role') WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'role') \gexec
REVOKE ALL ON DATABASE :"role" FROM PUBLIC;
-- Migrations let the reader in. Where they ran before there was one, it is let in now.
\connect :role
SELECT 'SELECT admit_reader()' WHERE to_regprocedure('admit_reader()') IS NOT NULL \gexec
