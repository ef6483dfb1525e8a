-- What a person chose about looks, editor and keys: one JSON document.
CREATE TABLE user_preferences (
    user_id     BLOB PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    -- What a change is based on; counts up.
    revision    INTEGER NOT NULL,
    document    TEXT NOT NULL,
    updated_at  INTEGER NOT NULL
);
