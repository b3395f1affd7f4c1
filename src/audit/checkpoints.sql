-- Roots of complete subtrees of 256, 512, 1024, ... entries, so that neither a
-- checkpoint nor a proof reads the whole log.
CREATE TABLE audit_node (
    leaves INTEGER NOT NULL,
    first  INTEGER NOT NULL,
    hash   BLOB    NOT NULL,
    PRIMARY KEY (leaves, first)
) STRICT, WITHOUT ROWID;
-- Signed checkpoints, each with the timestamp whose nonce binds it.
CREATE TABLE audit_checkpoint (
    size  INTEGER PRIMARY KEY,
    note  TEXT    NOT NULL,
    salt  BLOB    NOT NULL,
    token BLOB    NOT NULL,
    chain TEXT    NOT NULL
) STRICT;
CREATE TRIGGER audit_node_no_update BEFORE UPDATE ON audit_node BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
CREATE TRIGGER audit_node_no_delete BEFORE DELETE ON audit_node BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
CREATE TRIGGER audit_checkpoint_no_update BEFORE UPDATE ON audit_checkpoint BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
CREATE TRIGGER audit_checkpoint_no_delete BEFORE DELETE ON audit_checkpoint BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
