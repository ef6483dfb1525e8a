-- What is left of an account that was deleted is its row, without anything about the person.
ALTER TABLE users ADD COLUMN deleted_at BIGINT;

-- Links that work once: to set a password with, or to make an account with.
CREATE TABLE account_links (
    id           UUID PRIMARY KEY,
    kind         TEXT NOT NULL,
    -- SHA-256 of the secret.
    hash         TEXT NOT NULL UNIQUE,
    -- Whose password a reset sets.
    user_id      UUID REFERENCES users (id) ON DELETE CASCADE,
    -- The only address that an invitation is good for, and in the form that is unique.
    email        TEXT,
    email_key    TEXT,
    -- What an invited account becomes.
    role         TEXT,
    created_by   UUID REFERENCES users (id) ON DELETE SET NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    used_at      BIGINT
);
CREATE INDEX account_links_by_user ON account_links (user_id);
CREATE INDEX account_links_by_end ON account_links (expires_at);
