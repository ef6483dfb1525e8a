-- What the agent may do in a project without asking. A revoked rule goes; the project's events tell of both.
CREATE TABLE permission_rules (
    id               BLOB PRIMARY KEY,
    project_id       BLOB NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    effect           TEXT NOT NULL,
    tool             TEXT,
    command_pattern  TEXT,
    path_pattern     TEXT,
    created_by       BLOB REFERENCES users (id) ON DELETE SET NULL,
    created_at       INTEGER NOT NULL
);
CREATE INDEX permission_rules_by_project ON permission_rules (project_id, created_at);
CREATE INDEX turns_by_project ON turns (project_id, created_at);
