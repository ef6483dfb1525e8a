-- One person's own limits of versions and checkpoints, for each of their projects; null is as for everybody.
ALTER TABLE user_quotas ADD COLUMN versions BIGINT;
ALTER TABLE user_quotas ADD COLUMN checkpoints BIGINT;

-- One project's own limits; null is as for its owner.
CREATE TABLE project_quotas (
    project_id   UUID PRIMARY KEY REFERENCES projects (id) ON DELETE CASCADE,
    bytes        BIGINT,
    files        BIGINT,
    versions     BIGINT,
    checkpoints  BIGINT
);

-- At least what earlier versions and deleted files hold. Every replacement adds its bytes, whether or not they are kept elsewhere too; what
-- is held exactly is counted when this comes near a limit, and by every cleanup.
ALTER TABLE projects ADD COLUMN history_bytes BIGINT NOT NULL DEFAULT 0;
UPDATE projects SET history_bytes =
    (SELECT COALESCE(SUM(f.size), 0) FROM file_versions f WHERE f.project_id = projects.id AND f.superseded IS NOT NULL);
