-- What a person chose to send with a turn and to leave out of it, as JSON.
CREATE TABLE turn_context (
    turn_id  UUID PRIMARY KEY REFERENCES turns (id) ON DELETE CASCADE,
    choice   TEXT NOT NULL
);

-- Pictures for messages. What no message ever used goes after a while.
CREATE TABLE chat_images (
    project_id  UUID NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    checksum    TEXT NOT NULL,
    media_type  TEXT NOT NULL,
    size_bytes  BIGINT NOT NULL,
    user_id     UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at  BIGINT NOT NULL,
    used_at     BIGINT,
    PRIMARY KEY (project_id, checksum)
);
CREATE INDEX chat_images_unused ON chat_images (created_at) WHERE used_at IS NULL;

-- Summaries that were taken back: the message `seq` of the conversation holds the summary.
CREATE TABLE compactions_undone (
    conversation_id  UUID NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    seq              BIGINT NOT NULL,
    undone_at        BIGINT NOT NULL,
    undone_by        UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    PRIMARY KEY (conversation_id, seq)
);

-- How many tokens providers count for how many we estimate. Old calls weigh less and less.
CREATE TABLE token_ratios (
    model       TEXT PRIMARY KEY,
    estimated   BIGINT NOT NULL,
    measured    BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);
