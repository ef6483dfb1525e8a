-- Another number after each change of a budget, so that nobody replaces what they have not seen.
ALTER TABLE budgets ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
