CREATE TABLE pool (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    version INTEGER NOT NULL,
    network TEXT NOT NULL,
    genesis BLOB NOT NULL CHECK (length(genesis) = 32)
) STRICT;

-- The truth: every event, chained by hashes. Appended to, never edited.
CREATE TABLE events (
    number INTEGER PRIMARY KEY CHECK (number >= 1),
    kind TEXT NOT NULL,
    bytes BLOB NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE INDEX events_by_kind ON events (kind, number);
CREATE TRIGGER events_keep_their_content BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'the log is never edited'); END;
CREATE TRIGGER events_stay BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'the log is never edited'); END;

-- States to start from: the newest two.
CREATE TABLE checkpoints (
    number INTEGER PRIMARY KEY CHECK (number >= 1),
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    state BLOB NOT NULL
) STRICT;

-- Copies of what the events come to, for those who look. Can be made again from the events.
CREATE TABLE rows (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    list TEXT NOT NULL,
    place INTEGER NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX rows_by_place ON rows (kind, list, place);
