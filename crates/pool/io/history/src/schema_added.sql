-- How many blocks an account or a lane was expected to find, and did.
CREATE TABLE IF NOT EXISTS luck (
    key BLOB PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
