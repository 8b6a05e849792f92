//! Any flipped bit in what a pool keeps is found, and the place is named; or it lies where nobody reads.
//!
//! `make flips` runs ten thousand and prints the table (docs/pool.md, "Proof").

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use bq_chain_api::NodeApi as _;
use bq_pool_machine::{Act, Decision, Event, Operator, Reason};
use bq_pool_proof::{Document as _, Evidence};
use bq_primitives::tagged_hash;
use rusqlite::{Connection, OpenFlags};

use super::{
    fake_node::MATURITY,
    world::{D, World, fast_folder, key},
};
use crate::{NodeBlocks, PoolFiles, StoppedError, StoppedPool, Wanted, replay_export};

/// Flips of the gate; the long form asks for more.
const FLIPS: usize = 264;

/// Where a bit is flipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Segment,
    AnyOfBooks,
    Event,
    Row,
    SignedBytes,
    AdoptedBytes,
    IndexPage,
    Checkpoint,
    Backup,
    Export,
    Proof,
}

const KINDS: [Kind; 11] = [
    Kind::Segment,
    Kind::AnyOfBooks,
    Kind::Event,
    Kind::Row,
    Kind::SignedBytes,
    Kind::AdoptedBytes,
    Kind::IndexPage,
    Kind::Checkpoint,
    Kind::Backup,
    Kind::Export,
    Kind::Proof,
];

/// What became of a flip.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// In words, with the place.
    Found(String),
    /// Every table gives what it gave, and its file is sound.
    Harmless,
    Missed,
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 += 1;
        let hash = tagged_hash("flips", &[&self.0.to_le_bytes()]);
        let number = u64::from_le_bytes(*hash.first_chunk().expect("32 bytes"));
        usize::try_from(number % u64::try_from(end).expect("small")).expect("small")
    }
}

/// A pool that paid by payouts, final and open ones, and took over some that a copy of its books had forgotten, with checkpoints, credits and
/// a statement; and what it gives out of itself.
fn world() -> (World, Vec<Evidence>) {
    let mut world = World::stating(|config| {
        config.segment_shares = 12;
        config.statement_interval = Duration::from_secs(60);
    });
    forget_payouts(&mut world);
    for round in 0..5_u8 {
        for miner in 1..=5 {
            world.mine_share(miner, D / 8 + u64::from(miner));
        }
        world.settle();
        world.find_block(1 + round, D / 4);
        world.settle();
        if round == 2 {
            world.keeper().checkpoint(true).expect("written");
            world.node.mine_many(MATURITY + 4);
            world.settle();
        }
    }
    world.keeper().state_liabilities().expect("stated");
    world.mine_share(2, D / 3);
    let block = world.find_block(2, D / 4);
    world.settle();
    world.keeper().checkpoint(true).expect("written");
    world.mine_share(3, D / 3);
    world.find_block(3, D / 4);
    world.settle();
    let wanted = [
        Wanted::Shares { upto: None },
        Wanted::Share { share: None },
        Wanted::Credit { block },
        Wanted::Owed { epoch: None },
    ];
    let proof = |wanted| world.keeper().evidence(key(2), wanted).expect("readable").expect("there is one");
    let proofs = wanted.iter().map(proof).collect();
    world.close();
    (world, proofs)
}

/// Payouts of which the chain knows and the books, which are an older copy, do not: they are taken over.
fn forget_payouts(world: &mut World) {
    world.mine_share(1, D);
    world.settle();
    let copy = world.folder.path().join("copy.sqlite");
    world.keeper().store.back_up(&copy).expect("copied");
    for miner in 1..=3 {
        world.mine_share(miner, D);
        world.settle();
        world.find_block(miner, D);
        world.node.mine_many(MATURITY + 1);
        world.settle();
        world.node.mine_many(MATURITY + 1);
        world.settle();
    }
    world.put_back(&copy);
    fs::remove_file(copy).expect("there");
    world.restart();
    world.settle();
    let reason = Reason { who: "ops".to_owned(), why: "an old copy".to_owned() };
    world.keeper().decide(&Decision::Recover, &reason, false).unwrap_or_else(|refusal| panic!("{refusal}"));
    for _ in 0..4 {
        world.node.mine_many(MATURITY);
        world.settle();
    }
    assert_eq!(world.names(), Vec::<&str>::new());
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("listed") {
        let entry = entry.expect("a file");
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).expect("copied");
        }
    }
}

/// All that a reader of the books can get.
fn dump(books: &Path) -> Option<Vec<String>> {
    let name = format!("file:{}?immutable=1", books.display());
    let books =
        Connection::open_with_flags(name, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI).ok()?;
    let mut all = Vec::new();
    for sql in [
        "SELECT * FROM pool",
        "SELECT * FROM events ORDER BY number",
        "SELECT * FROM events NOT INDEXED ORDER BY number",
        "SELECT kind, number FROM events INDEXED BY events_by_kind ORDER BY kind, number",
        "SELECT * FROM checkpoints ORDER BY number",
        "SELECT * FROM rows ORDER BY kind, key",
        "SELECT kind, list, place, key FROM rows INDEXED BY rows_by_place ORDER BY kind, list, place, key",
        "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name",
    ] {
        let mut list = books.prepare(sql).ok()?;
        let columns = list.column_count();
        let mut rows = list.query([]).ok()?;
        while let Some(row) = rows.next().ok()? {
            let of_row: Option<Vec<String>> =
                (0..columns).map(|column| Some(format!("{:?}", row.get_ref(column).ok()?))).collect();
            all.push(of_row?.join("; "));
        }
    }
    Some(all)
}

fn positions_of(file: &[u8], contents: &[Vec<u8>]) -> Vec<usize> {
    let mut positions = Vec::new();
    for content in contents.iter().filter(|content| content.len() >= 4) {
        // What is long lies in pieces: the beginning of each piece of a page is found.
        for piece in content.chunks(400) {
            let found = file.windows(piece.len()).position(|window| window == piece);
            positions.extend(found.into_iter().flat_map(|at| at..at + piece.len()));
        }
    }
    positions
}

/// The bytes of every page that holds an index.
fn index_pages(file: &[u8]) -> Vec<usize> {
    let size = usize::from(u16::from_be_bytes([file[16], file[17]]));
    let is_index = |page: &usize| matches!(file[page * size], 2 | 10);
    (1..file.len() / size).filter(is_index).flat_map(|page| page * size..(page + 1) * size).collect()
}

/// The payouts that the chain told of, by number.
fn adopted(books: &Path) -> Vec<String> {
    let adopted = |bytes: &Vec<u8>| match Event::from_bytes(bytes) {
        Ok(Event::Operator(Operator { act: Act::AdoptPayout(planned), .. })) => Some(format!("'{}'", planned.id)),
        _ => None,
    };
    blobs(books, "SELECT bytes FROM events").iter().filter_map(adopted).collect()
}

struct Range {
    pool: StoppedPool,
    good: PathBuf,
    backup: PathBuf,
    export: PathBuf,
    work: PathBuf,
    proofs: Vec<Vec<u8>>,
    books: BTreeMap<Kind, Vec<usize>>,
    dump: Vec<String>,
    world: World,
    _folder: tempfile::TempDir,
}

fn blobs(books: &Path, sql: &str) -> Vec<Vec<u8>> {
    let books = Connection::open(books).expect("opens");
    let mut list = books.prepare(sql).expect("SQL");
    list.query_map([], |row| row.get(0)).expect("runs").collect::<Result<_, _>>().expect("reads")
}

impl Range {
    fn new() -> Self {
        let (world, proofs) = world();
        let folder = fast_folder();
        let [good, backup, export, work] = ["good", "backup", "export", "work"].map(|name| folder.path().join(name));
        assert_eq!(world.stopped().audit().expect("readable").faults, Vec::<String>::new());
        world.stopped().back_up(&backup, false).expect("made");
        let files = PoolFiles { pool: world.stopped(), is_backup: false, tag: world.config.pool_tag.clone() };
        files.export_all(&export).expect("made");
        fs::create_dir_all(&good).expect("made");
        fs::copy(world.folder.path().join("books.sqlite"), good.join("books.sqlite")).expect("copied");
        copy(&world.folder.path().join("share-log"), &good.join("share-log"));
        let path = good.join("books.sqlite");
        assert!(!good.join("books.sqlite-wal").exists());
        let file = fs::read(&path).expect("reads");
        let of = |sql: &str| positions_of(&file, &blobs(&path, sql));
        let adopted = adopted(&path).join(", ");
        let books = BTreeMap::from([
            (Kind::AnyOfBooks, (0..file.len()).collect()),
            (Kind::Event, of("SELECT bytes FROM events")),
            (Kind::Row, of("SELECT value FROM rows WHERE kind <> 'signed'")),
            (
                Kind::SignedBytes,
                of(&format!("SELECT value FROM rows WHERE kind = 'signed' AND key NOT IN ({adopted})")),
            ),
            (Kind::AdoptedBytes, of(&format!("SELECT value FROM rows WHERE kind = 'signed' AND key IN ({adopted})"))),
            (Kind::Checkpoint, of("SELECT state FROM checkpoints")),
            (Kind::IndexPage, index_pages(&file)),
        ]);
        assert!(books.values().all(|positions| positions.len() > 100), "{books:?}");
        let dump = dump(&path).expect("readable");
        let pool = StoppedPool { data_dir: work.clone(), ..world.stopped() };
        let proofs = proofs.iter().map(|proof| proof.to_bytes().expect("encodes")).collect();
        let range = Self { pool, good, backup, export, work, proofs, books, dump, world, _folder: folder };
        assert_eq!(range.replayed(&range.export), Outcome::Missed, "a good export");
        assert!(range.proofs.iter().all(|proof| range.verified(proof) == Outcome::Missed), "good proofs");
        range
    }

    /// What a stranger says of an export.
    fn replayed(&self, export: &Path) -> Outcome {
        match replay_export(export, &NodeBlocks(self.world.node.as_ref()), |_| {}) {
            Err(error) => named(&error.to_string(), &["export", "events", "shares", "chain that begins with"]),
            Ok(replayed) => match replayed.difference {
                Some(difference) => named(&difference, &["event ", "block ", "frame "]),
                None => Outcome::Missed,
            },
        }
    }

    /// What a reader says of a file for one account, who asks a node for the blocks in it.
    fn verified(&self, bytes: &[u8]) -> Outcome {
        let node = &self.world.node;
        let verify = || -> Result<(), String> {
            let evidence = Evidence::from_bytes(bytes).map_err(|error| format!("file: {error}"))?;
            let finding = evidence.verify(bq_signature::verify).map_err(|error| error.to_string())?;
            let id_at = |height| node.block_id_at(height).expect("reads");
            finding.on_chain(evidence.pool(), node.network(), id_at).map_err(|error| error.to_string())
        };
        match verify() {
            Err(error) => named(&error, &["file", "export", "receipt of", "block "]),
            Ok(()) => Outcome::Missed,
        }
    }

    fn flip(&self, kind: Kind, dice: &mut Dice) -> (String, Outcome) {
        drop(fs::remove_dir_all(&self.work));
        copy(&self.good, &self.work);
        match kind {
            Kind::Segment => {
                let (name, path) = self.file_in(&self.work.join("share-log"), dice);
                let place = flip_any(&path, dice);
                (format!("{name}:{place}"), self.audited(&name))
            }
            Kind::Backup => {
                let copied = self.work.join("copied");
                copy(&self.backup, &copied);
                let folder = match dice.below(3) {
                    0 => copied.join("share-log"),
                    _ => copied.clone(),
                };
                let (name, path) = self.file_in(&folder, dice);
                let place = flip_any(&path, dice);
                let outcome = match self.pool.restore(&copied, None, true) {
                    Err(error) => named(&error.to_string(), &[&name, "backup", ".seg", "books.sqlite", "manifest"]),
                    Ok(_) => Outcome::Missed,
                };
                (format!("{name}:{place}"), outcome)
            }
            Kind::Export => {
                let copied = self.work.join("copied");
                copy(&self.export, &copied);
                let folder = if dice.below(3) == 0 { copied.join("share-log") } else { copied.clone() };
                let (name, path) = self.file_in(&folder, dice);
                let place = flip_any(&path, dice);
                (format!("{name}:{place}"), self.replayed(&copied))
            }
            Kind::Proof => {
                let which = dice.below(self.proofs.len());
                let mut bytes = self.proofs[which].clone();
                let (place, bit) = (dice.below(bytes.len()), dice.below(8));
                bytes[place] ^= 1 << bit;
                (format!("proof {which}:{place}.{bit}"), self.verified(&bytes))
            }
            kind => {
                let positions = &self.books[&kind];
                let path = self.work.join("books.sqlite");
                // A page keeps what once stood in it: of a kind of record only what is read counts.
                let is_raw = matches!(kind, Kind::AnyOfBooks | Kind::IndexPage);
                let (place, bit, now) = loop {
                    let place = positions[dice.below(positions.len())];
                    let bit = flip(&path, place, dice);
                    let now = dump(&path);
                    if is_raw || now.as_ref() != Some(&self.dump) {
                        break (place, bit, now);
                    }
                    fs::copy(self.good.join("books.sqlite"), &path).expect("copied");
                };
                let outcome = match self.audited("books.sqlite") {
                    Outcome::Missed if now.as_ref() == Some(&self.dump) => Outcome::Harmless,
                    outcome => outcome,
                };
                let now = now.unwrap_or_default();
                let other = now.iter().zip(&self.dump).find(|(now, before)| now != before);
                let row: String = other.map_or_else(String::new, |(now, _)| now.chars().take(200).collect());
                (format!("books.sqlite:{place}.{bit}: {row}"), outcome)
            }
        }
    }

    fn file_in(&self, folder: &Path, dice: &mut Dice) -> (String, PathBuf) {
        let mut files: Vec<PathBuf> =
            fs::read_dir(folder).expect("listed").map(|entry| entry.expect("a file").path()).collect();
        files.retain(|path| path.is_file() && fs::metadata(path).expect("there").len() > 0);
        files.sort();
        let path = files[dice.below(files.len())].clone();
        (path.file_name().expect("a name").to_string_lossy().into_owned(), path)
    }

    fn audited(&self, file: &str) -> Outcome {
        match self.pool.audit() {
            Err(StoppedError::Pool(error)) => named(&error.to_string(), &[file, "event ", "frame "]),
            Err(error) => named(&error.to_string(), &[file]),
            Ok(findings) => match findings.faults.first() {
                Some(fault) => named(fault, &PLACES),
                None => Outcome::Missed,
            },
        }
    }
}

/// What a fault names: a file, an event, a frame, a row or a checkpoint.
const PLACES: [&str; 13] = [
    "books.sqlite",
    ".seg",
    "event ",
    "frame ",
    "checkpoint",
    "balance ",
    "block",
    "signed ",
    "payment ",
    "credits ",
    "liabilities ",
    "payout ",
    "a row of kind ",
];

fn named(what: &str, places: &[&str]) -> Outcome {
    assert!(places.iter().any(|place| what.contains(place)), "found, and no place is named: {what}");
    Outcome::Found(what.to_owned())
}

fn flip_any(path: &Path, dice: &mut Dice) -> usize {
    let length = usize::try_from(fs::metadata(path).expect("there").len()).expect("small");
    let place = dice.below(length);
    flip(path, place, dice);
    place
}

fn flip(path: &Path, place: usize, dice: &mut Dice) -> usize {
    let mut bytes = fs::read(path).expect("reads");
    let bit = dice.below(8);
    bytes[place] ^= 1 << bit;
    fs::write(path, bytes).expect("writes");
    bit
}

#[test]
#[expect(clippy::print_stdout, reason = "the table that make flips is for")]
fn any_flipped_bit_is_found_and_named() {
    let wanted = std::env::var("BQ_FLIPS").ok().and_then(|text| text.parse().ok());
    let flips: usize = wanted.unwrap_or(FLIPS);
    let range = Range::new();
    let mut dice = Dice(std::env::var("BQ_FLIPS_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(0));
    let mut table: BTreeMap<Kind, (usize, usize)> = BTreeMap::new();
    let mut missed = Vec::new();
    for number in 0..flips {
        let kind = KINDS[number % KINDS.len()];
        let (place, outcome) = range.flip(kind, &mut dice);
        let counts = table.entry(kind).or_default();
        match outcome {
            Outcome::Found(_) => counts.0 += 1,
            Outcome::Harmless => counts.1 += 1,
            Outcome::Missed => missed.push((kind, place)),
        }
    }
    if wanted.is_some() {
        for (kind, (found, harmless)) in &table {
            println!("{kind:?}: {} flips, {found} found and named, {harmless} where nobody reads", found + harmless);
        }
    }
    assert!(missed.is_empty(), "{} of {flips} missed: {missed:?}", missed.len());
    // Of anything but pages of the database every bit is read.
    for kind in KINDS.into_iter().filter(|kind| !matches!(kind, Kind::AnyOfBooks | Kind::IndexPage)) {
        assert_eq!(table[&kind].1, 0, "{kind:?}");
    }
}
