-- Deletions are not remembered for ever. A path that nothing is known of any more begins above the highest version that was forgotten, so
-- that no version of it means two things.
ALTER TABLE projects ADD COLUMN version_floor BIGINT NOT NULL DEFAULT 0;
-- The newest revision of what was forgotten: who knows only what was before it can't be told all that was deleted since.
ALTER TABLE projects ADD COLUMN forgotten_revision BIGINT NOT NULL DEFAULT 0;
CREATE INDEX file_versions_deleted ON file_versions (project_id, revision, path) WHERE superseded IS NULL AND action = 'deleted';
