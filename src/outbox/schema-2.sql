-- Who sends comes before when it is due: practitioners take turns, and the next
-- one that has anything waiting is one look-up away.
DROP INDEX submission_intake;
DROP INDEX submission_delivery;
CREATE INDEX submission_intake ON submission (interactive, code_prestataire, due_ms)
    WHERE state IN ('received', 'signed', 'stamped');
CREATE INDEX submission_delivery ON submission (interactive, code_prestataire, due_ms)
    WHERE state IN ('ready', 'unknown');
-- What a start has to look at, and what a bound program lists: not every record.
CREATE INDEX submission_held ON submission (state) WHERE lease_ms IS NOT NULL;
CREATE INDEX submission_sender ON submission (code_prestataire, received_ms);
