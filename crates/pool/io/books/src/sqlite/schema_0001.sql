CREATE TABLE chain (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    network TEXT NOT NULL,
    genesis BLOB NOT NULL CHECK (length(genesis) = 32)
) STRICT;

CREATE TABLE accounts (
    id INTEGER PRIMARY KEY CHECK (id BETWEEN 1 AND 4294967295),
    address TEXT NOT NULL UNIQUE,
    time_ms INTEGER NOT NULL
) STRICT;

-- The journal: appended to, never edited. subject is a block id or a payout number.
CREATE TABLE transfers (
    id INTEGER PRIMARY KEY CHECK (id >= 1),
    batch INTEGER NOT NULL CHECK (batch >= 1),
    key BLOB NOT NULL UNIQUE CHECK (length(key) = 32),
    code INTEGER NOT NULL CHECK (code BETWEEN 1 AND 99),
    subject TEXT NOT NULL,
    generation INTEGER NOT NULL CHECK (generation >= 0),
    debit TEXT NOT NULL,
    credit TEXT NOT NULL CHECK (credit <> debit),
    amount INTEGER NOT NULL CHECK (amount BETWEEN 1 AND 9007199254740991),
    time_ms INTEGER NOT NULL,
    prev_hash BLOB NOT NULL CHECK (length(prev_hash) = 32),
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32)
) STRICT;
CREATE INDEX transfers_by_subject ON transfers (subject, code, generation);
CREATE TRIGGER transfers_keep_their_content BEFORE UPDATE ON transfers
BEGIN SELECT RAISE(ABORT, 'the journal is never edited'); END;
CREATE TRIGGER transfers_stay BEFORE DELETE ON transfers
BEGIN SELECT RAISE(ABORT, 'the journal is never edited'); END;

-- What the journal folds to, checked against it by every audit.
CREATE TABLE balances (
    account TEXT PRIMARY KEY,
    balance INTEGER NOT NULL CHECK (balance >= 0)
) STRICT, WITHOUT ROWID;

CREATE TABLE schemes (
    id INTEGER PRIMARY KEY,
    from_share INTEGER NOT NULL CHECK (from_share >= 1),
    fee_bp INTEGER NOT NULL CHECK (fee_bp BETWEEN 0 AND 10000),
    window_units INTEGER NOT NULL CHECK (window_units BETWEEN 1 AND 64),
    time_ms INTEGER NOT NULL
) STRICT;
CREATE TRIGGER schemes_keep_their_content BEFORE UPDATE ON schemes
BEGIN SELECT RAISE(ABORT, 'terms are never edited'); END;
CREATE TRIGGER schemes_stay BEFORE DELETE ON schemes
BEGIN SELECT RAISE(ABORT, 'terms are never edited'); END;

CREATE TABLE pool_blocks (
    number INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 32),
    height INTEGER NOT NULL,
    algorithm TEXT NOT NULL,
    reward INTEGER NOT NULL CHECK (reward BETWEEN 0 AND 9007199254740991),
    -- Blocks sealed from one template share their coinbase; at most one of them is on the best chain.
    coinbase BLOB NOT NULL CHECK (length(coinbase) = 32),
    time INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('found', 'immature', 'matured', 'orphaned', 'lost', 'rejected')),
    generation INTEGER NOT NULL DEFAULT 0 CHECK (generation >= 0),
    winning_share INTEGER CHECK (winning_share >= 0),
    payees INTEGER NOT NULL DEFAULT 0,
    finder INTEGER REFERENCES accounts (id),
    worker TEXT,
    difficulty TEXT,
    network_difficulty TEXT,
    share_time_ms INTEGER,
    bytes BLOB
) STRICT;
CREATE INDEX pool_blocks_by_state ON pool_blocks (state, height);
CREATE INDEX pool_blocks_by_height ON pool_blocks (height);
CREATE INDEX pool_blocks_by_coinbase ON pool_blocks (coinbase);
CREATE INDEX pool_blocks_without_share ON pool_blocks (number) WHERE winning_share IS NULL;

CREATE TABLE payouts (
    id INTEGER PRIMARY KEY,
    txid BLOB NOT NULL UNIQUE CHECK (length(txid) = 32),
    state TEXT NOT NULL
        CHECK (state IN ('reserved', 'signed', 'broadcast', 'confirmed', 'final', 'blocked', 'void')),
    network_fee INTEGER NOT NULL CHECK (network_fee >= 0),
    change INTEGER NOT NULL CHECK (change >= 0),
    time_ms INTEGER NOT NULL,
    signed BLOB
) STRICT;
CREATE INDEX payouts_by_state ON payouts (state);
CREATE TRIGGER payouts_keep_their_bytes BEFORE UPDATE OF id, txid, network_fee, change, time_ms, signed ON payouts
WHEN OLD.signed IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a signed payout is never edited'); END;
CREATE TRIGGER payouts_stay BEFORE DELETE ON payouts
BEGIN SELECT RAISE(ABORT, 'payouts are never removed'); END;

CREATE TABLE payout_inputs (
    payout INTEGER NOT NULL REFERENCES payouts (id),
    position INTEGER NOT NULL,
    txid BLOB NOT NULL CHECK (length(txid) = 32),
    output INTEGER NOT NULL,
    amount INTEGER NOT NULL CHECK (amount BETWEEN 1 AND 9007199254740991),
    PRIMARY KEY (payout, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE payout_entries (
    payout INTEGER NOT NULL REFERENCES payouts (id),
    account INTEGER NOT NULL REFERENCES accounts (id),
    gross INTEGER NOT NULL CHECK (gross BETWEEN 1 AND 9007199254740991),
    fee INTEGER NOT NULL CHECK (fee >= 0 AND fee < gross),
    PRIMARY KEY (payout, account)
) STRICT, WITHOUT ROWID;
CREATE INDEX payout_entries_by_account ON payout_entries (account, payout);
CREATE TRIGGER payout_inputs_keep_their_content BEFORE UPDATE ON payout_inputs
BEGIN SELECT RAISE(ABORT, 'a payout is never edited'); END;
CREATE TRIGGER payout_inputs_stay BEFORE DELETE ON payout_inputs
BEGIN SELECT RAISE(ABORT, 'a payout is never edited'); END;
CREATE TRIGGER payout_entries_keep_their_content BEFORE UPDATE ON payout_entries
BEGIN SELECT RAISE(ABORT, 'a payout is never edited'); END;
CREATE TRIGGER payout_entries_stay BEFORE DELETE ON payout_entries
BEGIN SELECT RAISE(ABORT, 'a payout is never edited'); END;
