-- Times are microseconds since the Unix epoch. Words (state, role, kind) are checked by the types that read them.

CREATE TABLE users (
    id             UUID PRIMARY KEY,
    email          TEXT NOT NULL,
    email_key      TEXT NOT NULL UNIQUE,
    username       TEXT NOT NULL,
    username_key   TEXT NOT NULL UNIQUE,
    full_name      TEXT,
    password_hash  TEXT NOT NULL,
    role           TEXT NOT NULL,
    state          TEXT NOT NULL,
    created_at     BIGINT NOT NULL,
    last_seen_at   BIGINT
);

-- One row for the whole installation, locked by whoever needs "the first" or "the last" of something to be certain.
CREATE TABLE installation (
    one            BIGINT PRIMARY KEY,
    created_at     BIGINT NOT NULL,
    seeded_at      BIGINT
);
INSERT INTO installation (one, created_at) VALUES (1, 0);

CREATE TABLE sessions (
    id             UUID PRIMARY KEY,
    user_id        UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- SHA-256 of the browser's cookie; null for sessions that live by tokens.
    cookie_hash    TEXT UNIQUE,
    address        TEXT,
    user_agent     TEXT,
    created_at     BIGINT NOT NULL,
    last_seen_at   BIGINT NOT NULL,
    expires_at     BIGINT NOT NULL,
    revoked_at     BIGINT
);
CREATE INDEX sessions_by_user ON sessions (user_id);

CREATE TABLE refresh_tokens (
    hash           TEXT PRIMARY KEY,
    session_id     UUID NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    created_at     BIGINT NOT NULL,
    spent_at       BIGINT
);
CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id);

CREATE TABLE projects (
    id               UUID PRIMARY KEY,
    owner_id         UUID NOT NULL REFERENCES users (id),
    name             TEXT NOT NULL,
    description      TEXT NOT NULL,
    visibility       TEXT NOT NULL,
    storage_backend  TEXT NOT NULL,
    -- Counts up with every change of any file; the row lock taken for that orders all writers of a project.
    revision         BIGINT NOT NULL,
    file_count       BIGINT NOT NULL,
    size_bytes       BIGINT NOT NULL,
    created_at       BIGINT NOT NULL,
    updated_at       BIGINT NOT NULL,
    -- While an import fills it, a project is visible to nobody.
    importing        BOOLEAN NOT NULL,
    deleted_at       BIGINT
);
CREATE INDEX projects_by_owner ON projects (owner_id);

CREATE TABLE project_members (
    project_id     UUID NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    user_id        UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role           TEXT NOT NULL,
    created_at     BIGINT NOT NULL,
    PRIMARY KEY (project_id, user_id)
);
CREATE INDEX project_members_by_user ON project_members (user_id);

-- Every version of every path, valid from `revision` up to but not including `superseded`. The current tree is what is not
-- superseded; the tree of any revision R is what has revision <= R < superseded, so a checkpoint is one number.
CREATE TABLE file_versions (
    project_id     UUID NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    -- Ordered by bytes, as everywhere else; a database's own collation may put "B" after "a".
    path           TEXT COLLATE "C" NOT NULL,
    version        BIGINT NOT NULL,
    revision       BIGINT NOT NULL,
    superseded     BIGINT,
    action         TEXT NOT NULL,
    kind           TEXT NOT NULL,
    size           BIGINT NOT NULL,
    content_type   TEXT NOT NULL,
    -- SHA-256 of the bytes; null for directories and deletions.
    checksum       TEXT,
    mode           BIGINT NOT NULL,
    origin         TEXT NOT NULL,
    created_at     BIGINT NOT NULL,
    created_by     UUID,
    PRIMARY KEY (project_id, path, version)
);
CREATE UNIQUE INDEX file_versions_current ON file_versions (project_id, path) WHERE superseded IS NULL;
CREATE INDEX file_versions_by_revision ON file_versions (project_id, revision);
CREATE INDEX file_versions_by_superseded ON file_versions (project_id, superseded);
CREATE INDEX file_versions_by_checksum ON file_versions (checksum);

CREATE TABLE event_streams (
    stream         TEXT PRIMARY KEY,
    last_seq       BIGINT NOT NULL
);

CREATE TABLE events (
    stream         TEXT NOT NULL,
    seq            BIGINT NOT NULL,
    at             BIGINT NOT NULL,
    body           TEXT NOT NULL,
    PRIMARY KEY (stream, seq)
);

CREATE TABLE jobs (
    id                UUID PRIMARY KEY,
    kind              TEXT NOT NULL,
    state             TEXT NOT NULL,
    payload           TEXT NOT NULL,
    user_id           UUID,
    project_id        UUID,
    attempts          BIGINT NOT NULL,
    max_attempts      BIGINT NOT NULL,
    run_at            BIGINT NOT NULL,
    lease_owner       TEXT,
    lease_until       BIGINT,
    -- Counts up with every claim; a worker that lost its lease can no longer write.
    fence             BIGINT NOT NULL,
    cancel_requested  BOOLEAN NOT NULL,
    progress_done     BIGINT NOT NULL,
    progress_total    BIGINT NOT NULL,
    error             TEXT,
    created_at        BIGINT NOT NULL,
    started_at        BIGINT,
    finished_at       BIGINT
);
CREATE INDEX jobs_queued ON jobs (run_at) WHERE state = 'queued';
CREATE INDEX jobs_running ON jobs (lease_until) WHERE state = 'running';
CREATE INDEX jobs_by_age ON jobs (created_at);

CREATE TABLE runs (
    id             UUID PRIMARY KEY,
    project_id     UUID NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    user_id        UUID NOT NULL REFERENCES users (id),
    turn_id        UUID,
    job_id         UUID,
    kind           TEXT NOT NULL,
    command        TEXT NOT NULL,
    cwd            TEXT NOT NULL,
    env            TEXT NOT NULL,
    state          TEXT NOT NULL,
    exit_json      TEXT,
    tier           TEXT,
    limits_json    TEXT NOT NULL,
    usage_json     TEXT,
    changes_json   TEXT NOT NULL,
    created_at     BIGINT NOT NULL,
    started_at     BIGINT,
    finished_at    BIGINT
);
CREATE INDEX runs_by_project ON runs (project_id, created_at);
CREATE INDEX runs_by_turn ON runs (turn_id);

CREATE TABLE conversations (
    id             UUID PRIMARY KEY,
    project_id     UUID NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    user_id        UUID NOT NULL REFERENCES users (id),
    title          TEXT NOT NULL,
    last_message   BIGINT NOT NULL,
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL,
    deleted_at     BIGINT
);
CREATE INDEX conversations_by_project ON conversations (project_id, updated_at);

CREATE TABLE turns (
    id               UUID PRIMARY KEY,
    conversation_id  UUID NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    project_id       UUID NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    user_id          UUID NOT NULL REFERENCES users (id),
    job_id           UUID,
    prompt           TEXT NOT NULL,
    mode             TEXT NOT NULL,
    model            TEXT NOT NULL,
    state            TEXT NOT NULL,
    reason           TEXT,
    detail           TEXT,
    base_revision    BIGINT NOT NULL,
    budget_tokens    BIGINT,
    budget_steps     BIGINT,
    usage_input      BIGINT NOT NULL,
    usage_output     BIGINT NOT NULL,
    usage_cached     BIGINT NOT NULL,
    stop_requested   BOOLEAN NOT NULL,
    change_set_id    UUID,
    created_at       BIGINT NOT NULL,
    started_at       BIGINT,
    finished_at      BIGINT
);
CREATE INDEX turns_by_conversation ON turns (conversation_id, created_at);
-- One turn at a time in a conversation, whoever asks first.
CREATE UNIQUE INDEX turns_active ON turns (conversation_id) WHERE state <> 'finished';

CREATE TABLE messages (
    id               UUID PRIMARY KEY,
    conversation_id  UUID NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    turn_id          UUID,
    seq              BIGINT NOT NULL,
    body             TEXT NOT NULL,
    created_at       BIGINT NOT NULL,
    UNIQUE (conversation_id, seq)
);

CREATE TABLE approvals (
    turn_id        UUID NOT NULL REFERENCES turns (id) ON DELETE CASCADE,
    call_id        TEXT NOT NULL,
    name           TEXT NOT NULL,
    arguments      TEXT NOT NULL,
    decision       TEXT,
    reason         TEXT,
    decided_by     UUID,
    created_at     BIGINT NOT NULL,
    decided_at     BIGINT,
    PRIMARY KEY (turn_id, call_id)
);

CREATE TABLE change_sets (
    id             UUID PRIMARY KEY,
    project_id     UUID NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    turn_id        UUID NOT NULL UNIQUE REFERENCES turns (id) ON DELETE CASCADE,
    state          TEXT NOT NULL,
    base_revision  BIGINT NOT NULL,
    -- Counts up with every decision; deciding locks this row.
    version        BIGINT NOT NULL,
    created_at     BIGINT NOT NULL
);
CREATE INDEX change_sets_by_project ON change_sets (project_id);

CREATE TABLE change_files (
    change_set_id  UUID NOT NULL REFERENCES change_sets (id) ON DELETE CASCADE,
    ord            BIGINT NOT NULL,
    path           TEXT NOT NULL,
    action         TEXT NOT NULL,
    is_binary      BOOLEAN NOT NULL,
    kind           TEXT NOT NULL,
    added_lines    BIGINT NOT NULL,
    removed_lines  BIGINT NOT NULL,
    old_checksum   TEXT,
    old_mode       BIGINT,
    new_checksum   TEXT,
    new_mode       BIGINT,
    new_size       BIGINT NOT NULL,
    PRIMARY KEY (change_set_id, ord)
);

CREATE TABLE change_hunks (
    id             UUID PRIMARY KEY,
    change_set_id  UUID NOT NULL REFERENCES change_sets (id) ON DELETE CASCADE,
    file_ord       BIGINT NOT NULL,
    ord            BIGINT NOT NULL,
    old_start      BIGINT NOT NULL,
    old_lines      BIGINT NOT NULL,
    new_start      BIGINT NOT NULL,
    new_lines      BIGINT NOT NULL,
    diff           TEXT NOT NULL,
    state          TEXT NOT NULL,
    edited_text    TEXT,
    reason         TEXT,
    decided_by     UUID,
    decided_at     BIGINT
);
CREATE INDEX change_hunks_by_set ON change_hunks (change_set_id, file_ord, ord);
