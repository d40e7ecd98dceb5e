-- How far each device has verified the log: the last it told, signed by it. Lost, it is told again.
CREATE TABLE seen (
    workspace INTEGER NOT NULL REFERENCES workspace (key),
    device    BLOB NOT NULL,
    log       BLOB NOT NULL,
    epoch     INTEGER NOT NULL,
    size      INTEGER NOT NULL,
    root      BLOB NOT NULL,
    at_ms     INTEGER NOT NULL,               -- when it was stored
    signature BLOB NOT NULL,
    PRIMARY KEY (workspace, device)
) STRICT, WITHOUT ROWID;
