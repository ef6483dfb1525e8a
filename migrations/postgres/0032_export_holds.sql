-- Revisions that archives with a past are being made of: what was valid at one is not thinned until the archive is done, or until the end here.
CREATE TABLE export_holds (
    id          UUID PRIMARY KEY,
    project_id  UUID NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    revision    BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL
);
CREATE INDEX export_holds_by_project ON export_holds (project_id, revision);
CREATE INDEX export_holds_by_expiry ON export_holds (expires_at);
