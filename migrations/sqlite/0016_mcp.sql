-- Servers whose tools the agent may use.
CREATE TABLE mcp_servers (
    id          BLOB PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    transport   TEXT NOT NULL,
    -- An address, or a command line for the sandbox.
    target      TEXT NOT NULL,
    -- Name and port of the address, to which the key is bound; empty for a command.
    host        TEXT NOT NULL,
    -- As in model_providers.
    key_sealed  BLOB,
    key_hint    TEXT NOT NULL DEFAULT '',
    key_host    TEXT NOT NULL DEFAULT '',
    trusted     BOOLEAN NOT NULL DEFAULT FALSE,
    active      BOOLEAN NOT NULL DEFAULT TRUE,
    revision    INTEGER NOT NULL DEFAULT 1,
    created_at  INTEGER NOT NULL,
    created_by  BLOB REFERENCES users (id) ON DELETE SET NULL
);
