-- Rows that are asked for after every edit and every merge are found without a look at the others: documents that are
-- edited among all documents, and entries to be merged among all that wait for a key, a part or a newer app.
CREATE INDEX document_edited ON document (id) WHERE edited = 1;
CREATE INDEX inbox_open ON inbox (seq) WHERE waits = 0;
