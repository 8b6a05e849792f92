use std::{path::Path, sync::Arc};

use bq_consensus::IndexEntry;
use bq_primitives::{Block, BlockId, Network, SealedHeader};
use bq_tree::BlockUndo;
use redb::WriteTransaction;

use crate::{
    ChainStep, ChainUpdate, NewHeader, StoreChange, StoreError,
    fault::Fault,
    snapshot::Snapshot,
    tables::{BEST_CHAIN, BODIES, COINS, COINS_BY_KEY, HEADERS, INVALID, META, SEQUENCES, SPENDERS, TX_HEIGHTS, UNDO},
    write::write_change,
};

/// Grows with every change of the tables or of a row's encoding.
const SCHEMA: u32 = 1;

/// Whose chain a store holds.
#[derive(Clone, Debug)]
pub struct StoreIdentity {
    /// The network.
    pub network: Network,
    /// Its first block.
    pub genesis: Block,
    /// The first block's light index entry.
    pub genesis_entry: IndexEntry,
}

/// What an existing file says about itself.
#[derive(Debug)]
pub(crate) struct StoredIdentity {
    schema: u32,
    network: String,
    genesis: BlockId,
}

/// Tables, identity and genesis in one transaction: a crash leaves an empty file, which counts as new.
pub(crate) fn write_new(write: &WriteTransaction, identity: &StoreIdentity) -> Result<(), Fault> {
    let rows: [(&str, &[u8]); 3] = [
        ("schema", &SCHEMA.to_le_bytes()),
        ("network", identity.network.name().as_bytes()),
        ("genesis", identity.genesis_entry.id.as_bytes()),
    ];
    let mut meta = write.open_table(META)?;
    for (key, value) in rows {
        meta.insert(key, value)?;
    }
    write.open_table(HEADERS)?;
    write.open_table(SEQUENCES)?;
    write.open_table(INVALID)?;
    write.open_table(BODIES)?;
    write.open_table(UNDO)?;
    write.open_table(BEST_CHAIN)?;
    write.open_table(COINS)?;
    write.open_table(COINS_BY_KEY)?;
    write.open_table(TX_HEIGHTS)?;
    write.open_table(SPENDERS)?;
    write_change(write, &genesis_change(identity))
}

/// Row of the number of commits. A file from before there was one counts from zero.
const COMMITS: &str = "commits";

/// Numbers a commit, in the transaction of its change.
pub(crate) fn write_commits(write: &WriteTransaction, commits: u64) -> Result<(), Fault> {
    write.open_table(META)?.insert(COMMITS, commits.to_le_bytes().as_slice())?;
    Ok(())
}

pub(crate) fn read_commits(snapshot: &Snapshot) -> Result<u64, Fault> {
    let Some(row) = snapshot.table(META)?.get(COMMITS)? else { return Ok(0) };
    let bytes = <[u8; 8]>::try_from(row.value()).map_err(|_| Fault::Corrupt("number of commits".to_owned()))?;
    Ok(u64::from_le_bytes(bytes))
}

pub(crate) fn read_stored(snapshot: &Snapshot) -> Result<StoredIdentity, Fault> {
    let missing = |key: &str| Fault::Corrupt(format!("not a chain store: no {key}"));
    let meta = snapshot.table(META).map_err(|_| missing("meta table"))?;
    let value = |key: &str| -> Result<Vec<u8>, Fault> {
        meta.get(key)?.map(|row| row.value().to_vec()).ok_or_else(|| missing(key))
    };
    let schema = <[u8; 4]>::try_from(value("schema")?.as_slice()).map_err(|_| missing("schema"))?;
    let genesis = <[u8; 32]>::try_from(value("genesis")?.as_slice()).map_err(|_| missing("genesis"))?;
    Ok(StoredIdentity {
        schema: u32::from_le_bytes(schema),
        network: String::from_utf8_lossy(&value("network")?).into_owned(),
        genesis: BlockId(genesis),
    })
}

impl StoredIdentity {
    pub(crate) fn check(self, identity: &StoreIdentity, path: &Path) -> Result<(), StoreError> {
        let path = path.to_owned();
        if self.schema != SCHEMA {
            return Err(StoreError::OtherSchema { path, got: self.schema, expected: SCHEMA });
        }
        if self.network != identity.network.name() {
            return Err(StoreError::OtherNetwork { path, got: self.network, expected: identity.network });
        }
        let (got, expected) = (self.genesis, identity.genesis_entry.id);
        if got == expected { Ok(()) } else { Err(StoreError::OtherGenesis { path, got, expected }) }
    }
}

fn genesis_change(identity: &StoreIdentity) -> StoreChange {
    let Block { header, seal, transactions } = identity.genesis.clone();
    let id = identity.genesis_entry.id;
    let transactions = Arc::new(transactions);
    let sealed = SealedHeader { header, seal };
    let step = ChainStep { id, sealed, transactions: Arc::clone(&transactions), undo: BlockUndo::default() };
    StoreChange {
        headers: vec![NewHeader { sealed, entry: identity.genesis_entry }],
        bodies: vec![(id, transactions)],
        invalid: Vec::new(),
        chain: Some(ChainUpdate { connect: vec![step], ..ChainUpdate::default() }),
    }
}
