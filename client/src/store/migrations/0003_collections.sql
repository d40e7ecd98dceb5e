-- Records of collections as the documents hold them, to be searched. Each collection has a table of its own,
-- records_KEY (id, fields): made from the document, as far as `vv`, and made anew whenever that is in doubt.
CREATE TABLE collection (
    key      INTEGER PRIMARY KEY,
    document BLOB NOT NULL,
    name     TEXT NOT NULL,
    form     BLOB NOT NULL,       -- stands for how its fields were read when the table was made
    vv       BLOB,                -- how far the table is; NULL while it was never filled
    UNIQUE (document, name)
) STRICT;
