-- What somebody may have to answer for. Names nobody else's rows: what it tells of may be gone.
CREATE TABLE audit_entries (
    seq          BIGINT PRIMARY KEY,
    at           BIGINT NOT NULL,
    action       TEXT NOT NULL,
    outcome      TEXT NOT NULL,
    actor_kind   TEXT NOT NULL,
    actor_id     UUID,
    actor_name   TEXT NOT NULL,
    actor_by     TEXT,
    address      TEXT,
    request_id   TEXT NOT NULL,
    target_kind  TEXT,
    target_id    TEXT,
    target_name  TEXT,
    project_id   UUID,
    -- JSON, byte for byte as it was hashed.
    details      TEXT NOT NULL,
    previous     TEXT NOT NULL,
    hash         TEXT NOT NULL
);
CREATE INDEX audit_entries_by_action ON audit_entries (action, seq);
CREATE INDEX audit_entries_by_actor ON audit_entries (actor_id, seq);
CREATE INDEX audit_entries_by_project ON audit_entries (project_id, seq);
CREATE INDEX audit_entries_by_time ON audit_entries (at);
CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'entries of the audit log are never changed or removed'; END $$;
CREATE TRIGGER audit_entries_stay BEFORE UPDATE OR DELETE ON audit_entries FOR EACH ROW EXECUTE FUNCTION refuse_audit_change();
CREATE TRIGGER audit_entries_remain BEFORE TRUNCATE ON audit_entries FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();

-- The end of the chain; locked last of all by whoever adds to it.
CREATE TABLE audit_head (
    one   INTEGER PRIMARY KEY,
    seq   BIGINT NOT NULL,
    hash  TEXT NOT NULL
);
INSERT INTO audit_head (one, seq, hash) VALUES (1, 0, '0000000000000000000000000000000000000000000000000000000000000000');
