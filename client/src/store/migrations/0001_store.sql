-- One file a workspace. Nothing here leaves the device but sealed outbox rows and roster records.

CREATE TABLE workspace (
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    id          BLOB NOT NULL,
    server      TEXT NOT NULL,
    name        TEXT NOT NULL,
    device_seed BLOB NOT NULL,
    owner_seed  BLOB,             -- the device that created the workspace
    invite      BLOB,             -- link id and secret, kept until a record wraps the epoch key to this device's own key
    joined      INTEGER NOT NULL, -- 0 until the replace record is in
    -- the log as far as it was read
    log         BLOB NOT NULL,
    frontier    BLOB NOT NULL,
    authors_of  BLOB NOT NULL,
    resync      INTEGER NOT NULL, -- 0 none, 1 read, 2 reseal
    pending     BLOB,             -- a roster record of ours that is not in the log for certain
    epoch_top   INTEGER NOT NULL DEFAULT 0, -- the highest epoch of any record this device ever sent
    own_seq     INTEGER NOT NULL DEFAULT 0 -- the number of this device's last entry in the log
) STRICT;

-- Roster records: branch 0 is the newest roster this device knows, branch 1 the log's at the cursor.
CREATE TABLE record (
    branch  INTEGER NOT NULL,
    version INTEGER NOT NULL,
    bytes   BLOB NOT NULL,
    PRIMARY KEY (branch, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE leaf (
    seq  INTEGER PRIMARY KEY,
    leaf BLOB NOT NULL,
    root BLOB NOT NULL            -- over entries 1…seq
) STRICT;

CREATE TABLE author (
    device    BLOB PRIMARY KEY,
    last      INTEGER NOT NULL,
    base_size INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE document (
    id       BLOB PRIMARY KEY,
    snapshot BLOB,                -- Loro snapshot of this device
    log_vv   BLOB NOT NULL,       -- what the log has of it, as far as this device knows
    edited   INTEGER NOT NULL,    -- whether it holds operations that log_vv lacks
    schema   INTEGER NOT NULL     -- the highest schema version met in it
) STRICT, WITHOUT ROWID;

-- What the snapshot lacks: own commits and merged updates, in the order they came.
CREATE TABLE change (
    key      INTEGER PRIMARY KEY,
    document BLOB NOT NULL,
    left_out INTEGER NOT NULL DEFAULT 0, -- 1 if Loro does not load it: kept, and counted with what was put aside
    bytes    BLOB NOT NULL
) STRICT;
CREATE INDEX change_document ON change (document, key);

CREATE TABLE outbox (
    author_seq INTEGER PRIMARY KEY,
    document   BLOB NOT NULL,
    hash       BLOB NOT NULL,
    until_vv   BLOB,              -- on the last part of a blob: what the log has of the document once it was met
    bytes      BLOB NOT NULL
) STRICT;

-- Verified entries not yet merged: they wait for the merge, for missing parts, or for a key.
CREATE TABLE inbox (
    seq      INTEGER PRIMARY KEY,
    document BLOB NOT NULL,
    waits    INTEGER NOT NULL,    -- 1 once it was looked at and something was missing
    blob     BLOB,                -- which blob, once it was seen to be a part of one
    bytes    BLOB NOT NULL
) STRICT;
CREATE INDEX inbox_blob ON inbox (blob) WHERE blob IS NOT NULL;

-- Written before Loro is given foreign or saved bytes, gone once that ended: what the process may have died of.
CREATE TABLE risk (
    what   TEXT PRIMARY KEY,      -- an entry (the first part, where there are several), a document, or a change
    active INTEGER NOT NULL,      -- 1 while Loro has it
    deaths INTEGER NOT NULL       -- how many processes died meanwhile
) STRICT, WITHOUT ROWID;

CREATE TABLE quarantine (
    seq    INTEGER PRIMARY KEY,
    reason TEXT NOT NULL,
    bytes  BLOB NOT NULL
) STRICT;

-- How far the other devices had read when they last told.
CREATE TABLE seen (
    device BLOB PRIMARY KEY,
    log    BLOB NOT NULL,
    size   INTEGER NOT NULL,
    root   BLOB NOT NULL,
    at_ms  INTEGER NOT NULL       -- by the server's clock
) STRICT, WITHOUT ROWID;

-- Devices that signed another root of this log than this one has at that size. A new log id settles it: a server that
-- lost history shows two logs until one of the two devices has told it so.
CREATE TABLE contradiction (
    device BLOB NOT NULL,
    size   INTEGER NOT NULL,
    root   BLOB NOT NULL,
    PRIMARY KEY (device, size)
) STRICT, WITHOUT ROWID;

CREATE TABLE divergence (
    key      INTEGER PRIMARY KEY,
    what     TEXT NOT NULL,
    evidence BLOB NOT NULL
) STRICT;
