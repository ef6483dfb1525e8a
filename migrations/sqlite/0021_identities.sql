-- Who an account is at providers of identities.
CREATE TABLE identities (
    id            BLOB PRIMARY KEY,
    user_id       BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    provider      TEXT NOT NULL,
    -- With the subject, what the provider knows the person by, for good; the rest is for people.
    issuer        TEXT NOT NULL,
    subject       TEXT NOT NULL,
    name          TEXT NOT NULL,
    email         TEXT,
    created_at    INTEGER NOT NULL,
    last_used_at  INTEGER,
    UNIQUE (issuer, subject)
);
CREATE INDEX identities_by_user ON identities (user_id);

-- Sign-ins at providers that have begun; each is taken up once. What is secret about one is in the browser's cookie alone.
CREATE TABLE identity_flows (
    state_hash    TEXT PRIMARY KEY,
    browser_hash  TEXT NOT NULL,
    provider      TEXT NOT NULL,
    redirect_uri  TEXT NOT NULL,
    next          TEXT NOT NULL,
    -- The session to whose account the identity is linked; null for signing in.
    session_id    BLOB REFERENCES sessions (id) ON DELETE CASCADE,
    expires_at    INTEGER NOT NULL
);
CREATE INDEX identity_flows_by_end ON identity_flows (expires_at);
