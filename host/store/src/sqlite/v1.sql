-- Version 1. Runs, items and chunks are numbered from 0 within their job; times are milliseconds since 1970.

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

-- Apart from the job, because that row changes with every chunk and these may be large.
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

-- The bodies of a chunk: they go before the names do.
CREATE TABLE body (
    job INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    lengths BLOB NOT NULL,
    bodies BLOB NOT NULL,
    UNIQUE (job, seq)
) STRICT;

-- Which jobs name which files of large bodies.
CREATE TABLE body_file (
    digest BLOB NOT NULL,
    job INTEGER NOT NULL,
    PRIMARY KEY (digest, job)
) STRICT, WITHOUT ROWID;

-- Outcomes, a row a batch; `number` counts the rows of a job.
CREATE TABLE outcome (
    job INTEGER NOT NULL,
    number INTEGER NOT NULL,
    first_run INTEGER NOT NULL,
    last_run INTEGER NOT NULL,
    body BLOB NOT NULL,
    UNIQUE (job, number)
) STRICT;
CREATE INDEX outcome_by_run ON outcome (job, first_run, last_run);

-- What the first `rows` rows of a job amount to.
CREATE TABLE ledger (
    job INTEGER PRIMARY KEY,
    rows INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;

-- Attempts at runs that brought no outcome.
CREATE TABLE attempt (
    job INTEGER NOT NULL,
    run INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    deaths INTEGER NOT NULL,
    PRIMARY KEY (job, run)
) STRICT, WITHOUT ROWID;
