-- The roots of each document: a name and a type, for every root that an operation wrote into.
CREATE TABLE root (
    document BLOB NOT NULL,
    name     TEXT NOT NULL,
    kind     INTEGER NOT NULL,      -- Loro's number of the container type
    PRIMARY KEY (document, name, kind)
) STRICT, WITHOUT ROWID;

-- Containers that an undo or a redo made again: an edit of the first is carried to the second.
CREATE TABLE made_again (
    document BLOB NOT NULL,
    old      TEXT NOT NULL,
    new      TEXT NOT NULL,
    turn     INTEGER NOT NULL,      -- the row of undo that did it
    PRIMARY KEY (document, old)
) STRICT, WITHOUT ROWID;

-- Entries put aside that the person has looked at: they are kept, and no longer counted.
ALTER TABLE quarantine ADD COLUMN accepted INTEGER NOT NULL DEFAULT 0;

-- Entries put aside in logs that this one took the place of: kept, and tried no more.
CREATE TABLE quarantine_of_old_logs (
    reason   TEXT NOT NULL,
    document BLOB,
    bytes    BLOB NOT NULL
) STRICT;
