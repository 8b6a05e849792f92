use bq_pool_machine::{LogHead, LogNumber};
use bq_primitives::{BlockId, Network};
use tempfile::TempDir;

use crate::{Batch, BookStore, Checkpoint, NewEvent, OlderCheckpoints, Row, RowKind, SqliteBooks, StoreError};

const GENESIS: BlockId = BlockId([7; 32]);

fn open(folder: &TempDir) -> SqliteBooks {
    SqliteBooks::open(&folder.path().join("books.sqlite"), Network::Regtest, &GENESIS).expect("sound")
}

/// Events with these bytes after `expected`.
fn batch(expected: LogHead, events: &[&[u8]]) -> Batch {
    let mut head = expected;
    let events = events.iter().map(|bytes| {
        head = head.after(bytes);
        NewEvent { head, kind: "frame", bytes: bytes.to_vec() }
    });
    Batch { expected, events: events.collect(), ..Batch::default() }
}

fn row(key: &str, group: &str, order: u64, value: Option<&[u8]>) -> Row {
    Row { kind: RowKind::Block, key: key.to_owned(), group: group.to_owned(), order, value: value.map(<[u8]>::to_vec) }
}

/// What every store must do.
fn conforms(books: &dyn BookStore) {
    assert_eq!(books.head(), Ok(LogHead::default()));
    assert_eq!(books.checkpoint(), Ok(None));
    let mut first = batch(LogHead::default(), &[b"a", b"b", b"c"]);
    first.rows = vec![row("x", "l", 1, Some(b"1")), row("y", "l", 2, Some(b"2")), row("z", "m", 3, Some(b"3"))];
    books.append(&first).expect("the first");
    let head = books.head().expect("reads");
    assert_eq!(head, first.events[2].head);
    let again = books.append(&first);
    assert_eq!(again, Err(StoreError::Head { got: head, expected: LogHead::default() }), "appended once");
    let mut second = batch(head, &[b"d"]);
    second.events[0].kind = "chain";
    second.rows = vec![row("x", "l", 9, Some(b"new")), row("y", "l", 2, None)];
    second.checkpoint = Some(Checkpoint { head, state: vec![1, 2, 3] });
    books.append(&second).expect("the second");
    let events = books.read(LogNumber(2), 2).expect("reads");
    assert_eq!(events.iter().map(|event| event.bytes.clone()).collect::<Vec<_>>(), [b"b", b"c"]);
    assert_eq!(events[0].head, first.events[1].head);
    assert_eq!(books.read(LogNumber(5), 9), Ok(Vec::new()));
    let newest = books.newest("frame", LogNumber(u64::MAX), 2).expect("reads");
    assert_eq!(newest.iter().map(|event| event.head.number.0).collect::<Vec<_>>(), [3, 2]);
    assert_eq!(books.newest("frame", LogNumber(2), 9).expect("reads").len(), 1);
    assert_eq!(books.hash_at(LogNumber(4)), Ok(Some(second.events[0].head.hash)));
    assert_eq!(books.hash_at(LogNumber(5)), Ok(None));
    assert_eq!(books.hash_at(LogNumber(0)), Ok(Some(LogHead::default().hash)));
    assert_eq!(books.checkpoint(), Ok(second.checkpoint.clone()));
    assert_eq!(books.row(RowKind::Block, "x"), Ok(Some(b"new".to_vec())));
    assert_eq!(books.row(RowKind::Block, "y"), Ok(None));
    assert_eq!(books.row(RowKind::Payout, "x"), Ok(None));
    let list = |group, before| {
        let rows = books.rows(RowKind::Block, group, before, 10).expect("reads");
        rows.into_iter().map(|row| (row.key, row.order)).collect::<Vec<_>>()
    };
    assert_eq!(list("l", u64::MAX), [("x".to_owned(), 9)]);
    assert_eq!(list("m", 3), []);
    assert_eq!(list("m", 4), [("z".to_owned(), 3)]);
    pages_conform(books);
}

/// Pages of one, of two and so on have the same rows as the list, those of one order too.
fn pages_conform(books: &dyn BookStore) {
    let mut more = batch(books.head().expect("reads"), &[b"e"]);
    more.rows = ["a", "b", "c", "d"].map(|key| row(key, "p", 7, Some(b""))).to_vec();
    more.rows.extend([row("e", "p", 8, Some(b"")), row("f", "p", 6, Some(b""))]);
    books.append(&more).expect("appended");
    for size in 1..8 {
        let mut seen: Vec<(String, u64)> = Vec::new();
        loop {
            let after = seen.last().map(|(key, order)| (*order, key.as_str()));
            let page = books.page(RowKind::Block, "p", after, size).expect("reads");
            assert!(page.len() <= size);
            if page.is_empty() {
                break;
            }
            seen.extend(page.into_iter().map(|row| (row.key, row.order)));
        }
        let expected = [("e", 8), ("d", 7), ("c", 7), ("b", 7), ("a", 7), ("f", 6)];
        assert_eq!(seen, expected.map(|(key, order)| (key.to_owned(), order)), "pages of {size}");
    }
}

#[test]
fn sqlite_conforms_and_finds_everything_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let books = open(&folder);
    conforms(&books);
    let copy = folder.path().join("copy.sqlite");
    books.back_up(&copy).expect("room");
    assert!(books.back_up(&copy).is_err(), "nothing is overwritten");
    let head = books.head();
    drop(books);
    assert_eq!(open(&folder).head(), head);
    let copied = SqliteBooks::open(&copy, Network::Regtest, &GENESIS).expect("a copy");
    assert_eq!(copied.head(), head);
    assert_eq!(copied.checkpoint().map(|checkpoint| checkpoint.is_some()), Ok(true));
}

#[test]
fn a_refused_batch_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let books = open(&folder);
    let mut twice = batch(LogHead::default(), &[b"a"]);
    twice.events.push(twice.events[0].clone());
    twice.rows = vec![row("x", "", 1, Some(b"1"))];
    assert!(matches!(books.append(&twice), Err(StoreError::Corrupt { .. })));
    assert_eq!(books.head(), Ok(LogHead::default()));
    assert_eq!(books.row(RowKind::Block, "x"), Ok(None));
}

#[test]
fn the_log_cannot_be_edited_by_accident() {
    let folder = tempfile::tempdir().expect("a folder");
    let books = open(&folder);
    books.append(&batch(LogHead::default(), &[b"a"])).expect("the first");
    drop(books);
    let raw = rusqlite::Connection::open(folder.path().join("books.sqlite")).expect("opens");
    for sql in ["UPDATE events SET bytes = x'00'", "DELETE FROM events"] {
        let error = raw.execute(sql, []).expect_err("refused").to_string();
        assert!(error.contains("never edited"), "{error}");
    }
}

#[test]
fn another_chain_and_another_program_are_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(open(&folder));
    let path = folder.path().join("books.sqlite");
    for (network, genesis) in [(Network::Devnet, GENESIS), (Network::Regtest, BlockId([8; 32]))] {
        let refused = SqliteBooks::open(&path, network, &genesis).err();
        assert!(matches!(refused, Some(StoreError::Foreign { .. })), "{refused:?}");
    }
    let other = folder.path().join("other.sqlite");
    rusqlite::Connection::open(&other).and_then(|raw| raw.execute("CREATE TABLE t (a)", [])).expect("made");
    let refused = SqliteBooks::open(&other, Network::Regtest, &GENESIS).err();
    assert!(matches!(refused, Some(StoreError::Foreign { .. })), "{refused:?}");
    std::fs::write(&other, b"this is no database, however long it may be").expect("written");
    let refused = SqliteBooks::open(&other, Network::Regtest, &GENESIS).err();
    assert!(matches!(refused, Some(StoreError::Foreign { .. })), "{refused:?}");
}

#[test]
fn only_the_newest_checkpoints_are_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let books = open(&folder);
    let mut head = LogHead::default();
    for number in 1..=5_u8 {
        let mut next = batch(head, &[&[number]]);
        next.checkpoint = Some(Checkpoint { head: next.events[0].head, state: vec![number] });
        books.append(&next).expect("in order");
        head = next.events[0].head;
    }
    assert_eq!(books.checkpoint().expect("reads").expect("some").state, [5]);
    drop(books);
    let raw = rusqlite::Connection::open(folder.path().join("books.sqlite")).expect("opens");
    let kept: i64 = raw.query_row("SELECT count(*) FROM checkpoints", [], |row| row.get(0)).expect("reads");
    assert_eq!(kept, 2);
}

#[test]
fn a_passing_checkpoint_makes_room_for_the_next_and_for_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let books = open(&folder);
    let mut head = LogHead::default();
    let mut passing = None;
    for (number, is_passing) in [(1, false), (2, false), (3, true), (4, true), (5, true), (6, false), (7, true)] {
        let mut next = batch(head, &[&[number]]);
        let checkpoint = Checkpoint { head: next.events[0].head, state: vec![number] };
        next.older = OlderCheckpoints { is_passing, forgotten: passing };
        passing = is_passing.then_some(checkpoint.head.number);
        next.checkpoint = Some(checkpoint);
        books.append(&next).expect("in order");
        head = next.events[0].head;
        let oldest = books.oldest_checkpoint().expect("reads").expect("some").state;
        assert_eq!(oldest, [if number < 6 { 1 } else { 2 }], "after {number}");
        assert_eq!(books.checkpoint().expect("reads").expect("some").state, [number]);
    }
}
