-- What the warehouse may read of users: how many, since when, in which state. Nothing that names a person.

CREATE SCHEMA IF NOT EXISTS published;

CREATE OR REPLACE VIEW published.members AS
SELECT id, status, 'manager' = ANY (roles) AS manages, created_at, updated_at, erased_at
FROM members;
