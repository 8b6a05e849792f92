//! A data directory that the version before the log of events made (devnet, the built-in miner; 34 blocks, two final payouts and an
//! open one) is taken over, or refused when it contradicts itself.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use bq_chain_api::NodeApi;
use bq_mining_message::{FrontEndId, ShareSequence};
use bq_pool_machine::{BlockState, PayoutId, PayoutState, Winning};
use bq_primitives::{AccountId, Address, Block, BlockId, Network};
use rusqlite::Connection;
use tempfile::TempDir;

use super::{
    fake_node::FakeNode,
    world::{FakeSigner, fast_folder, key},
};
use crate::{PoolConfig, PoolError, follow::Progress, keeper::Keeper, migrate};

/// The chain that the directory belongs to.
const GENESIS: [u8; 32] = [
    0xbb, 0x12, 0x9c, 0x43, 0xe7, 0x5a, 0x3e, 0xe6, 0x29, 0x57, 0x64, 0x07, 0x03, 0xa1, 0x31, 0xf1, 0x52, 0xd3, 0x43,
    0xc9, 0x45, 0x46, 0x72, 0xf7, 0x64, 0x6a, 0x91, 0x73, 0x68, 0xf1, 0x85, 0x34,
];
const POOL: &str = "dbq1qrvlural2re3vsgxx27jfcjmfyn530nfpztj08ydcm6lfy9ljkxdz8jqna4";
const MINER: &str = "dbq1qzd3dd75l4mgea79cu6n8090ukg6z9dtk27xm9h5dyqm4rjvl8s7xwq64dc";

fn address(text: &str) -> Address {
    Address::parse(text, Network::Devnet).expect("an address")
}

struct Old {
    folder: TempDir,
    genesis: BlockId,
    key: bq_primitives::KeyHash,
}

impl Old {
    fn new() -> Self {
        let folder = fast_folder();
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/e8a0ea9");
        fs::create_dir(folder.path().join("shares")).expect("new");
        for name in ["ledger.sqlite", "shares/shares-00000000000000000001.seg"] {
            fs::copy(fixture.join(name), folder.path().join(name)).expect("copied");
        }
        Self { folder, genesis: BlockId(GENESIS), key: address(POOL).key_hash }
    }

    fn parts(&self) -> (PoolConfig, Arc<FakeNode>, FakeSigner) {
        let config = PoolConfig::new(self.folder.path().to_owned(), Network::Devnet);
        (config, FakeNode::of(Network::Devnet, self.genesis), FakeSigner(self.key))
    }

    fn open(&self) -> Result<Keeper, PoolError> {
        let (config, node, signer) = self.parts();
        Keeper::open(config, node, Arc::new(signer))
    }

    /// Changes the ledger behind the back of its triggers.
    fn edit(&self, sql: &str) {
        let ledger = Connection::open(self.folder.path().join("ledger.sqlite")).expect("opens");
        let mut triggers = ledger.prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'").expect("SQL");
        let names = triggers.query_map([], |row| row.get::<_, String>(0)).expect("SQL");
        let names: Vec<String> = names.collect::<Result<_, _>>().expect("names");
        for name in names {
            ledger.execute_batch(&format!("DROP TRIGGER {name}")).expect("dropped");
        }
        ledger.execute_batch("PRAGMA foreign_keys = OFF").expect("set");
        assert!(ledger.execute(sql, []).expect("edited") > 0, "{sql}");
    }

    #[track_caller]
    fn refused(&self, words: &str) {
        let before = self.names();
        match self.open() {
            Err(error @ PoolError::Migrate { .. }) => assert!(error.to_string().contains(words), "{error}"),
            Err(error) => panic!("another error: {error}"),
            Ok(_) => panic!("taken over"),
        }
        let after = self.names();
        assert!(before.iter().all(|name| after.contains(name)), "{before:?} {after:?}");
        assert!(!after.contains(&"books.sqlite".to_owned()));
    }

    fn names(&self) -> Vec<String> {
        let names =
            fs::read_dir(self.folder.path()).expect("a folder").map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().expect("text")).collect();
        names.sort();
        names
    }
}

/// The balances of the older file, but that of the open payout all of its input of 85,000,004,416 atoms is in flight: its change of
/// 850,000,041 moves there.
fn expected() -> BTreeMap<String, u64> {
    [
        ("chain_immature:ethash", 40_000_000_000),
        ("chain_immature:sha256d", 5_000_000_000),
        ("chain_in_flight", 84_150_004_375 + 850_000_041),
        ("chain_spendable", 8_135_070_758 - 850_000_041),
        ("fee_income:ethash", 950_000_000),
        ("fee_income:randomx", 50_000_000),
        ("fee_income:sha256d", 700_000_043),
        ("miner_immature:1", 44_550_000_000),
        ("miner_in_flight:1", 84_150_004_375),
        ("seed:ethash", 4_941_960_685),
        ("seed:sha256d", 1_943_110_030),
    ]
    .map(|(account, balance)| (account.to_owned(), balance))
    .into()
}

#[track_caller]
fn check(keeper: &Keeper) {
    let state = keeper.state.read();
    state.check().expect("sound");
    let balances: BTreeMap<String, u64> =
        state.books().balances().map(|(account, balance)| (account.to_string(), balance)).collect();
    assert_eq!(balances, expected());
    assert_eq!(state.paid(AccountId(1)), 32_714_924_867);
    assert_eq!(state.accounts().key(AccountId(1)), Some(address(MINER).key_hash));
}

#[test]
fn every_balance_is_kept_to_the_atom() {
    let old = Old::new();
    let keeper = old.open().expect("taken over");
    check(&keeper);
    assert_eq!(
        old.names(),
        [
            "books.sqlite",
            "books.sqlite-shm",
            "books.sqlite-wal",
            "ledger.sqlite.old",
            "ledger.sqlite.old-wal",
            "share-log",
            "shares.old",
            "statistics.sqlite",
            "statistics.sqlite-shm",
            "statistics.sqlite-wal"
        ]
    );
    let state = keeper.state.read();
    let of = |wanted| state.blocks().filter(|block| block.state == wanted).count();
    assert_eq!((of(BlockState::Immature), of(BlockState::Matured)), (9, 25));
    assert!(
        state.blocks().all(
            |block| matches!(block.candidate.winning, Winning::Share(share) if share.sequence < keeper.log.next())
        )
    );
    let states: Vec<PayoutState> = state.payouts().map(|payout| payout.state).collect();
    assert_eq!(states, [PayoutState::Final, PayoutState::Final, PayoutState::Signed]);
    let bytes = keeper.store.row(bq_books::RowKind::Signed, "3").expect("readable").expect("there");
    let digest: [u8; 32] = sha2::Digest::finalize(sha2::Digest::chain_update(sha2::Sha256::default(), bytes)).into();
    assert_eq!(state.payout(PayoutId(3)).and_then(|payout| payout.signed), Some(digest));
    assert_eq!(state.front_end(FrontEndId(0)).map(|head| head.next), Some(keeper.log.next()));
}

#[test]
fn shares_keep_their_numbers_and_get_keys() {
    let old = Old::new();
    let from = old.folder.path().join("shares");
    let shares = bq_segments::v1::read_v1(Arc::new(bq_segments::RealDisk), &from, old.genesis).expect("good");
    let shares: Vec<_> = shares.collect::<Result<_, _>>().expect("good");
    let keeper = old.open().expect("taken over");
    let log = &keeper.log;
    let today: Vec<_> = log.read(ShareSequence::FIRST..log.next()).collect::<Result<_, _>>().expect("readable");
    assert_eq!(today.len(), shares.len());
    for (was, (sequence, is)) in shares.iter().zip(&today) {
        assert_eq!(
            (was.sequence, was.difficulty, was.block_id, was.time_ms),
            (*sequence, is.difficulty, is.block_id, is.time_ms)
        );
        assert_eq!(is.payee, address(MINER).key_hash);
    }
}

/// The chain store was lost along with the older software, or the node is still syncing: what it lacks is not orphaned.
#[test]
fn a_node_that_does_not_know_the_chain_yet_orphans_nothing() {
    let old = Old::new();
    let (config, node, signer) = old.parts();
    let keeper = Keeper::open(config, Arc::clone(&node) as Arc<dyn NodeApi>, Arc::new(signer)).expect("taken over");
    let ledger = Connection::open(old.folder.path().join("ledger.sqlite.old")).expect("opens");
    let mut rows =
        ledger.prepare("SELECT bytes FROM pool_blocks WHERE state = 'immature' ORDER BY height").expect("SQL");
    let bytes = rows.query_map([], |row| row.get::<_, Vec<u8>>(0)).expect("SQL");
    for bytes in bytes {
        assert_eq!(keeper.follow().expect("the node answers"), Progress::Waiting);
        check(&keeper);
        assert_eq!(keeper.state.read().tip(), None);
        node.has_synced(Block::from_bytes(&bytes.expect("kept")).expect("a block"));
    }
    // It has the newest of the blocks by now, so the chain is read as a whole. The fixture has no bytes of older blocks: it cannot fit.
    assert!(!matches!(keeper.follow(), Ok(Progress::Waiting)));
}

/// A chain that went on without the newest block for longer than maturity is not waited for.
#[test]
fn a_chain_that_outgrew_the_older_books_is_read_as_it_is() {
    let old = Old::new();
    let (config, node, signer) = old.parts();
    let keeper = Keeper::open(config, Arc::clone(&node) as Arc<dyn NodeApi>, Arc::new(signer)).expect("taken over");
    let newest = keeper.state.read().blocks().map(|block| block.candidate.height).max().expect("blocks");
    node.mine_many(newest.0 + node.coinbase_maturity());
    assert_eq!(keeper.follow().expect("the node answers"), Progress::Waiting);
    node.mine();
    assert!(!matches!(keeper.follow(), Ok(Progress::Waiting)));
}

#[test]
fn a_second_start_takes_nothing_over() {
    let old = Old::new();
    let head = old.open().expect("taken over").state.read().head();
    let keeper = old.open().expect("opens");
    check(&keeper);
    assert_eq!(keeper.state.read().head(), head);
}

#[test]
fn a_crash_after_any_step_is_made_good() {
    for steps in 0..=migrate::STEPS.len() {
        let old = Old::new();
        let (config, node, signer) = old.parts();
        let places = migrate::Places { folder: config.data_dir.clone() };
        migrate::write(&places, &config, node.as_ref(), &signer).expect("written");
        migrate::STEPS.iter().take(steps).for_each(|step| step(&places).expect("done"));
        check(&old.open().expect("taken over"));
        assert!(!places.at("ledger.sqlite").exists() && !places.at("books.sqlite.new").exists());
    }
}

#[test]
fn a_migration_that_was_cut_while_it_wrote_begins_anew() {
    let old = Old::new();
    let at = |name: &str| old.folder.path().join(name);
    fs::create_dir(at("share-log.new")).expect("new");
    fs::write(at("share-log.new/shares-00000000000000000001.seg"), b"half").expect("written");
    fs::write(at("books.sqlite.new"), b"half").expect("written");
    fs::write(at("books.sqlite.new-wal"), b"half").expect("written");
    check(&old.open().expect("taken over"));
}

#[test]
fn a_share_log_of_unknown_origin_is_not_removed() {
    let old = Old::new();
    fs::create_dir(old.folder.path().join("share-log")).expect("new");
    old.refused("without books.sqlite");
}

#[test]
fn older_software_that_ran_afterwards_is_noticed() {
    let old = Old::new();
    drop(old.open().expect("taken over"));
    fs::copy(old.folder.path().join("ledger.sqlite.old"), old.folder.path().join("ledger.sqlite")).expect("copied");
    assert!(matches!(old.open(), Err(PoolError::Migrate { reason, .. }) if reason.contains("older software")));
}

#[test]
fn edited_books_are_refused() {
    let edits = [
        (
            "UPDATE balances SET balance = balance + 1 WHERE account = 'miner_in_flight:1'",
            "miner_in_flight:1 is stored as",
        ),
        ("UPDATE transfers SET amount = amount + 1 WHERE id = 40", "journal line 40"),
        ("DELETE FROM transfers WHERE id = 40", "journal line 40"),
        ("DELETE FROM transfers WHERE id = (SELECT max(id) FROM transfers)", "its transfers sum to"),
        ("DELETE FROM accounts", "is missing"),
        (
            "UPDATE accounts SET address = 'dbq1qzfn3yfteq8nrhkxpmz7ns4xlqc28w08l5cxnmkp5m57x4mfs5uzjpsrq4n'",
            "payout 1 is not",
        ),
        ("UPDATE chain SET genesis = zeroblob(32)", "it belongs to devnet"),
        ("UPDATE chain SET network = 'testnet'", "it belongs to testnet"),
        ("UPDATE pool_blocks SET reward = reward + 1 WHERE number = 3", "its coinbase pays"),
        ("DELETE FROM pool_blocks WHERE number = 3", "its coinbase pays"),
        ("UPDATE payout_entries SET gross = gross + 1 WHERE payout = 3", "payout 3"),
        ("UPDATE payout_inputs SET output = 1 WHERE payout = 3 AND position = 0", "payout 3 is not the transaction"),
        ("UPDATE payouts SET state = 'reserved' WHERE id = 2", "payout 2 is not what the journal says"),
        ("UPDATE payouts SET state = 'final' WHERE id = 3", "payout 3 is not what the journal says"),
        ("UPDATE payouts SET signed = NULL WHERE id = 3", "signed bytes are missing"),
        ("DELETE FROM payouts WHERE id = 3", "names payout 3"),
        ("UPDATE schema_version SET version = 2", "schema version is 2"),
    ];
    for (sql, words) in edits {
        let old = Old::new();
        old.edit(sql);
        old.refused(words);
    }
}

#[test]
fn books_of_another_key_or_chain_are_refused() {
    let old = Old { key: key(9), ..Old::new() };
    old.refused("key file");
    let old = Old { genesis: BlockId([7; 32]), ..Old::new() };
    old.refused("it belongs to devnet");
}

#[test]
fn damaged_shares_are_refused() {
    let old = Old::new();
    let path = old.folder.path().join("shares/shares-00000000000000000001.seg");
    let mut bytes = fs::read(&path).expect("readable");
    bytes[5000] ^= 1;
    fs::write(&path, bytes).expect("written");
    old.refused("shares-00000000000000000001.seg");
}

#[test]
fn an_account_of_the_pools_own_key_is_taken_over() {
    let old = Old::new();
    old.edit(&format!("INSERT INTO accounts VALUES (2, '{POOL}', 0)"));
    let keeper = old.open().expect("taken over");
    check(&keeper);
    let state = keeper.state.read();
    assert_eq!(state.accounts().find(&old.key), Some(AccountId(2)));
    assert!(state.due().next().is_none());
}
