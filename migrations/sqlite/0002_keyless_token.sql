-- Tokens for clients without device keys: they read sealed bytes, nothing else. Never the token, only SHA-256 of its id.
CREATE TABLE keyless_token (
    workspace  INTEGER NOT NULL REFERENCES workspace (key),
    id         BLOB NOT NULL,               -- SHA-256 of jti
    label      TEXT NOT NULL,               -- what the owner calls it, in clear
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    PRIMARY KEY (workspace, id)
) STRICT, WITHOUT ROWID;
