-- One person's own limits over all their projects; null is as for everybody. `versions` and `checkpoints` are of a file and of a project.
ALTER TABLE user_quotas ADD COLUMN all_versions BIGINT;
ALTER TABLE user_quotas ADD COLUMN all_checkpoints BIGINT;
ALTER TABLE user_quotas ADD COLUMN projects BIGINT;

-- At least how many earlier versions a project keeps. Whatever replaces or removes one books it, and every cleanup counts anew.
ALTER TABLE projects ADD COLUMN past_versions BIGINT NOT NULL DEFAULT 0;
UPDATE projects SET past_versions =
    (SELECT COUNT(*) FROM file_versions f WHERE f.project_id = projects.id AND f.superseded IS NOT NULL);
