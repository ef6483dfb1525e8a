-- Limits of what models may cost. The subject of what has none is the nil id.
CREATE TABLE budgets (
    id             UUID PRIMARY KEY,
    scope          TEXT NOT NULL,
    subject        UUID NOT NULL,
    period         TEXT NOT NULL,
    usd_micros     BIGINT,
    tokens         BIGINT,
    updated_at     BIGINT NOT NULL,
    updated_by     UUID,
    UNIQUE (scope, subject, period)
);

-- What was used, by whom budgets can be for. Every reservation locks the rows it counts in, always in the same order; a budget that
-- is set later finds them filled. The columns of the month are of `month` alone.
CREATE TABLE budget_counters (
    scope            TEXT NOT NULL,
    subject          UUID NOT NULL,
    month            TEXT NOT NULL,
    month_micros     BIGINT NOT NULL DEFAULT 0,
    month_estimated  BIGINT NOT NULL DEFAULT 0,
    month_tokens     BIGINT NOT NULL DEFAULT 0,
    total_micros     BIGINT NOT NULL DEFAULT 0,
    total_estimated  BIGINT NOT NULL DEFAULT 0,
    total_tokens     BIGINT NOT NULL DEFAULT 0,
    reserved_micros  BIGINT NOT NULL DEFAULT 0,
    reserved_tokens  BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (scope, subject)
);

-- What people were told, once for each share and period; `period_key` is the month or `total`.
CREATE TABLE budget_notices (
    budget_id      UUID NOT NULL REFERENCES budgets (id) ON DELETE CASCADE,
    subject        UUID NOT NULL,
    period_key     TEXT NOT NULL,
    percent        BIGINT NOT NULL,
    created_at     BIGINT NOT NULL,
    PRIMARY KEY (budget_id, subject, period_key, percent)
);

-- One row a call of a model, written before it is made. What it names may be gone later; the books stay.
CREATE TABLE ledger (
    id                UUID PRIMARY KEY,
    user_id           UUID NOT NULL,
    project_id        UUID,
    conversation_id   UUID,
    turn_id           UUID,
    message_id        UUID,
    model_version_id  UUID NOT NULL,
    model             TEXT NOT NULL,
    -- Prices as they were when it was reserved, in micro-US-dollars per million tokens.
    price_input       BIGINT NOT NULL,
    price_output      BIGINT NOT NULL,
    price_cached      BIGINT NOT NULL,
    -- The worst case.
    reserved_input    BIGINT NOT NULL,
    reserved_output   BIGINT NOT NULL,
    reserved_micros   BIGINT NOT NULL,
    input             BIGINT NOT NULL DEFAULT 0,
    output            BIGINT NOT NULL DEFAULT 0,
    cached            BIGINT NOT NULL DEFAULT 0,
    cost_micros       BIGINT NOT NULL DEFAULT 0,
    estimated         BOOLEAN NOT NULL,
    first_token_ms    BIGINT,
    duration_ms       BIGINT,
    -- `open` until it is settled.
    outcome           TEXT NOT NULL,
    code              TEXT,
    started_at        BIGINT NOT NULL,
    ended_at          BIGINT
);
CREATE INDEX ledger_by_time ON ledger (started_at);
CREATE INDEX ledger_by_user ON ledger (user_id, started_at);
CREATE INDEX ledger_by_project ON ledger (project_id, started_at);
CREATE INDEX ledger_by_conversation ON ledger (conversation_id, started_at);
CREATE INDEX ledger_by_turn ON ledger (turn_id, started_at);
CREATE INDEX ledger_open ON ledger (started_at) WHERE outcome = 'open';

-- Sums of whole days in UTC, up to the day that `usage_rollup` names: charts of a year read these.
CREATE TABLE usage_daily (
    day               BIGINT NOT NULL,
    user_id           UUID NOT NULL,
    -- The nil id for calls outside of projects.
    project_id        UUID NOT NULL,
    model             TEXT NOT NULL,
    calls             BIGINT NOT NULL,
    failed            BIGINT NOT NULL,
    input             BIGINT NOT NULL,
    output            BIGINT NOT NULL,
    cached            BIGINT NOT NULL,
    billed_micros     BIGINT NOT NULL,
    estimated_micros  BIGINT NOT NULL,
    PRIMARY KEY (day, user_id, project_id, model)
);
CREATE INDEX usage_daily_by_user ON usage_daily (user_id, day);
CREATE INDEX usage_daily_by_project ON usage_daily (project_id, day);

-- Days before this one are summed up. A day is its number since 1970-01-01.
CREATE TABLE usage_rollup (
    one    BIGINT PRIMARY KEY,
    until  BIGINT NOT NULL
);
INSERT INTO usage_rollup (one, until) VALUES (1, 0);

-- Runs that are a turn without a conversation to look at.
CREATE TABLE codegen_runs (
    run_id           UUID PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
    turn_id          UUID NOT NULL REFERENCES turns (id) ON DELETE CASCADE
);
CREATE INDEX codegen_runs_by_turn ON codegen_runs (turn_id);
