-- A database as version 3 writes it: the schema, a paused job of three items, of which one was judged, one could not be, and one
-- lies in a file; and one that is finished, of which an outcome was taken back and recorded anew. And something of all else.
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
, worked_ms INTEGER NOT NULL DEFAULT 0, author TEXT NOT NULL DEFAULT '', submission TEXT, paused INTEGER NOT NULL DEFAULT 0, gone INTEGER NOT NULL DEFAULT 0, dead INTEGER NOT NULL DEFAULT 0) STRICT;

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
    bodies BLOB NOT NULL, spool INTEGER, start INTEGER NOT NULL DEFAULT 0, size INTEGER NOT NULL DEFAULT 0,
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
    body BLOB NOT NULL, landed_ms INTEGER NOT NULL DEFAULT 0,
    UNIQUE (job, number)
) STRICT;

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

CREATE TABLE job_count (
    state INTEGER NOT NULL,
    paused INTEGER NOT NULL,
    jobs INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (state, paused)
) STRICT, WITHOUT ROWID;

CREATE TABLE dead (
    job INTEGER NOT NULL,
    run INTEGER NOT NULL,
    number INTEGER NOT NULL,
    code TEXT NOT NULL,
    message TEXT NOT NULL,
    landed_ms INTEGER NOT NULL,
    PRIMARY KEY (job, run)
) STRICT, WITHOUT ROWID;

CREATE TABLE event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms INTEGER NOT NULL,
    author TEXT NOT NULL,
    kind TEXT NOT NULL,
    job BLOB,
    subject TEXT,
    message TEXT NOT NULL
) STRICT;

CREATE TABLE token (
    name TEXT PRIMARY KEY,
    role TEXT NOT NULL,
    hash BLOB NOT NULL,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE schedule (
    name TEXT PRIMARY KEY,
    spec BLOB NOT NULL,
    state BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE plugin_limits (
    name TEXT PRIMARY KEY,
    limits BLOB NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO plugin VALUES (x'56547a7cc8bbf46bb4aa2f18a097fee842ce6e94ca4c7f5cda6df35c4f5825c9', 'echo', '1.2.3', x'7369676e6564', 1, 7);
INSERT INTO job VALUES (1, x'01010101010101010101010101010101', x'56547a7cc8bbf46bb4aa2f18a097fee842ce6e94ca4c7f5cda6df35c4f5825c9', 1, 1, 3, 1000, 0, 1, 3, 2, 72012, x'61667465722033', 0, 1, NULL, 0, 'ann', 'nightly', 1, 0, 1);
INSERT INTO job VALUES (2, x'02020202020202020202020202020202', x'56547a7cc8bbf46bb4aa2f18a097fee842ce6e94ca4c7f5cda6df35c4f5825c9', 1, 1, 3, 1000, 1, 1, 2, 1, 12, x'', 1, 1, 2000, 700, 'bob', 'nightly', 0, 0, 1);
INSERT INTO job_text VALUES (1, x'7b7d', x'', x'');
INSERT INTO job_text VALUES (2, x'7b7d', x'6e6f7465', x'312e352073');
INSERT INTO chunk VALUES (1, 0, 0, 2, 12, x'02060106026974656d2d306974656d2d31');
INSERT INTO chunk VALUES (1, 1, 2, 1, 72000, x'0106036974656d2d32');
INSERT INTO chunk VALUES (2, 0, 0, 2, 12, x'02060106026974656d2d306974656d2d31');
INSERT INTO body VALUES (1, 0, x'0c0c', x'626f64792030626f64792031', NULL, 0, 0);
INSERT INTO body VALUES (1, 1, x'80e508', x'', 1, 0, 72000);
INSERT INTO body VALUES (2, 0, x'0c0c', x'626f64792030626f64792031', NULL, 0, 0);
INSERT INTO outcome VALUES (1, 0, 0, 1, x'0108776f726b65722d310104747261700b756e726561636861626c650200000a011a0b000b64657461696c206f662031', 1500);
INSERT INTO outcome VALUES (2, 0, 0, 0, x'0108776f726b65722d32010673796e746178026e6f0100190a000b64657461696c206f662030', 1600);
INSERT INTO outcome VALUES (2, 1, 1, 1, x'0108776f726b65722d330104747261700b756e726561636861626c6500', 1700);
INSERT INTO outcome VALUES (2, 2, 1, 1, x'0108776f726b65722d320001001a0b010b64657461696c206f662031', 1800);
INSERT INTO ledger VALUES (2, 3, x'02010002020673796e746178026e6f00c00cc00c04747261700b756e726561636861626c6501880e880e0108776f726b65722d320001011502000101012b1c849313000000030000000000000003000000000000000100000000000000023ff0000000000000130202');
INSERT INTO attempt VALUES (1, 2, 2, 1);
INSERT INTO job_count VALUES (0, 0, 0);
INSERT INTO job_count VALUES (0, 1, 1);
INSERT INTO job_count VALUES (1, 0, 1);
INSERT INTO job_count VALUES (1, 1, 0);
INSERT INTO job_count VALUES (2, 0, 0);
INSERT INTO job_count VALUES (2, 1, 0);
INSERT INTO job_count VALUES (3, 0, 0);
INSERT INTO job_count VALUES (3, 1, 0);
INSERT INTO dead VALUES (1, 1, 0, 'trap', 'unreachable', 1500);
INSERT INTO dead VALUES (2, 1, 2, 'trap', 'unreachable', 1800);
INSERT INTO event VALUES (1, 1000, 'ann', 'job-submitted', x'01010101010101010101010101010101', 'echo', 'was submitted');
INSERT INTO event VALUES (2, 1100, 'ann', 'job-submitted', NULL, 'echo', 'was submitted');
INSERT INTO event VALUES (3, 1200, 'ann', 'job-submitted', x'02020202020202020202020202020202', 'echo', 'was submitted');
INSERT INTO token VALUES ('ann', 'admin', x'2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b', 1, 9);
INSERT INTO schedule VALUES ('nightly', x'6461696c79', x'31');
INSERT INTO plugin_limits VALUES ('echo', x'7b7d');

CREATE INDEX outcome_by_run ON outcome (job, first_run, last_run);
CREATE UNIQUE INDEX job_by_submission ON job (author, submission) WHERE submission IS NOT NULL;
CREATE INDEX job_by_time ON job (created_ms, key);
CREATE INDEX job_by_dead ON job (dead) WHERE dead > 0 AND NOT gone;
CREATE INDEX job_by_state ON job (state, paused) WHERE NOT gone;
CREATE INDEX job_by_end ON job (finished_ms, key) WHERE state <> 0 AND NOT gone;
CREATE INDEX job_gone ON job (key) WHERE gone;
CREATE INDEX job_with_bodies ON job (key) WHERE state <> 0 AND NOT gone AND has_bodies <> 0;
CREATE INDEX job_by_plugin ON job (plugin);
CREATE INDEX body_file_by_job ON body_file (job);
CREATE INDEX event_by_job ON event (job) WHERE job IS NOT NULL;

CREATE TRIGGER job_comes AFTER INSERT ON job WHEN NOT NEW.gone BEGIN
    UPDATE job_count SET jobs = jobs + 1 WHERE state = NEW.state AND paused = NEW.paused;
END;

CREATE TRIGGER job_changes AFTER UPDATE OF state, paused, gone ON job
WHEN (OLD.state, OLD.paused, OLD.gone) <> (NEW.state, NEW.paused, NEW.gone) BEGIN
    UPDATE job_count SET jobs = jobs - 1 WHERE NOT OLD.gone AND state = OLD.state AND paused = OLD.paused;
    UPDATE job_count SET jobs = jobs + 1 WHERE NOT NEW.gone AND state = NEW.state AND paused = NEW.paused;
END;

CREATE TRIGGER job_goes AFTER DELETE ON job WHEN NOT OLD.gone BEGIN
    UPDATE job_count SET jobs = jobs - 1 WHERE state = OLD.state AND paused = OLD.paused;
END;

PRAGMA user_version = 3;
