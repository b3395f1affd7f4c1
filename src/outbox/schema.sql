CREATE TABLE submission (
    uuid             TEXT    PRIMARY KEY,
    form             TEXT    NOT NULL,
    version          TEXT    NOT NULL,
    operation        TEXT    NOT NULL,
    code_prestataire TEXT    NOT NULL,
    client           TEXT    NOT NULL,
    state            TEXT    NOT NULL,
    wait_class       TEXT,
    wait_code        TEXT,
    wait_text        TEXT,
    due_ms           INTEGER,
    lease_ms         INTEGER,
    claims           INTEGER NOT NULL,
    tries            INTEGER NOT NULL,
    insurer_id       TEXT,
    correlation_id   TEXT,
    received_ms      INTEGER NOT NULL,
    updated_ms       INTEGER NOT NULL,
    request_sha256   BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX submission_intake ON submission (due_ms) WHERE state IN ('received', 'signed', 'stamped');
CREATE INDEX submission_delivery ON submission (due_ms) WHERE state IN ('ready', 'unknown');
CREATE INDEX submission_request ON submission (request_sha256);
CREATE INDEX submission_received ON submission (received_ms);
CREATE TABLE body (
    uuid        TEXT    NOT NULL REFERENCES submission (uuid),
    kind        TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    sealed      BLOB,
    wrapped_key BLOB    NOT NULL,
    sha256      BLOB    NOT NULL,
    bytes       INTEGER NOT NULL,
    PRIMARY KEY (uuid, kind)
) STRICT, WITHOUT ROWID;
