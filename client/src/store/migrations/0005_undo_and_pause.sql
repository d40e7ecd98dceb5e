-- What this device's person did to documents, in order: edits, and edits that took one back.
CREATE TABLE undo (
    key        INTEGER PRIMARY KEY AUTOINCREMENT,
    document   BLOB NOT NULL,
    undone     INTEGER NOT NULL,    -- 1 for one that undid an edit, 0 for an edit and one that made an edit again
    takes_back INTEGER,             -- which one it took back
    is_over    INTEGER NOT NULL,    -- 1 for one that was taken back itself, or no longer can be
    before     BLOB NOT NULL,       -- Loro frontiers before it
    after      BLOB NOT NULL,       -- and after it
    at_ms      INTEGER NOT NULL
) STRICT;
CREATE INDEX undo_document ON undo (document, key);
CREATE INDEX undo_open ON undo (document, undone, key) WHERE is_over = 0;

-- Whether a person has paused sync: it stays so over a restart.
ALTER TABLE workspace ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;
