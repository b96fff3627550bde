"""Members, their sessions, and the memory of failed logins.

A session's token is kept as its SHA-256 in hex. `changed_at` says when what a cache may hold of a session last became
wrong (it ended, or its member's roles changed); jobs tell caches again for a while after that.
"""

from alembic import op

from commonry.kit.migrate import baseline

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create everything."""
    op.execute(baseline(1))
    op.execute("""
        CREATE TABLE members (
            id uuid PRIMARY KEY,
            email text,
            display_name text NOT NULL,
            about text NOT NULL DEFAULT '',
            password_hash text,
            password_set_at timestamptz NOT NULL DEFAULT app_now(),
            roles text[] NOT NULL DEFAULT '{member}',
            status text NOT NULL DEFAULT 'active',
            created_at timestamptz NOT NULL DEFAULT app_now(),
            updated_at timestamptz NOT NULL DEFAULT app_now(),
            erased_at timestamptz,
            CONSTRAINT status_is_known CHECK (status IN ('active', 'suspended', 'erased')),
            CONSTRAINT roles_are_known CHECK (roles <@ ARRAY['member', 'manager'] AND 'member' = ANY (roles)),
            CONSTRAINT the_erased_are_anonymous CHECK (
                CASE WHEN status = 'erased'
                    THEN email IS NULL AND password_hash IS NULL AND about = '' AND erased_at IS NOT NULL
                    ELSE email IS NOT NULL AND password_hash IS NOT NULL AND erased_at IS NULL END)
        )""")
    op.execute("CREATE UNIQUE INDEX one_member_per_email ON members (lower(email))")
    op.execute("CREATE INDEX members_who_manage ON members (id) WHERE status = 'active' AND 'manager' = ANY (roles)")
    op.execute("""
        CREATE TABLE sessions (
            token_hash text PRIMARY KEY,
            member_id uuid NOT NULL REFERENCES members (id),
            created_at timestamptz NOT NULL DEFAULT app_now(),
            expires_at timestamptz NOT NULL,
            ended boolean NOT NULL DEFAULT false,
            changed_at timestamptz
        )""")
    op.execute("CREATE INDEX sessions_by_member ON sessions (member_id)")
    op.execute("CREATE INDEX sessions_by_expiry ON sessions (expires_at)")
    op.execute("CREATE INDEX sessions_changed ON sessions (changed_at) WHERE changed_at IS NOT NULL")
    op.execute("""
        CREATE TABLE login_failures (
            kind text NOT NULL CHECK (kind IN ('account', 'address')),
            subject text NOT NULL,
            failures integer NOT NULL,
            last_at timestamptz NOT NULL,
            blocked_until timestamptz NOT NULL,
            PRIMARY KEY (kind, subject)
        )""")
    op.execute("CREATE INDEX login_failures_by_age ON login_failures (last_at)")


def downgrade() -> None:
    """Drop everything of this service's own."""
    op.execute("DROP TABLE login_failures, sessions, members")
