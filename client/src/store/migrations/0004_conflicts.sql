-- Values that one device wrote into a record and another hid without having seen them.
CREATE TABLE conflict (
    key         INTEGER PRIMARY KEY,
    document    BLOB NOT NULL,
    collection  TEXT NOT NULL,
    record      TEXT NOT NULL,
    field       TEXT NOT NULL,
    kept        TEXT NOT NULL,    -- JSON
    kept_peer   INTEGER NOT NULL,
    hidden      TEXT NOT NULL,    -- JSON
    hidden_peer INTEGER NOT NULL,
    UNIQUE (document, collection, record, field, hidden_peer, hidden)
) STRICT;
