use redb::TableDefinition;

/// `schema`, `network` and `genesis`: what the file is.
pub(crate) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
/// Sequence number, in order of becoming known, to header, seal and light index entry.
pub(crate) const HEADERS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("headers");
/// Block id to sequence number.
pub(crate) const SEQUENCES: TableDefinition<'_, &[u8; 32], u64> = TableDefinition::new("sequences");
/// Sequence numbers of invalid blocks.
pub(crate) const INVALID: TableDefinition<'_, u64, ()> = TableDefinition::new("invalid");
/// Sequence number to transactions.
pub(crate) const BODIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("bodies");
/// Sequence number of a connected block to the coins it spent.
pub(crate) const UNDO: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("undo");
/// Height on the best chain to sequence number; the last row is the tip.
pub(crate) const BEST_CHAIN: TableDefinition<'_, u32, u64> = TableDefinition::new("best_chain");
/// Outpoint to coin: every unspent output of the best chain.
pub(crate) const COINS: TableDefinition<'_, &[u8; 36], &[u8]> = TableDefinition::new("coins");
/// Key hash, height (big-endian), outpoint: the rows of [`COINS`] by owner, oldest first.
pub(crate) const COINS_BY_KEY: TableDefinition<'_, &[u8; 72], ()> = TableDefinition::new("coins_by_key");
/// Transaction id to the height of its block on the best chain.
pub(crate) const TX_HEIGHTS: TableDefinition<'_, &[u8; 32], u32> = TableDefinition::new("tx_heights");
/// Outpoint to the transaction of the best chain that spends it.
pub(crate) const SPENDERS: TableDefinition<'_, &[u8; 36], &[u8; 32]> = TableDefinition::new("spenders");
