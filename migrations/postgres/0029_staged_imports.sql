-- Imports whose files arrive batch by batch. Each stands beside a project that nobody sees yet; once all files are there a job fills it, and
-- what nobody goes on with is given up.
CREATE TABLE staged_imports (
    project_id  UUID PRIMARY KEY REFERENCES projects (id) ON DELETE CASCADE,
    user_id     UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- What has arrived: files, their bytes, and the bytes of all names.
    file_count  BIGINT NOT NULL,
    size_bytes  BIGINT NOT NULL,
    name_bytes  BIGINT NOT NULL,
    -- The job that fills the project; null while files may still come.
    job_id      UUID,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL
);
CREATE INDEX staged_imports_by_user ON staged_imports (user_id);
CREATE INDEX staged_imports_by_expiry ON staged_imports (expires_at);

-- The files that have arrived and the directories above them, by the spelling that decides whether two names are one.
CREATE TABLE staged_files (
    project_id  UUID NOT NULL REFERENCES staged_imports (project_id) ON DELETE CASCADE,
    folded      TEXT COLLATE "C" NOT NULL,
    path        TEXT COLLATE "C" NOT NULL,
    -- SHA-256 of the bytes; null for a directory.
    checksum    TEXT,
    size        BIGINT NOT NULL,
    mode        BIGINT NOT NULL,
    PRIMARY KEY (project_id, folded)
);
CREATE INDEX staged_files_by_checksum ON staged_files (checksum) WHERE checksum IS NOT NULL;
