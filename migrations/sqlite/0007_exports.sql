-- Archives of projects, made by a job and kept for a day. `checksum` is null until the job has made it.
CREATE TABLE exports (
    id          BLOB PRIMARY KEY,
    project_id  BLOB NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    user_id     BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    job_id      BLOB NOT NULL,
    history     BOOLEAN NOT NULL,
    filename    TEXT NOT NULL,
    checksum    TEXT,
    size        INTEGER,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL
);
CREATE INDEX exports_by_project ON exports (project_id, created_at);
CREATE INDEX exports_by_age ON exports (expires_at);

-- The archive that a project is being filled from: it must stay until the job is done with it.
CREATE TABLE imports (
    project_id  BLOB PRIMARY KEY REFERENCES projects (id) ON DELETE CASCADE,
    checksum    TEXT NOT NULL
);

-- Who made something on another server, where no account here has that name.
ALTER TABLE file_versions ADD COLUMN author TEXT;
ALTER TABLE runs ADD COLUMN author TEXT;
ALTER TABLE change_hunks ADD COLUMN author TEXT;
ALTER TABLE checkpoints ADD COLUMN author TEXT;
