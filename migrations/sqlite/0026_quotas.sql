-- One person's own limits of versions and checkpoints, for each of their projects; null is as for everybody.
ALTER TABLE user_quotas ADD COLUMN versions INTEGER;
ALTER TABLE user_quotas ADD COLUMN checkpoints INTEGER;

-- One project's own limits; null is as for its owner.
CREATE TABLE project_quotas (
    project_id   BLOB PRIMARY KEY REFERENCES projects (id) ON DELETE CASCADE,
    bytes        INTEGER,
    files        INTEGER,
    versions     INTEGER,
    checkpoints  INTEGER
);

-- At least what earlier versions and deleted files hold. Every replacement adds its bytes, whether or not they are kept elsewhere too; what
-- is held exactly is counted when this comes near a limit, and by every cleanup.
ALTER TABLE projects ADD COLUMN history_bytes INTEGER NOT NULL DEFAULT 0;
UPDATE projects SET history_bytes =
    (SELECT COALESCE(SUM(f.size), 0) FROM file_versions f WHERE f.project_id = projects.id AND f.superseded IS NOT NULL);
