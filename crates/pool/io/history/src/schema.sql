CREATE TABLE file (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    version INTEGER NOT NULL,
    network TEXT NOT NULL,
    genesis BLOB NOT NULL CHECK (length(genesis) = 32),
    counted_before INTEGER
) STRICT;

-- One row for a worker, an account or a lane: sums and the newest slots.
CREATE TABLE series (
    key BLOB PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Their older slots, by the length of one in seconds.
CREATE TABLE rings (
    key BLOB NOT NULL,
    span INTEGER NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (key, span)
) STRICT;

-- The present round of each lane.
CREATE TABLE rounds (
    lane TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Blocks of the pool: what they took, and what they credited while that may change.
CREATE TABLE blocks (
    id BLOB PRIMARY KEY CHECK (length(id) = 32),
    round BLOB,
    earnings BLOB,
    settled INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE earnings (
    account BLOB NOT NULL CHECK (length(account) = 32),
    day INTEGER NOT NULL,
    atoms INTEGER NOT NULL,
    PRIMARY KEY (account, day)
) STRICT, WITHOUT ROWID;
