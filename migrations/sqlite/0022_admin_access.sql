-- An administrator read a project that is not theirs: why, and until when. The name stays when the account goes.
CREATE TABLE admin_access (
    id          BLOB PRIMARY KEY,
    project_id  BLOB NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    user_id     BLOB REFERENCES users (id) ON DELETE SET NULL,
    user_name   TEXT NOT NULL,
    reason      TEXT NOT NULL,
    opened_at   INTEGER NOT NULL,
    ends_at     INTEGER NOT NULL,
    -- Closed before its time.
    closed_at   INTEGER
);
CREATE INDEX admin_access_by_project ON admin_access (project_id, opened_at);
CREATE INDEX admin_access_by_user ON admin_access (user_id, ends_at);
CREATE INDEX jobs_given_up ON jobs (created_at) WHERE state IN ('failed', 'dead');
