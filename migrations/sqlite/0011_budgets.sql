-- Limits of what models may cost. The subject of what has none is the nil id.
CREATE TABLE budgets (
    id             BLOB PRIMARY KEY,
    scope          TEXT NOT NULL,
    subject        BLOB NOT NULL,
    period         TEXT NOT NULL,
    usd_micros     INTEGER,
    tokens         INTEGER,
    updated_at     INTEGER NOT NULL,
    updated_by     BLOB,
    UNIQUE (scope, subject, period)
);

-- What was used, by whom budgets can be for. Every reservation locks the rows it counts in, always in the same order; a budget that
-- is set later finds them filled. The columns of the month are of `month` alone.
CREATE TABLE budget_counters (
    scope            TEXT NOT NULL,
    subject          BLOB NOT NULL,
    month            TEXT NOT NULL,
    month_micros     INTEGER NOT NULL DEFAULT 0,
    month_estimated  INTEGER NOT NULL DEFAULT 0,
    month_tokens     INTEGER NOT NULL DEFAULT 0,
    total_micros     INTEGER NOT NULL DEFAULT 0,
    total_estimated  INTEGER NOT NULL DEFAULT 0,
    total_tokens     INTEGER NOT NULL DEFAULT 0,
    reserved_micros  INTEGER NOT NULL DEFAULT 0,
    reserved_tokens  INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (scope, subject)
);

-- What people were told, once for each share and period; `period_key` is the month or `total`.
CREATE TABLE budget_notices (
    budget_id      BLOB NOT NULL REFERENCES budgets (id) ON DELETE CASCADE,
    subject        BLOB NOT NULL,
    period_key     TEXT NOT NULL,
    percent        INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    PRIMARY KEY (budget_id, subject, period_key, percent)
);

-- One row a call of a model, written before it is made. What it names may be gone later; the books stay.
CREATE TABLE ledger (
    id                BLOB PRIMARY KEY,
    user_id           BLOB NOT NULL,
    project_id        BLOB,
    conversation_id   BLOB,
    turn_id           BLOB,
    message_id        BLOB,
    model_version_id  BLOB NOT NULL,
    model             TEXT NOT NULL,
    -- Prices as they were when it was reserved, in micro-US-dollars per million tokens.
    price_input       INTEGER NOT NULL,
    price_output      INTEGER NOT NULL,
    price_cached      INTEGER NOT NULL,
    -- The worst case.
    reserved_input    INTEGER NOT NULL,
    reserved_output   INTEGER NOT NULL,
    reserved_micros   INTEGER NOT NULL,
    input             INTEGER NOT NULL DEFAULT 0,
    output            INTEGER NOT NULL DEFAULT 0,
    cached            INTEGER NOT NULL DEFAULT 0,
    cost_micros       INTEGER NOT NULL DEFAULT 0,
    estimated         BOOLEAN NOT NULL,
    first_token_ms    INTEGER,
    duration_ms       INTEGER,
    -- `open` until it is settled.
    outcome           TEXT NOT NULL,
    code              TEXT,
    started_at        INTEGER NOT NULL,
    ended_at          INTEGER
);
CREATE INDEX ledger_by_time ON ledger (started_at);
CREATE INDEX ledger_by_user ON ledger (user_id, started_at);
CREATE INDEX ledger_by_project ON ledger (project_id, started_at);
CREATE INDEX ledger_by_conversation ON ledger (conversation_id, started_at);
CREATE INDEX ledger_by_turn ON ledger (turn_id, started_at);
CREATE INDEX ledger_open ON ledger (started_at) WHERE outcome = 'open';

-- Sums of whole days in UTC, up to the day that `usage_rollup` names: charts of a year read these.
CREATE TABLE usage_daily (
    day               INTEGER NOT NULL,
    user_id           BLOB NOT NULL,
    -- The nil id for calls outside of projects.
    project_id        BLOB NOT NULL,
    model             TEXT NOT NULL,
    calls             INTEGER NOT NULL,
    failed            INTEGER NOT NULL,
    input             INTEGER NOT NULL,
    output            INTEGER NOT NULL,
    cached            INTEGER NOT NULL,
    billed_micros     INTEGER NOT NULL,
    estimated_micros  INTEGER NOT NULL,
    PRIMARY KEY (day, user_id, project_id, model)
);
CREATE INDEX usage_daily_by_user ON usage_daily (user_id, day);
CREATE INDEX usage_daily_by_project ON usage_daily (project_id, day);

-- Days before this one are summed up. A day is its number since 1970-01-01.
CREATE TABLE usage_rollup (
    one    INTEGER PRIMARY KEY,
    until  INTEGER NOT NULL
);
INSERT INTO usage_rollup (one, until) VALUES (1, 0);

-- Runs that are a turn without a conversation to look at.
CREATE TABLE codegen_runs (
    run_id           BLOB PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
    turn_id          BLOB NOT NULL REFERENCES turns (id) ON DELETE CASCADE
);
CREATE INDEX codegen_runs_by_turn ON codegen_runs (turn_id);
