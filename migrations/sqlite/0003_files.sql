-- What a version came from, and the spelling by which names that differ only in case or composition are found.
ALTER TABLE file_versions ADD COLUMN moved_from TEXT;
-- The turn or the run that made it, as far as `origin` is one.
ALTER TABLE file_versions ADD COLUMN cause BLOB;
-- The path in lower case and composed; rows older than this column have only their ASCII letters lowered.
ALTER TABLE file_versions ADD COLUMN folded TEXT NOT NULL DEFAULT '';
-- Of a deletion: the file or directory that was deleted in this step. Null where a move took the path away.
ALTER TABLE file_versions ADD COLUMN deleted_as TEXT;
UPDATE file_versions SET folded = lower(path);
UPDATE file_versions SET deleted_as = path WHERE action = 'deleted';
CREATE INDEX file_versions_by_folded ON file_versions (project_id, folded) WHERE superseded IS NULL AND action <> 'deleted';
CREATE INDEX file_versions_in_trash ON file_versions (project_id, revision) WHERE superseded IS NULL AND deleted_as IS NOT NULL;

-- Files on their way in, in pieces. Every piece is a blob, so that any process may take the next one.
CREATE TABLE uploads (
    id             BLOB PRIMARY KEY,
    project_id     BLOB NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    user_id        BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    path           TEXT NOT NULL,
    size           INTEGER NOT NULL,
    received       INTEGER NOT NULL,
    -- What the file is based on, as JSON.
    base           TEXT NOT NULL,
    created_at     INTEGER NOT NULL,
    expires_at     INTEGER NOT NULL
);
CREATE INDEX uploads_by_project ON uploads (project_id);
CREATE INDEX uploads_by_user ON uploads (user_id);
CREATE INDEX uploads_by_expiry ON uploads (expires_at);

CREATE TABLE upload_pieces (
    upload_id      BLOB NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
    start          INTEGER NOT NULL,
    size           INTEGER NOT NULL,
    checksum       TEXT NOT NULL,
    PRIMARY KEY (upload_id, start)
);
CREATE INDEX upload_pieces_by_checksum ON upload_pieces (checksum);
