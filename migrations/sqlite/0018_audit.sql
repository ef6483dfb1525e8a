-- What somebody may have to answer for. Names nobody else's rows: what it tells of may be gone.
CREATE TABLE audit_entries (
    seq          INTEGER PRIMARY KEY,
    at           INTEGER NOT NULL,
    action       TEXT NOT NULL,
    outcome      TEXT NOT NULL,
    actor_kind   TEXT NOT NULL,
    actor_id     BLOB,
    actor_name   TEXT NOT NULL,
    actor_by     TEXT,
    address      TEXT,
    request_id   TEXT NOT NULL,
    target_kind  TEXT,
    target_id    TEXT,
    target_name  TEXT,
    project_id   BLOB,
    -- JSON, byte for byte as it was hashed.
    details      TEXT NOT NULL,
    previous     TEXT NOT NULL,
    hash         TEXT NOT NULL
);
CREATE INDEX audit_entries_by_action ON audit_entries (action, seq);
CREATE INDEX audit_entries_by_actor ON audit_entries (actor_id, seq);
CREATE INDEX audit_entries_by_project ON audit_entries (project_id, seq);
CREATE INDEX audit_entries_by_time ON audit_entries (at);
CREATE TRIGGER audit_entries_stay BEFORE UPDATE ON audit_entries
BEGIN SELECT RAISE(ABORT, 'entries of the audit log are never changed'); END;
CREATE TRIGGER audit_entries_remain BEFORE DELETE ON audit_entries
BEGIN SELECT RAISE(ABORT, 'entries of the audit log are never removed'); END;

-- The end of the chain; locked last of all by whoever adds to it.
CREATE TABLE audit_head (
    one   INTEGER PRIMARY KEY,
    seq   INTEGER NOT NULL,
    hash  TEXT NOT NULL
);
INSERT INTO audit_head (one, seq, hash) VALUES (1, 0, '0000000000000000000000000000000000000000000000000000000000000000');
