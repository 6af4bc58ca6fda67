-- Version 4. Agents are remembered, and the tokens with which they join.
--
-- `uses` is how many agents may join with a token in all, `used` how many have. `granted` are the labels that an agent has of
-- the token that it joined with, `labels` those that it said last. Labels are packed: a count, and each with its length. A
-- certificate that is not known ends at 0.

CREATE TABLE join_token (
    id TEXT PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    author TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    uses INTEGER NOT NULL,
    used INTEGER NOT NULL DEFAULT 0,
    labels BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE agent (
    id BLOB PRIMARY KEY,
    name TEXT NOT NULL,
    token TEXT,
    granted BLOB NOT NULL DEFAULT x'00',
    labels BLOB NOT NULL DEFAULT x'00',
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    incarnation BLOB,
    certificate BLOB,
    ends_ms INTEGER NOT NULL DEFAULT 0,
    drained_ms INTEGER,
    drained_by TEXT,
    revoked_ms INTEGER,
    revoked_by TEXT,
    revoked_why TEXT
) STRICT, WITHOUT ROWID;
