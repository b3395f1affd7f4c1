-- When the documents of a finished submission were destroyed.
ALTER TABLE submission ADD COLUMN purged_ms INTEGER;
CREATE INDEX submission_purge ON submission (updated_ms)
    WHERE state IN ('receipted', 'rejected') AND purged_ms IS NULL;
-- Where one that was restored from a backup goes on once the receiver has said
-- that it does not have it; NULL: ready.
ALTER TABLE submission ADD COLUMN resume TEXT;
-- Digest of what decides what is sent where and for whom; see rows::identity.
ALTER TABLE submission ADD COLUMN identity BLOB;
