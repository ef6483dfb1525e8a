-- Change sets that no turn made. A column can't lose its NOT NULL here, so the table is made again. Dropping it would take the files
-- and hunks along by their ON DELETE CASCADE, so they are put aside first and come back as they were.
CREATE TABLE aside_sets AS SELECT * FROM change_sets;
CREATE TABLE aside_files AS SELECT * FROM change_files;
CREATE TABLE aside_hunks AS SELECT * FROM change_hunks;
DROP TABLE change_sets;
CREATE TABLE change_sets (
    id             BLOB PRIMARY KEY,
    project_id     BLOB NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    turn_id        BLOB UNIQUE REFERENCES turns (id) ON DELETE CASCADE,
    origin         TEXT NOT NULL,
    title          TEXT NOT NULL,
    state          TEXT NOT NULL,
    base_revision  INTEGER NOT NULL,
    -- Counts up with every decision; deciding locks this row.
    version        INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    created_by     BLOB
);
CREATE INDEX change_sets_by_project ON change_sets (project_id);
INSERT INTO change_sets (id, project_id, turn_id, origin, title, state, base_revision, version, created_at)
SELECT id, project_id, turn_id, 'agent', '', state, base_revision, version, created_at FROM aside_sets;
INSERT INTO change_files SELECT * FROM aside_files;
INSERT INTO change_hunks SELECT * FROM aside_hunks;
DROP TABLE aside_hunks;
DROP TABLE aside_files;
DROP TABLE aside_sets;
