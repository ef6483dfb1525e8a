-- What an archive brings along that must not act by itself here, and who made it where no account here has that name.

-- Calls that were made and paid for on another server: part of what a project cost, of no budget and of nobody's sums.
ALTER TABLE ledger ADD COLUMN imported BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE ledger ADD COLUMN author TEXT;
CREATE INDEX ledger_imported ON ledger (project_id, started_at) WHERE imported;

-- A prompt that never begins by itself: somebody has to send it.
ALTER TABLE queued_prompts ADD COLUMN held BOOLEAN NOT NULL DEFAULT FALSE;

-- Rules that widen what the agent or a run may do, and that somebody here has to make first.
ALTER TABLE permission_rules ADD COLUMN waits BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE project_run_settings ADD COLUMN egress_waits_json TEXT NOT NULL DEFAULT '[]';

ALTER TABLE permission_rules ADD COLUMN author TEXT;
ALTER TABLE rewinds ADD COLUMN author TEXT;
ALTER TABLE review_comments ADD COLUMN author TEXT;
ALTER TABLE approvals ADD COLUMN author TEXT;
