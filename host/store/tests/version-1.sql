-- A database as version 1 writes it: the schema, and a job of two items of which the first was judged.
-- It stays as it is when the schema moves on.

PRAGMA journal_mode = WAL;


CREATE TABLE plugin (
    digest BLOB PRIMARY KEY,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    manifest BLOB NOT NULL,
    listed INTEGER NOT NULL,
    published_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE job (
    key INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    plugin BLOB NOT NULL,
    places INTEGER NOT NULL,
    iterations INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    state INTEGER NOT NULL DEFAULT 0,
    epoch INTEGER NOT NULL DEFAULT 1,
    items INTEGER NOT NULL DEFAULT 0,
    chunks INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0,
    cursor BLOB NOT NULL DEFAULT x'',
    sealed INTEGER NOT NULL DEFAULT 0,
    has_bodies INTEGER NOT NULL DEFAULT 1,
    finished_ms INTEGER
) STRICT;

CREATE TABLE job_text (
    job INTEGER PRIMARY KEY,
    spec BLOB NOT NULL,
    note BLOB NOT NULL DEFAULT x'',
    summary BLOB NOT NULL DEFAULT x''
) STRICT;

CREATE TABLE chunk (
    job INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    first INTEGER NOT NULL,
    count INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    names BLOB NOT NULL,
    UNIQUE (job, seq),
    UNIQUE (job, first)
) STRICT;

CREATE TABLE body (
    job INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    lengths BLOB NOT NULL,
    bodies BLOB NOT NULL,
    UNIQUE (job, seq)
) STRICT;

CREATE TABLE body_file (
    digest BLOB NOT NULL,
    job INTEGER NOT NULL,
    PRIMARY KEY (digest, job)
) STRICT, WITHOUT ROWID;

CREATE TABLE outcome (
    job INTEGER NOT NULL,
    number INTEGER NOT NULL,
    first_run INTEGER NOT NULL,
    last_run INTEGER NOT NULL,
    body BLOB NOT NULL,
    UNIQUE (job, number)
) STRICT;
CREATE INDEX outcome_by_run ON outcome (job, first_run, last_run);

CREATE TABLE ledger (
    job INTEGER PRIMARY KEY,
    rows INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;

CREATE TABLE attempt (
    job INTEGER NOT NULL,
    run INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    deaths INTEGER NOT NULL,
    PRIMARY KEY (job, run)
) STRICT, WITHOUT ROWID;

INSERT INTO plugin VALUES (x'6985ca1f4daa5a584a28eae043a239cb96689af1337ea13afb63e00c2bf512fa', 'echo', '1.0.0', x'', 1, 1000);
INSERT INTO job VALUES (1, x'0198f3c27d4e7c119a510a4d2b8f6e01', x'6985ca1f4daa5a584a28eae043a239cb96689af1337ea13afb63e00c2bf512fa', 1, 1, 0, 1000, 0, 1, 2, 1, 12, x'', 1, 1, NULL);
INSERT INTO job_text VALUES (1, x'7b7d', x'', x'');
INSERT INTO chunk VALUES (1, 0, 0, 2, 12, x'02060106026974656d2d306974656d2d31');
INSERT INTO body VALUES (1, 0, x'0c0c', x'626f64792030626f64792031');
INSERT INTO outcome VALUES (1, 0, 0, 0, x'0108776f726b65722d31000100000a');

PRAGMA user_version = 1;
