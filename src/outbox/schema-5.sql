-- How long a signed document has waited for its timestamp, and whether it was
-- said that this is too long.
ALTER TABLE submission ADD COLUMN signed_ms INTEGER;
ALTER TABLE submission ADD COLUMN overdue INTEGER NOT NULL DEFAULT 0;
CREATE INDEX submission_unstamped ON submission (overdue, signed_ms)
    WHERE signed_ms IS NOT NULL AND state IN ('received', 'signed');
