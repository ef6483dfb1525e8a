-- What input costs that a provider writes into its cache, and how much of a call's input that was. Null: a quarter more than other input.
ALTER TABLE model_versions ADD COLUMN price_cache_write BIGINT;
ALTER TABLE ledger ADD COLUMN price_cache_write BIGINT;
ALTER TABLE ledger ADD COLUMN cache_write BIGINT NOT NULL DEFAULT 0;
