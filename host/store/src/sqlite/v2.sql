-- Version 2. The bodies of a large chunk lie in a file beside the database: `start` is where they begin in it, `size` how
-- many bytes they have, and `spool` the epoch of the owner who wrote the file. A small chunk's are in `bodies` still.
-- And a job knows how long it was worked at.

ALTER TABLE body ADD COLUMN spool INTEGER;
ALTER TABLE body ADD COLUMN start INTEGER NOT NULL DEFAULT 0;
ALTER TABLE body ADD COLUMN size INTEGER NOT NULL DEFAULT 0;

ALTER TABLE job ADD COLUMN worked_ms INTEGER NOT NULL DEFAULT 0;
