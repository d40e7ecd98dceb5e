-- This device's own edits that can be undone, and undone ones that can be made again.
CREATE TABLE undo (
    key      INTEGER PRIMARY KEY,
    document BLOB NOT NULL,
    undone   INTEGER NOT NULL,    -- 1 for one that was undone
    before   BLOB NOT NULL,       -- Loro frontiers before it
    after    BLOB NOT NULL,       -- and after it
    at_ms    INTEGER NOT NULL
) STRICT;
CREATE INDEX undo_document ON undo (document, undone, key);

-- Whether a person has paused sync: it stays so over a restart.
ALTER TABLE workspace ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;
