-- Lanes keep terminals, which stay open for hours, from taking the places of work that ends.
ALTER TABLE jobs ADD COLUMN lane TEXT NOT NULL DEFAULT 'work';
-- Higher goes first among the jobs of one user; between users the turn decides.
ALTER TABLE jobs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
DROP INDEX jobs_queued;
CREATE INDEX jobs_queued ON jobs (lane, run_at) WHERE state = 'queued';

-- When a user was last given a worker: who waited longest for a turn gets the next one.
CREATE TABLE queue_turns (
    user_id    BLOB NOT NULL,
    lane       TEXT NOT NULL,
    served_at  INTEGER NOT NULL,
    PRIMARY KEY (user_id, lane)
);

ALTER TABLE runs ADD COLUMN network TEXT NOT NULL DEFAULT 'none';
-- What listens inside the run at this moment.
ALTER TABLE runs ADD COLUMN ports_json TEXT NOT NULL DEFAULT '[]';
-- The cases that a test run was limited to.
ALTER TABLE runs ADD COLUMN only_json TEXT NOT NULL DEFAULT '[]';

CREATE TABLE test_reports (
    run_id     BLOB PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
    framework  TEXT NOT NULL,
    passed     INTEGER NOT NULL,
    failed     INTEGER NOT NULL,
    skipped    INTEGER NOT NULL,
    truncated  BOOLEAN NOT NULL,
    report     TEXT NOT NULL
);

-- A terminal is a run of that kind; this is what only terminals have.
CREATE TABLE terminals (
    run_id  BLOB PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
    title   TEXT NOT NULL,
    cols    INTEGER NOT NULL,
    rows    INTEGER NOT NULL
);

-- What an administrator or an owner chose, as the JSON of its type in `wire`.
CREATE TABLE settings (
    name        TEXT PRIMARY KEY,
    value       TEXT NOT NULL,
    updated_at  INTEGER NOT NULL,
    updated_by  BLOB
);

CREATE TABLE project_run_settings (
    project_id    BLOB PRIMARY KEY REFERENCES projects (id) ON DELETE CASCADE,
    test_command  TEXT,
    test_report   TEXT,
    egress_json   TEXT NOT NULL DEFAULT '[]'
);

CREATE TABLE egress_log (
    id          BLOB PRIMARY KEY,
    project_id  BLOB NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    run_id      BLOB NOT NULL,
    host        TEXT NOT NULL,
    port        INTEGER NOT NULL,
    allowed     BOOLEAN NOT NULL,
    reason      TEXT NOT NULL,
    at          INTEGER NOT NULL
);
CREATE INDEX egress_log_by_project ON egress_log (project_id, at);

-- Up to where a piece of a run's output reaches, in bytes of the whole run: late readers skip by it. The index also finds what is no
-- output without reading the output.
ALTER TABLE events ADD COLUMN output_end INTEGER;
UPDATE events SET output_end = json_extract(body, '$.offset') + length(json_extract(body, '$.data')) / 4 * 3 - (length(json_extract(body, '$.data')) - length(rtrim(json_extract(body, '$.data'), '=')))
 WHERE stream LIKE 'run:%' AND json_extract(body, '$.kind') = 'output';
CREATE INDEX events_output ON events (stream, output_end, seq);
