-- Where a renamed file was.
ALTER TABLE change_files ADD COLUMN old_path TEXT;

-- What people say about hunks; one that is sent has become part of a prompt.
CREATE TABLE review_comments (
    id             BLOB PRIMARY KEY,
    change_set_id  BLOB NOT NULL REFERENCES change_sets (id) ON DELETE CASCADE,
    hunk_id        BLOB NOT NULL,
    text           TEXT NOT NULL,
    created_by     BLOB,
    created_at     INTEGER NOT NULL,
    sent_at        INTEGER
);
CREATE INDEX review_comments_by_set ON review_comments (change_set_id, created_at, id);
