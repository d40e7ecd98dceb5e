-- Schema versions: how far an app's own migrations are, document by document.

-- Snapshots lie apart: SQLite writes a row as a whole, and the rest of a document's row changes with every commit.
CREATE TABLE snapshot (
    document BLOB PRIMARY KEY,
    bytes    BLOB NOT NULL
) STRICT;
INSERT INTO snapshot SELECT id, snapshot FROM document WHERE snapshot IS NOT NULL;
ALTER TABLE document DROP COLUMN snapshot;

ALTER TABLE workspace ADD COLUMN migrated INTEGER NOT NULL DEFAULT 0; -- the schema version the file was last opened under
ALTER TABLE workspace ADD COLUMN migrating INTEGER;                   -- the one it is being brought to; there is a backup

ALTER TABLE document ADD COLUMN reader_min INTEGER NOT NULL DEFAULT 0; -- the lowest schema version that may read it
ALTER TABLE document ADD COLUMN migrated INTEGER NOT NULL DEFAULT 0;   -- the schema version whose steps looked at all of it

-- An entry put aside may be a rewrite, which must not be made once more.
ALTER TABLE quarantine ADD COLUMN document BLOB;
ALTER TABLE quarantine ADD COLUMN reader_min INTEGER NOT NULL DEFAULT 0;

-- A rewrite: appended only if the log still ends there, and merged when it is met.
ALTER TABLE outbox ADD COLUMN if_tail INTEGER;

-- Which device wrote under which Loro peer id, as far as this device knows.
CREATE TABLE peer (
    document BLOB NOT NULL,
    peer     INTEGER NOT NULL,
    device   BLOB NOT NULL,
    PRIMARY KEY (document, peer)
) STRICT, WITHOUT ROWID;

-- Edits of content that a rewrite had moved already: kept where they are, for the app to look at.
CREATE TABLE late (
    document BLOB NOT NULL,
    version  INTEGER NOT NULL,    -- whose rewrite they missed
    peer     INTEGER NOT NULL,    -- who wrote them
    until    INTEGER NOT NULL,    -- up to which of that peer's operations
    is_done  INTEGER NOT NULL,    -- 1 once the app has dealt with them
    PRIMARY KEY (document, version, peer)
) STRICT, WITHOUT ROWID;
