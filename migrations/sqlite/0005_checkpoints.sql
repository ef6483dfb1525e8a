-- A kept revision of a project. The tree at it is a query over `file_versions`, so a checkpoint costs one row whatever it holds.
CREATE TABLE checkpoints (
    id          BLOB PRIMARY KEY,
    project_id  BLOB NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    revision    INTEGER NOT NULL,
    kind        TEXT NOT NULL,
    -- What has a name is kept until somebody deletes it.
    name        TEXT,
    turn_id     BLOB,
    file_count  INTEGER NOT NULL,
    size_bytes  INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    created_by  BLOB
);
-- Whether a version is needed is asked by revision, the list by age.
CREATE INDEX checkpoints_by_revision ON checkpoints (project_id, revision);
CREATE INDEX checkpoints_by_age ON checkpoints (project_id, created_at);
