-- Waits until somebody makes an account with the address.
CREATE TABLE invitations (
    id          UUID PRIMARY KEY,
    project_id  UUID NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    email       TEXT NOT NULL,
    email_key   TEXT NOT NULL,
    role        TEXT NOT NULL,
    invited_by  UUID REFERENCES users (id) ON DELETE SET NULL,
    created_at  BIGINT NOT NULL,
    UNIQUE (project_id, email_key)
);
CREATE INDEX invitations_by_email ON invitations (email_key);

-- Who has a project open, once for each process that serves a connection of theirs. Old rows are of processes that died.
CREATE TABLE presence (
    project_id  UUID NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    user_id     UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    process     UUID NOT NULL,
    since       BIGINT NOT NULL,
    seen_at     BIGINT NOT NULL,
    PRIMARY KEY (project_id, user_id, process)
);
CREATE INDEX presence_by_process ON presence (process);
CREATE INDEX presence_by_age ON presence (seen_at);

-- Until now nobody but the owner was let in by this; members keep what they have.
UPDATE projects SET visibility = 'shared'
 WHERE visibility = 'private' AND (SELECT COUNT(*) FROM project_members m WHERE m.project_id = projects.id) > 1;
CREATE INDEX projects_public ON projects (updated_at) WHERE visibility = 'public';
