-- A kept revision of a project. The tree at it is a query over `file_versions`, so a checkpoint costs one row whatever it holds.
CREATE TABLE checkpoints (
    id          UUID PRIMARY KEY,
    project_id  UUID NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    revision    BIGINT NOT NULL,
    kind        TEXT NOT NULL,
    -- What has a name is kept until somebody deletes it.
    name        TEXT,
    turn_id     UUID,
    file_count  BIGINT NOT NULL,
    size_bytes  BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    created_by  UUID
);
-- Whether a version is needed is asked by revision, the list by age.
CREATE INDEX checkpoints_by_revision ON checkpoints (project_id, revision);
CREATE INDEX checkpoints_by_age ON checkpoints (project_id, created_at);
