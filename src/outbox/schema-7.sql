-- Damaged records, kept apart: to write into one would need its indexes to agree
-- with it.
CREATE TABLE set_aside (
    uuid  TEXT    PRIMARY KEY,
    at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO set_aside SELECT uuid, updated_ms FROM submission
    WHERE due_ms IS NULL AND state NOT IN ('receipted', 'rejected');
DROP INDEX submission_set_aside;
-- Entries that damaged records have left behind.
REINDEX submission;
