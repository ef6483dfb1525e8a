-- Codes of an authenticator app, and what goes in their place when it is lost.
CREATE TABLE totp (
    user_id        BLOB PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    secret_sealed  BLOB NOT NULL,
    -- Null until the first code was confirmed; it is not asked for before.
    confirmed_at   INTEGER,
    -- The last step of 30 seconds whose code was used; each is used once.
    last_step      INTEGER NOT NULL DEFAULT 0,
    created_at     INTEGER NOT NULL
);

CREATE TABLE recovery_codes (
    user_id     BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- SHA-256, of the user's id and the code.
    hash        TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    used_at     INTEGER,
    PRIMARY KEY (user_id, hash)
);

-- Wrong codes in a row, for growing delays.
CREATE TABLE second_factor_tries (
    user_id   BLOB PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    failures  INTEGER NOT NULL,
    last_at   INTEGER NOT NULL
);

CREATE TABLE passkeys (
    id             BLOB PRIMARY KEY,
    user_id        BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name           TEXT NOT NULL,
    -- As the device names it, in base64url.
    credential_id  TEXT NOT NULL UNIQUE,
    -- The public key with its counter, as JSON.
    credential     TEXT NOT NULL,
    created_at     INTEGER NOT NULL,
    last_used_at   INTEGER
);
CREATE INDEX passkeys_by_user ON passkeys (user_id, created_at);

-- What was begun and has to come back within minutes, once.
CREATE TABLE challenges (
    -- SHA-256 of what the browser holds.
    hash        TEXT PRIMARY KEY,
    purpose     TEXT NOT NULL,
    -- Null where nobody is known yet.
    user_id     BLOB REFERENCES users (id) ON DELETE CASCADE,
    state       TEXT NOT NULL,
    expires_at  INTEGER NOT NULL
);
CREATE INDEX challenges_by_end ON challenges (expires_at);
