-- One person's own limits; null is as for everybody. The row is also the lock that orders all writers of one owner's projects.
CREATE TABLE user_quotas (
    user_id  UUID PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    bytes    BIGINT,
    files    BIGINT
);
