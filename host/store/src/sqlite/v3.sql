-- Version 3. Jobs have authors, keys and pauses; outcomes know when they landed; dead letters, the log of events, tokens,
-- schedules and limits of plugins have come.
--
-- `submission` is the key that a job was submitted with, one of its author's. A job that is `gone` was removed: nobody sees it any more, and
-- what is left of it goes by steps. `has_bodies` is 2 while the bodies go, and then 0. `dead` counts the job's dead letters.

ALTER TABLE job ADD COLUMN author TEXT NOT NULL DEFAULT '';
ALTER TABLE job ADD COLUMN submission TEXT;
ALTER TABLE job ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN gone INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN dead INTEGER NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX job_by_submission ON job (author, submission) WHERE submission IS NOT NULL;
CREATE INDEX job_by_time ON job (created_ms, key);
CREATE INDEX job_by_dead ON job (dead) WHERE dead > 0 AND NOT gone;
CREATE INDEX job_by_state ON job (state, paused) WHERE NOT gone;
CREATE INDEX job_by_end ON job (finished_ms, key) WHERE state <> 0 AND NOT gone;
CREATE INDEX job_gone ON job (key) WHERE gone;
CREATE INDEX job_with_bodies ON job (key) WHERE state <> 0 AND NOT gone AND has_bodies <> 0;
CREATE INDEX job_by_plugin ON job (plugin);
CREATE INDEX body_file_by_job ON body_file (job);

-- How many jobs there are that are not gone, counted as they change.
CREATE TABLE job_count (
    state INTEGER NOT NULL,
    paused INTEGER NOT NULL,
    jobs INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (state, paused)
) STRICT, WITHOUT ROWID;
INSERT INTO job_count (state, paused) VALUES (0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1), (3, 0), (3, 1);
UPDATE job_count SET jobs = (SELECT count(*) FROM job WHERE job.state = job_count.state AND job.paused = job_count.paused);

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

-- When the batch landed; 0 if that was not kept. A row of which all outcomes were taken back stays, empty, so that rows are
-- numbered without gaps.
ALTER TABLE outcome ADD COLUMN landed_ms INTEGER NOT NULL DEFAULT 0;

-- Dead letters; `number` is that of the row that has the outcome.
CREATE TABLE dead (
    job INTEGER NOT NULL,
    run INTEGER NOT NULL,
    number INTEGER NOT NULL,
    code TEXT NOT NULL,
    message TEXT NOT NULL,
    landed_ms INTEGER NOT NULL,
    PRIMARY KEY (job, run)
) STRICT, WITHOUT ROWID;

-- The log. Events outlive the jobs that they are about, so these are named by id.
CREATE TABLE event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms INTEGER NOT NULL,
    author TEXT NOT NULL,
    kind TEXT NOT NULL,
    job BLOB,
    subject TEXT,
    message TEXT NOT NULL
) STRICT;
CREATE INDEX event_by_job ON event (job) WHERE job IS NOT NULL;

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
