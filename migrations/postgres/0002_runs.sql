-- Lanes keep terminals, which stay open for hours, from taking the places of work that ends.
ALTER TABLE jobs ADD COLUMN lane TEXT NOT NULL DEFAULT 'work';
-- Higher goes first among the jobs of one user; between users the turn decides.
ALTER TABLE jobs ADD COLUMN priority BIGINT NOT NULL DEFAULT 0;
DROP INDEX jobs_queued;
CREATE INDEX jobs_queued ON jobs (lane, run_at) WHERE state = 'queued';

-- When a user was last given a worker: who waited longest for a turn gets the next one.
CREATE TABLE queue_turns (
    user_id    UUID NOT NULL,
    lane       TEXT NOT NULL,
    served_at  BIGINT NOT NULL,
    PRIMARY KEY (user_id, lane)
);

ALTER TABLE runs ADD COLUMN network TEXT NOT NULL DEFAULT 'none';
-- What listens inside the run at this moment.
ALTER TABLE runs ADD COLUMN ports_json TEXT NOT NULL DEFAULT '[]';
-- The cases that a test run was limited to.
ALTER TABLE runs ADD COLUMN only_json TEXT NOT NULL DEFAULT '[]';

CREATE TABLE test_reports (
    run_id     UUID PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
    framework  TEXT NOT NULL,
    passed     BIGINT NOT NULL,
    failed     BIGINT NOT NULL,
    skipped    BIGINT NOT NULL,
    truncated  BOOLEAN NOT NULL,
    report     TEXT NOT NULL
);

-- A terminal is a run of that kind; this is what only terminals have.
CREATE TABLE terminals (
    run_id  UUID PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
    title   TEXT NOT NULL,
    cols    BIGINT NOT NULL,
    rows    BIGINT NOT NULL
);

-- What an administrator or an owner chose, as the JSON of its type in `wire`.
CREATE TABLE settings (
    name        TEXT PRIMARY KEY,
    value       TEXT NOT NULL,
    updated_at  BIGINT NOT NULL,
    updated_by  UUID
);

CREATE TABLE project_run_settings (
    project_id    UUID PRIMARY KEY REFERENCES projects (id) ON DELETE CASCADE,
    test_command  TEXT,
    test_report   TEXT,
    egress_json   TEXT NOT NULL DEFAULT '[]'
);

CREATE TABLE egress_log (
    id          UUID PRIMARY KEY,
    project_id  UUID NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    run_id      UUID NOT NULL,
    host        TEXT NOT NULL,
    port        BIGINT NOT NULL,
    allowed     BOOLEAN NOT NULL,
    reason      TEXT NOT NULL,
    at          BIGINT NOT NULL
);
CREATE INDEX egress_log_by_project ON egress_log (project_id, at);

-- Up to where a piece of a run's output reaches, in bytes of the whole run: late readers skip by it. The index also finds what is no
-- output without reading the output.
ALTER TABLE events ADD COLUMN output_end BIGINT;
UPDATE events SET output_end = (body::json ->> 'offset')::bigint + length((body::json ->> 'data')) / 4 * 3 - (length((body::json ->> 'data')) - length(rtrim((body::json ->> 'data'), '=')))
 WHERE stream LIKE 'run:%' AND body::json ->> 'kind' = 'output';
CREATE INDEX events_output ON events (stream, output_end, seq);
