-- Blobs that nothing names any more, on their way out: doomed, then removing, then removed. See `store::blobs`.
CREATE TABLE blob_sweep (
    backend  TEXT NOT NULL,
    sha256   TEXT NOT NULL,
    state    TEXT NOT NULL,
    at       BIGINT NOT NULL,
    PRIMARY KEY (backend, sha256)
);
CREATE INDEX blob_sweep_by_state ON blob_sweep (backend, state, at);

-- Where a project's bytes are being copied to, and by which job, while it moves; when it last moved.
ALTER TABLE projects ADD COLUMN moving_to TEXT;
ALTER TABLE projects ADD COLUMN moving_job UUID;
ALTER TABLE projects ADD COLUMN moved_at BIGINT;

CREATE INDEX change_files_by_old_checksum ON change_files (old_checksum) WHERE old_checksum IS NOT NULL;
CREATE INDEX change_files_by_new_checksum ON change_files (new_checksum) WHERE new_checksum IS NOT NULL;
