use std::{fs, path::Path};

use bq_mining_message::{ShareReject, ShareSequence};
use bq_pool_history::{
    BlockEarnings, EarningLine, EndedRound, LuckHistory, Ring, Round, Series, SeriesKey, SlotNumber, Span, Subject,
};
use bq_primitives::{Algorithm, Amount, BlockId, KeyHash, Network, ShareDifficulty, Timestamp, WorkerName};

use crate::{Batch, BlockChange, BlockNote, DayEarnings, FILE_NAME, HistoryStore, HistoryStoreError, SeriesRow};

const GENESIS: BlockId = BlockId([1; 32]);

fn open(folder: &Path) -> HistoryStore {
    HistoryStore::open(&folder.join(FILE_NAME), Network::Devnet, &GENESIS).expect("opened")
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn key(name: &str) -> SeriesKey {
    let subject = Subject::Worker(KeyHash([7; 32]), WorkerName::new(name).expect("plain"));
    SeriesKey { subject, lane: Algorithm::RandomX }
}

fn row(key: &SeriesKey, series: &Series) -> SeriesRow {
    SeriesRow { key: key.clone(), value: series.to_bytes(), due: series.due(true).map(Box::new), luck: None }
}

fn all(store: &HistoryStore) -> Vec<(SeriesKey, Series)> {
    let mut all = Vec::new();
    assert_eq!(store.series(|key, series| all.push((key, series))), Ok(0));
    all
}

#[test]
fn what_is_written_is_read_back_by_the_next_one() {
    let folder = folder();
    let (mut series, name) = (Series::default(), key("rig"));
    for share in 0..5_000_u64 {
        let at = Timestamp(1_800_000_000 + share * 70);
        series.accept(at, ShareSequence(share + 1), ShareDifficulty::from_hashes(1 + share));
        if share % 1_000 == 0 {
            series.refuse(at, ShareReject::Stale);
            let store = open(folder.path());
            let batch = Batch { series: vec![row(&name, &series)], ..Batch::default() };
            store.write(&batch).expect("written");
            store.write(&batch).expect("written twice");
            series.stored(&series.due(true).unwrap_or_else(|| Span::ALL.map(Ring::new)));
        }
    }
    let whole = {
        let mut model = Series::default();
        for share in 0..=4_000_u64 {
            let at = Timestamp(1_800_000_000 + share * 70);
            model.accept(at, ShareSequence(share + 1), ShareDifficulty::from_hashes(1 + share));
            if share % 1_000 == 0 {
                model.refuse(at, ShareReject::Stale);
            }
        }
        model
    };
    let store = open(folder.path());
    let [(read_key, read)] = all(&store).try_into().expect("one");
    assert_eq!((read_key, read.totals()), (name.clone(), whole.totals()));
    let now = read.newest();
    for span in Span::ALL {
        let got = read.slots(span, store.rings(std::slice::from_ref(&name), span).expect("readable").remove(0), now);
        assert_eq!(got.newest(), Some(span.slot_at(now)), "{}", span.name());
        let first = span.slot_at(Timestamp(now.0.saturating_sub(span.secs() * 40)));
        assert_eq!(got.sum(first, span.slot_at(now)), whole.slots(span, None, now).sum(first, span.slot_at(now)));
    }
}

#[test]
fn a_dropped_series_leaves_nothing() {
    let folder = folder();
    let store = open(folder.path());
    let mut rows = Vec::new();
    for (place, name) in ["young", "old", "middle"].into_iter().enumerate() {
        let mut series = Series::default();
        let start = 1_800_000_000 + [9_000_000, 0, 5_000][place];
        for (sequence, at) in [(1, start), (2, start + 7_300)] {
            series.accept(Timestamp(at), ShareSequence(sequence), ShareDifficulty::MIN);
        }
        rows.push(row(&key(name), &series));
    }
    store.write(&Batch { series: rows, ..Batch::default() }).expect("written");
    let names = |store: &HistoryStore| all(store).into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    assert_eq!(names(&store), [key("middle"), key("old"), key("young")]);
    assert!(store.rings(&[key("old")], Span::Hour).expect("readable")[0].is_some());
    store.write(&Batch { dropped: vec![key("old"), key("nobody")], ..Batch::default() }).expect("written");
    assert_eq!(names(&store), [key("middle"), key("young")]);
    assert_eq!(store.rings(&[key("other"), key("old")], Span::Hour).map(|rings| rings.len()), Ok(2));
    assert_eq!(store.rings(&[key("old")], Span::Hour), Ok(vec![None]));
}

fn line(account: u8, atoms: u64) -> EarningLine {
    EarningLine { account: KeyHash([account; 32]), amount: Amount::from_atoms(atoms).expect("in range") }
}

#[test]
fn earnings_follow_what_a_block_credits_until_it_is_settled() {
    let folder = folder();
    let store = open(folder.path());
    let tell = |block: u8, change: BlockChange| {
        let blocks = vec![BlockNote { id: BlockId([block; 32]), change }];
        let batch = Batch { blocks, ..Batch::default() };
        store.write(&batch).expect("written");
        store.write(&batch).expect("written twice");
    };
    let credit = |day, lines: &[EarningLine]| {
        BlockChange::Earnings(Some(BlockEarnings { day: SlotNumber(day), lines: lines.to_vec() }))
    };
    let of = |account: u8| {
        let days = store.earnings(KeyHash([account; 32]), u32::MAX, 10).expect("readable");
        days.into_iter().map(|DayEarnings { day, atoms }| (day, atoms)).collect::<Vec<_>>()
    };
    tell(1, credit(20_000, &[line(1, 100), line(2, 50)]));
    tell(2, credit(20_000, &[line(1, 10)]));
    tell(3, credit(20_001, &[line(1, 7)]));
    assert_eq!((of(1), of(2)), (vec![(20_001, 7), (20_000, 110)], vec![(20_000, 50)]));
    tell(1, BlockChange::Earnings(None));
    assert_eq!((of(1), of(2)), (vec![(20_001, 7), (20_000, 10)], vec![]));
    tell(1, credit(20_000, &[line(1, 60)]));
    assert_eq!(of(1), [(20_001, 7), (20_000, 70)], "it came back and pays others");
    tell(1, BlockChange::Settled);
    tell(1, BlockChange::Earnings(None));
    assert_eq!(of(1), [(20_001, 7), (20_000, 70)], "what has matured stays credited");
    assert_eq!(
        store.earnings(KeyHash([1; 32]), 20_001, 1).expect("readable"),
        [DayEarnings { day: 20_000, atoms: 70 }]
    );
    store.write(&Batch { days_from: Some(20_001), ..Batch::default() }).expect("written");
    assert_eq!((of(1), of(2)), (vec![(20_001, 7)], vec![]));
}

#[test]
fn rounds_and_marks_stay() {
    let folder = folder();
    let (round, ended) = (Round { parts: 5 << 60, shares: 9, counted_to: ShareSequence(77) }, EndedRound::default());
    {
        let store = open(folder.path());
        assert_eq!((store.counted_before(), store.rounds()), (Ok(None), Ok(vec![])));
        let blocks = vec![BlockNote { id: BlockId([4; 32]), change: BlockChange::Round(ended) }];
        let rounds = vec![(Algorithm::Ethash, round)];
        store.write(&Batch { rounds, blocks, counted_before: Some(78), ..Batch::default() }).expect("written");
        store.write(&Batch::default()).expect("written");
    }
    let store = open(folder.path());
    assert_eq!((store.counted_before(), store.rounds()), (Ok(Some(78)), Ok(vec![(Algorithm::Ethash, round)])));
    assert_eq!(store.ended_rounds(&[5, 4, 6].map(|n| BlockId([n; 32]))), Ok(vec![None, Some(ended), None]));
}

type Spoil<'a> = &'a dyn Fn(&Path);

/// Whatever lies there, there is a usable file afterwards, and what lay there is kept.
#[test]
fn an_unusable_file_is_moved_aside() {
    let newer = |path: &Path| {
        drop(open(path.parent().expect("a folder")));
        let sql = "UPDATE file SET version = 2";
        rusqlite::Connection::open(path).and_then(|connection| connection.execute(sql, [])).expect("changed");
    };
    let other = |path: &Path| {
        let sql = "CREATE TABLE notes (text TEXT)";
        rusqlite::Connection::open(path).and_then(|connection| connection.execute_batch(sql)).expect("made");
    };
    let text = |path: &Path| fs::write(path, b"once upon a time ").expect("written");
    let cases: [(&str, Spoil<'_>); 5] = [
        ("no database", &text),
        ("newer", &newer),
        ("another program's", &other),
        ("another chain's", &|path| {
            drop(HistoryStore::open(path, Network::Devnet, &BlockId([9; 32])).expect("opened"));
        }),
        ("another table", &|path| {
            drop(open(path.parent().expect("a folder")));
            let sql = "DROP TABLE file";
            rusqlite::Connection::open(path).and_then(|connection| connection.execute_batch(sql)).expect("changed");
        }),
    ];
    for (what, spoil) in cases {
        let folder = folder();
        let path = folder.path().join(FILE_NAME);
        spoil(&path);
        let before = fs::read(&path).expect("there");
        let refused = HistoryStore::open(&path, Network::Devnet, &GENESIS);
        assert!(matches!(refused, Err(HistoryStoreError::Unusable { .. })), "{what}");
        let store = HistoryStore::open_or_begin_anew(&path, Network::Devnet, &GENESIS).expect(what);
        store.write(&Batch { counted_before: Some(1), ..Batch::default() }).expect(what);
        let moved = folder.path().join(format!("{FILE_NAME}.damaged-1"));
        assert_eq!(fs::read(moved).expect("kept").len(), before.len(), "{what}");
        drop(store);
        assert_eq!(open(folder.path()).counted_before(), Ok(Some(1)), "{what}");
    }
}

/// Damage in the middle of a file that opens is told as such, so that it can be begun anew.
#[test]
fn damaged_pages_are_told() {
    let folder = folder();
    let path = folder.path().join(FILE_NAME);
    {
        let store = open(folder.path());
        let mut series = Series::default();
        series.accept(Timestamp(1_800_000_000), ShareSequence(1), ShareDifficulty::MIN);
        let rows = (0..2_000).map(|number| row(&key(&format!("rig{number}")), &series)).collect();
        store.write(&Batch { series: rows, ..Batch::default() }).expect("written");
    }
    let mut bytes = fs::read(&path).expect("there");
    let from = 20 * 4096;
    bytes[from..].fill(0x5a);
    fs::write(&path, &bytes).expect("written");
    let store = open(folder.path());
    let told = store.series(|_, _| ());
    assert!(matches!(told, Err(HistoryStoreError::Unusable { .. })), "{told:?}");
    drop(store);
    let anew = HistoryStore::begin_anew(&path, Network::Devnet, &GENESIS, "it is damaged").expect("begun");
    assert_eq!(all(&anew), []);
}

#[test]
fn luck_is_kept_and_a_file_of_an_earlier_release_gets_room_for_it() {
    let folder = folder();
    let name = SeriesKey { subject: Subject::Account(KeyHash([7; 32])), lane: Algorithm::RandomX };
    drop(open(folder.path()));
    let earlier = rusqlite::Connection::open(folder.path().join(FILE_NAME)).expect("opened");
    earlier.execute_batch("DROP TABLE luck").expect("dropped");
    drop(earlier);
    let mut luck = LuckHistory::default();
    let store = open(folder.path());
    for found in [false, true] {
        luck.add(Timestamp(1_800_000_000), bq_ledger::ShareWeight::ONE, found);
        let of_account = SeriesRow { luck: Some(luck), ..row(&name, &Series::default()) };
        store.write(&Batch { series: vec![of_account], ..Batch::default() }).expect("written");
    }
    let read = |store: &HistoryStore| {
        let mut all = Vec::new();
        store.luck(|key, luck| all.push((key, luck))).expect("readable");
        all
    };
    drop(store);
    assert_eq!(read(&open(folder.path())), [(name.clone(), luck)]);
    let store = open(folder.path());
    store.write(&Batch { dropped: vec![name], ..Batch::default() }).expect("written");
    assert_eq!(read(&store), []);
}
