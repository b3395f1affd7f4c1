-- Open submissions whose record is damaged: without a time they are due.
CREATE INDEX submission_set_aside ON submission (code_prestataire)
    WHERE due_ms IS NULL AND state NOT IN ('receipted', 'rejected');
-- Whether documents of a form pack are kept: asked at each start.
CREATE INDEX submission_pack ON submission (form, version);
