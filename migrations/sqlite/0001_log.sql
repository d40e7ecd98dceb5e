-- One row a workspace. `key` is what the other tables use: 16-byte ids in every index would double them.
CREATE TABLE workspace (
    key            INTEGER PRIMARY KEY,
    id             BLOB NOT NULL UNIQUE,
    tail           INTEGER NOT NULL,
    frontier       BLOB NOT NULL,           -- right edge of the Merkle tree at tail
    bytes          INTEGER NOT NULL,        -- envelope bytes stored, control entries left out
    log_changed_ms INTEGER NOT NULL         -- when the last new log id was given; 0 never
) STRICT;

-- Every life of a log; the one with the highest `first` is current.
CREATE TABLE log_life (
    workspace INTEGER NOT NULL REFERENCES workspace (key),
    number    INTEGER NOT NULL,             -- 0, 1, 2 … in the order they were given
    log       BLOB NOT NULL,
    first     INTEGER NOT NULL,             -- the first Seq written under it
    PRIMARY KEY (workspace, number)
) STRICT, WITHOUT ROWID;

-- The log. Only `body` ever goes (to NULL, below a checkpoint); the leaf stays.
CREATE TABLE entry (
    workspace     INTEGER NOT NULL REFERENCES workspace (key),
    seq           INTEGER NOT NULL,
    life          INTEGER NOT NULL,         -- log_life.number
    kind          INTEGER NOT NULL,
    document      BLOB NOT NULL,
    author        BLOB NOT NULL,
    author_seq    INTEGER NOT NULL,
    base_size     INTEGER NOT NULL,
    envelope_hash BLOB NOT NULL,
    root          BLOB NOT NULL,            -- Merkle root over entries 1…seq
    body          BLOB,
    PRIMARY KEY (workspace, seq)
) STRICT, WITHOUT ROWID;

-- Dedupe memory; outlives trimming because rows do.
CREATE UNIQUE INDEX entry_author ON entry (workspace, life, author, author_seq);
-- The roster chain.
CREATE INDEX entry_control ON entry (workspace, seq) WHERE kind = 3;

-- Derived from the roster chain in the transaction that appends a record; never written otherwise.
CREATE TABLE device (
    workspace INTEGER NOT NULL REFERENCES workspace (key),
    id        BLOB NOT NULL,
    ed        BLOB NOT NULL,
    scope     INTEGER NOT NULL,
    status    INTEGER NOT NULL,
    PRIMARY KEY (workspace, id)
) STRICT, WITHOUT ROWID;

-- Open invites, derived likewise; who redeemed one is the only thing here that the roster does not say.
CREATE TABLE link (
    workspace    INTEGER NOT NULL REFERENCES workspace (key),
    link_hash    BLOB NOT NULL,
    access_hash  BLOB NOT NULL,
    invite       BLOB NOT NULL,
    not_after_ms INTEGER NOT NULL,
    redeemed_by  BLOB,
    redeemed_ms  INTEGER,
    wrong        INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (workspace, link_hash)
) STRICT, WITHOUT ROWID;
