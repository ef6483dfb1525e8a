-- What was asked for once with a key of the caller's choosing, so that asking again does nothing twice.
CREATE TABLE idempotency_keys (
    user_id     UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    key         TEXT NOT NULL,
    -- The method and the pattern of the path.
    route       TEXT NOT NULL,
    -- Tells this attempt from one that took the key over.
    attempt     UUID NOT NULL,
    -- A keyed hash of what was asked for; NULL until a body that is streamed has been read.
    fingerprint TEXT,
    -- NULL while the first attempt goes on.
    status      BIGINT,
    -- Headers and body, sealed; NULL where the answer was too long to keep.
    answer      BYTEA,
    -- While it goes on: until when it is waited for. Afterwards: until when the answer is kept.
    until       BIGINT NOT NULL,
    PRIMARY KEY (user_id, key, route)
);
CREATE INDEX idempotency_keys_until ON idempotency_keys (until);
