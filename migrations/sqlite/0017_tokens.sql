-- Keys for programs.
CREATE TABLE api_tokens (
    id              BLOB PRIMARY KEY,
    user_id         BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name            TEXT NOT NULL,
    -- SHA-256 of the secret.
    hash            TEXT NOT NULL UNIQUE,
    prefix          TEXT NOT NULL,
    -- Words of scopes as a JSON list.
    scopes          TEXT NOT NULL,
    -- Ids as a JSON list; null for every project of its owner.
    projects        TEXT,
    created_at      INTEGER NOT NULL,
    expires_at      INTEGER,
    revoked_at      INTEGER,
    last_used_at    INTEGER,
    last_used_from  TEXT
);
CREATE INDEX api_tokens_by_user ON api_tokens (user_id, created_at);
