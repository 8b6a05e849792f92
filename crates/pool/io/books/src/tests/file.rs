//! What is special about a ledger in a SQLite file.

use std::{fs, path::PathBuf};

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::{LedgerStore, SqliteLedger, StoreError};

fn folder() -> (TempDir, PathBuf) {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("ledger.sqlite");
    (folder, path)
}

fn open(path: &std::path::Path) -> Result<SqliteLedger, StoreError> {
    SqliteLedger::open(path, NETWORK, &GENESIS)
}

/// A ledger with two matured blocks, closed.
fn used_ledger(path: &std::path::Path) {
    let store = open(path).expect("a ledger");
    let account = store.account_for(&address(1), 0).expect("made");
    for number in 1..=2 {
        store.add_candidate(&candidate(number, 1000, Some(account))).expect("written");
        store.credit_block(&block(number), &window(&[account]), fee(100), 0).expect("credited");
        store.mature_block(&block(number), 0).expect("matured");
    }
}

#[test]
fn the_ledger_of_another_chain_is_refused_by_name() {
    let (_folder, path) = folder();
    drop(open(&path).expect("made"));
    for (network, genesis) in [(Network::Devnet, GENESIS), (NETWORK, block(1))] {
        let error = SqliteLedger::open(&path, network, &genesis).err().expect("another chain");
        assert!(matches!(error, StoreError::Foreign { .. }) && error.needs_a_person());
        assert!(error.to_string().contains("ledger.sqlite"), "{error}");
    }
    open(&path).expect("its own chain");
}

#[test]
fn other_files_are_refused_and_left_alone() {
    let (_folder, path) = folder();
    fs::write(&path, b"not a database, and long enough to be looked at as one".repeat(100)).expect("written");
    assert!(matches!(open(&path), Err(StoreError::Foreign { .. })));
    fs::remove_file(&path).expect("removed");

    let other = Connection::open(&path).expect("opened");
    other.execute_batch("CREATE TABLE recipes (name TEXT)").expect("made");
    drop(other);
    let before = fs::read(&path).expect("readable");
    assert!(matches!(open(&path), Err(StoreError::Foreign { .. })));
    assert_eq!(fs::read(&path).expect("readable"), before);
    fs::remove_file(&path).expect("removed");

    drop(open(&path).expect("made"));
    let newer = Connection::open(&path).expect("opened");
    newer.execute_batch("UPDATE schema_version SET version = 99").expect("changed");
    drop(newer);
    let error = open(&path).err().expect("from the future");
    assert!(error.to_string().contains("99"), "{error}");
}

#[test]
fn a_damaged_file_is_refused() {
    let (_folder, path) = folder();
    used_ledger(&path);
    let mut bytes = fs::read(&path).expect("readable");
    assert!(bytes.len() > 3 * 4096);
    for byte in &mut bytes[4096..3 * 4096] {
        *byte ^= 0x5a;
    }
    fs::write(&path, bytes).expect("written");
    let error = open(&path).err().expect("damaged");
    assert!(error.needs_a_person() && error.to_string().contains("ledger.sqlite"), "{error}");
}

#[test]
fn history_cannot_be_edited_by_sql() {
    let (_folder, path) = folder();
    used_ledger(&path);
    let outside = Connection::open(&path).expect("opened");
    for sql in [
        "UPDATE transfers SET amount = 1",
        "UPDATE transfers SET time_ms = 1 WHERE id = 1",
        "DELETE FROM transfers WHERE id = 1",
        "UPDATE balances SET balance = -1",
        "INSERT INTO accounts (id, address, time_ms) VALUES (7, 'x', 'yesterday')",
    ] {
        assert!(outside.execute(sql, []).is_err(), "{sql}");
    }
}

#[test]
fn the_audit_finds_what_the_triggers_could_not_stop() {
    let changes = [
        ("UPDATE balances SET balance = balance + 1 WHERE account = 'chain_spendable'", "chain_spendable"),
        ("DELETE FROM balances WHERE account = 'carry:randomx'", "carry:randomx"),
        ("INSERT INTO balances VALUES ('suspense', 5)", "suspense"),
        ("DROP TRIGGER transfers_keep_their_content; UPDATE transfers SET amount = amount + 1 WHERE id = 2", "line 2"),
        ("DROP TRIGGER transfers_stay; DELETE FROM transfers WHERE id = 3", "line 3"),
        ("UPDATE pool_blocks SET reward = reward + 1 WHERE number = 2", "coinbase"),
    ];
    for (sql, named) in changes {
        let (_folder, path) = folder();
        used_ledger(&path);
        Connection::open(&path).expect("opened").execute_batch(sql).expect("changed");
        let store = open(&path).expect("the file itself is sound");
        let error = store.audit().expect_err(sql);
        assert!(matches!(&error, StoreError::Integrity { reason, .. } if reason.contains(named)), "{sql}: {error}");
        assert!(matches!(store.account_for(&address(9), 0), Err(StoreError::Integrity { .. })), "{sql}");
    }
}

#[test]
fn a_full_disk_rolls_back_and_the_next_write_succeeds() {
    let (_folder, path) = folder();
    used_ledger(&path);
    let store = open(&path).expect("a ledger");
    let before = store.journal_head().expect("readable");
    store.limit_pages(true);
    let mut wide = candidate(3, 1000, None);
    wide.bytes = vec![3; 1 << 20];
    let error = store.add_candidate(&wide).expect_err("no room for a megabyte");
    assert!(matches!(error, StoreError::DiskFull(_)) && error.is_transient(), "{error}");
    assert_eq!(store.pool_block(&block(3)).expect("readable"), None);
    assert_eq!(store.journal_head().expect("readable"), before);
    store.limit_pages(false);
    store.add_candidate(&wide).expect("there is room again");
    store.audit().expect("sound");
}

impl SqliteLedger {
    /// Lets the file grow no further, as a full disk would, or lifts the limit.
    fn limit_pages(&self, limited: bool) {
        let pages: i64 = if limited { 1 } else { 1 << 30 };
        self.with_writer(|connection| {
            // SQLite never sets the limit below what the file has already.
            let set: i64 = connection
                .pragma_update_and_check(None, "max_page_count", pages, |row| row.get(0))
                .expect("the limit can be set");
            assert!(set >= pages);
        });
    }
}
