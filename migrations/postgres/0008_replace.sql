-- Change sets that no turn made.
ALTER TABLE change_sets ALTER COLUMN turn_id DROP NOT NULL;
ALTER TABLE change_sets ADD COLUMN origin TEXT NOT NULL DEFAULT 'agent';
ALTER TABLE change_sets ADD COLUMN title TEXT NOT NULL DEFAULT '';
ALTER TABLE change_sets ADD COLUMN created_by UUID;
