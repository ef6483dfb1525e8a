-- What a turn may cost and has cost, in micro-US-dollars, and the turn that a forked conversation's one is a copy of.
ALTER TABLE turns ADD COLUMN budget_usd_micros INTEGER;
ALTER TABLE turns ADD COLUMN cost_micros INTEGER NOT NULL DEFAULT 0;
ALTER TABLE turns ADD COLUMN cost_estimated BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE turns ADD COLUMN copied_from BLOB;

-- Where a conversation was forked from, what was asked last, and why its queue waits.
ALTER TABLE conversations ADD COLUMN parent_id BLOB;
ALTER TABLE conversations ADD COLUMN parent_seq INTEGER;
ALTER TABLE conversations ADD COLUMN last_prompt TEXT;
ALTER TABLE conversations ADD COLUMN queue_waits TEXT;

-- What people and the model said, in lower case, to be searched; and how far the turn's events had come when it was written down.
ALTER TABLE messages ADD COLUMN words TEXT;
ALTER TABLE messages ADD COLUMN turn_event INTEGER;
UPDATE messages SET words = lower(substr(json_extract(body, '$.text'), 1, 20000)) WHERE json_extract(body, '$.role') IN ('user', 'assistant');
CREATE INDEX messages_by_turn ON messages (conversation_id, turn_id, seq);

-- Prompts that wait for a turn to end. An urgent one begins however the turn ends.
CREATE TABLE queued_prompts (
    id               BLOB PRIMARY KEY,
    conversation_id  BLOB NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    user_id          BLOB NOT NULL REFERENCES users (id),
    request          TEXT NOT NULL,
    urgent           BOOLEAN NOT NULL,
    version          INTEGER NOT NULL,
    created_at       INTEGER NOT NULL
);
CREATE INDEX queued_prompts_by_conversation ON queued_prompts (conversation_id, created_at);

-- Stretches of a conversation that were taken back. Messages stay; while undone_at is null the model is not sent them.
CREATE TABLE rewinds (
    id               BLOB PRIMARY KEY,
    conversation_id  BLOB NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    turn_id          BLOB NOT NULL,
    from_seq         INTEGER NOT NULL,
    upto_seq         INTEGER NOT NULL,
    chat             BOOLEAN NOT NULL,
    files            BOOLEAN NOT NULL,
    checkpoint_id    BLOB,
    revision         INTEGER,
    created_by       BLOB NOT NULL REFERENCES users (id),
    created_at       INTEGER NOT NULL,
    undone_by        BLOB,
    undone_at        INTEGER
);
CREATE INDEX rewinds_by_conversation ON rewinds (conversation_id, created_at);
