-- What a person chose about looks, editor and keys: one JSON document.
CREATE TABLE user_preferences (
    user_id     UUID PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    -- What a change is based on; counts up.
    revision    BIGINT NOT NULL,
    document    TEXT NOT NULL,
    updated_at  BIGINT NOT NULL
);
