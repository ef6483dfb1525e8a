-- Where models are reached.
CREATE TABLE model_providers (
    id             UUID PRIMARY KEY,
    name           TEXT NOT NULL,
    kind           TEXT NOT NULL,
    base_url       TEXT NOT NULL,
    -- Name and port of the address, to which keys are bound.
    host           TEXT NOT NULL,
    -- What the operator's environment calls it; null where an administrator added it.
    env_name       TEXT UNIQUE,
    -- Sealed for this row and `key_host` by a secret that is not in the database. Null with a `key_host`: void since the host changed.
    key_sealed     BYTEA,
    key_hint       TEXT NOT NULL DEFAULT '',
    key_host       TEXT NOT NULL DEFAULT '',
    own_keys       BOOLEAN NOT NULL DEFAULT FALSE,
    active         BOOLEAN NOT NULL DEFAULT TRUE,
    revision       BIGINT NOT NULL DEFAULT 1,
    created_at     BIGINT NOT NULL,
    created_by     UUID REFERENCES users (id) ON DELETE SET NULL,
    removed_at     BIGINT
);

CREATE TABLE models (
    id                UUID PRIMARY KEY,
    provider_id       UUID NOT NULL REFERENCES model_providers (id),
    name              TEXT NOT NULL,
    active            BOOLEAN NOT NULL DEFAULT TRUE,
    audience          TEXT NOT NULL,
    from_environment  BOOLEAN NOT NULL DEFAULT FALSE,
    -- The number of its newest version, which is the one that answers.
    version           BIGINT NOT NULL,
    revision          BIGINT NOT NULL DEFAULT 1,
    created_at        BIGINT NOT NULL,
    created_by        UUID REFERENCES users (id) ON DELETE SET NULL,
    removed_at        BIGINT
);
CREATE UNIQUE INDEX models_by_name ON models (name) WHERE removed_at IS NULL;
CREATE INDEX models_by_provider ON models (provider_id);

-- Never changed: what was measured belongs to exactly these settings. Prices are micro-US-dollars per million tokens.
CREATE TABLE model_versions (
    id                UUID PRIMARY KEY,
    model_id          UUID NOT NULL REFERENCES models (id),
    number            BIGINT NOT NULL,
    kind              TEXT NOT NULL,
    host              TEXT NOT NULL,
    remote_name       TEXT NOT NULL,
    context_tokens    BIGINT NOT NULL,
    max_output        BIGINT NOT NULL,
    images            BOOLEAN NOT NULL,
    price_input       BIGINT NOT NULL,
    price_output      BIGINT NOT NULL,
    price_cached      BIGINT NOT NULL,
    -- In thousandths.
    temperature       BIGINT NOT NULL,
    reasoning         TEXT,
    created_at        BIGINT NOT NULL,
    created_by        UUID REFERENCES users (id) ON DELETE SET NULL,
    UNIQUE (model_id, number)
);

-- Keys of people for providers that allow it; columns as in `model_providers`.
CREATE TABLE user_model_keys (
    user_id      UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    provider_id  UUID NOT NULL REFERENCES model_providers (id) ON DELETE CASCADE,
    key_sealed   BYTEA,
    key_hint     TEXT NOT NULL,
    key_host     TEXT NOT NULL,
    set_at       BIGINT NOT NULL,
    PRIMARY KEY (user_id, provider_id)
);
