CREATE TABLE submission (
    uuid             TEXT    PRIMARY KEY,
    form             TEXT    NOT NULL,
    version          TEXT    NOT NULL,
    operation        TEXT    NOT NULL,
    code_prestataire TEXT    NOT NULL,
    client           TEXT    NOT NULL,
    environment      TEXT    NOT NULL,
    environment_kind TEXT    NOT NULL,
    signer           TEXT,
    interactive      INTEGER NOT NULL,
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
CREATE INDEX submission_intake ON submission (interactive, due_ms) WHERE state IN ('received', 'signed', 'stamped');
CREATE INDEX submission_delivery ON submission (interactive, due_ms) WHERE state IN ('ready', 'unknown');
CREATE INDEX submission_request ON submission (request_sha256);
CREATE INDEX submission_received ON submission (received_ms);
CREATE INDEX submission_insurer ON submission (insurer_id) WHERE insurer_id IS NOT NULL;
-- What a document says of earlier ones. Environment, form and sender are those
-- of its submission: a name is searched among these only.
CREATE TABLE link (
    uuid             TEXT    NOT NULL REFERENCES submission (uuid),
    place            INTEGER NOT NULL,
    environment      TEXT    NOT NULL,
    form             TEXT    NOT NULL,
    code_prestataire TEXT    NOT NULL,
    once             TEXT,
    named_by         TEXT    NOT NULL,
    name             TEXT    NOT NULL,
    live             INTEGER NOT NULL,
    PRIMARY KEY (uuid, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX link_name ON link (name);
CREATE UNIQUE INDEX link_once ON link (environment, form, code_prestataire, once, named_by, name)
    WHERE live = 1 AND once IS NOT NULL;
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
