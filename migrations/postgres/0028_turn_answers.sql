-- What a message asks of each answer to it; absent where the model's own settings hold. The temperature is in thousandths.
ALTER TABLE turns ADD COLUMN max_tokens BIGINT;
ALTER TABLE turns ADD COLUMN temperature BIGINT;
