-- Keys for programs.
CREATE TABLE api_tokens (
    id              UUID PRIMARY KEY,
    user_id         UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name            TEXT NOT NULL,
    -- SHA-256 of the secret.
    hash            TEXT NOT NULL UNIQUE,
    prefix          TEXT NOT NULL,
    -- Words of scopes as a JSON list.
    scopes          TEXT NOT NULL,
    -- Ids as a JSON list; null for every project of its owner.
    projects        TEXT,
    created_at      BIGINT NOT NULL,
    expires_at      BIGINT,
    revoked_at      BIGINT,
    last_used_at    BIGINT,
    last_used_from  TEXT
);
CREATE INDEX api_tokens_by_user ON api_tokens (user_id, created_at);
