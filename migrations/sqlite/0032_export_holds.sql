-- Revisions that archives with a past are being made of: what was valid at one is not thinned until the archive is done, or until the end here.
CREATE TABLE export_holds (
    id          BLOB PRIMARY KEY,
    project_id  BLOB NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    revision    INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL
);
CREATE INDEX export_holds_by_project ON export_holds (project_id, revision);
CREATE INDEX export_holds_by_expiry ON export_holds (expires_at);
