use bq_consensus::Coin;
use bq_primitives::{Block, BlockId, Height, KeyHash, OutPoint, SealedHeader, TxId};
use bq_tree::BlockUndo;
use redb::{Key, ReadOnlyTable, ReadTransaction, ReadableTable, TableDefinition, Value};

use crate::{
    Confirmation, IndexedBlock, NewHeader,
    codec::{
        decode_body, decode_coin_row, decode_header_row, key_range, outpoint_key, outpoint_of_key_row, sealed_bytes,
    },
    fault::Fault,
    tables::{BEST_CHAIN, BODIES, COINS, COINS_BY_KEY, HEADERS, INVALID, SEQUENCES, SPENDERS, TX_HEIGHTS, UNDO},
};

/// The store as of its last commit. Every method is one of `ChainStore`'s.
pub(crate) struct Snapshot(pub(crate) ReadTransaction);

impl Snapshot {
    pub(crate) fn index(&self) -> Result<Vec<IndexedBlock>, Fault> {
        let (headers, bodies, invalid) = (self.table(HEADERS)?, self.table(BODIES)?, self.table(INVALID)?);
        let mut blocks = Vec::new();
        for row in headers.iter()? {
            let (sequence, row) = row?;
            let sequence = sequence.value();
            blocks.push(IndexedBlock {
                entry: decode_header_row(row.value())?.entry,
                has_body: bodies.get(sequence)?.is_some(),
                is_invalid: invalid.get(sequence)?.is_some(),
            });
        }
        Ok(blocks)
    }

    pub(crate) fn best_chain(&self) -> Result<Vec<BlockId>, Fault> {
        let mut ids = Vec::new();
        for row in self.table(BEST_CHAIN)?.iter()? {
            let (_, sequence) = row?;
            ids.push(self.header(sequence.value())?.entry.id);
        }
        Ok(ids)
    }

    pub(crate) fn headers(&self, ids: &[BlockId]) -> Result<Vec<SealedHeader>, Fault> {
        let mut headers = Vec::with_capacity(ids.len());
        for id in ids {
            let Some(sequence) = self.sequence(id)? else { continue };
            let row = self.header(sequence)?;
            headers.push(row.sealed);
        }
        Ok(headers)
    }

    pub(crate) fn block(&self, id: &BlockId) -> Result<Option<Block>, Fault> {
        let Some(sequence) = self.sequence(id)? else { return Ok(None) };
        let Some(row) = self.table(BODIES)?.get(sequence)? else { return Ok(None) };
        let transactions = decode_body(row.value())?;
        let SealedHeader { header, seal } = self.header(sequence)?.sealed;
        Ok(Some(Block { header, seal, transactions }))
    }

    pub(crate) fn block_bytes(&self, id: &BlockId) -> Result<Option<Vec<u8>>, Fault> {
        let Some(sequence) = self.sequence(id)? else { return Ok(None) };
        let (headers, bodies) = (self.table(HEADERS)?, self.table(BODIES)?);
        let (Some(header), Some(body)) = (headers.get(sequence)?, bodies.get(sequence)?) else { return Ok(None) };
        let sealed = sealed_bytes(header.value())?;
        Ok(Some([sealed, body.value()].concat()))
    }

    pub(crate) fn undo(&self, id: &BlockId) -> Result<Option<BlockUndo>, Fault> {
        let Some(sequence) = self.sequence(id)? else { return Ok(None) };
        let row = self.table(UNDO)?.get(sequence)?;
        Ok(row.map(|row| BlockUndo::from_bytes(row.value())).transpose()?)
    }

    pub(crate) fn coin(&self, outpoint: &OutPoint) -> Result<Option<Coin>, Fault> {
        let row = self.table(COINS)?.get(&outpoint_key(outpoint))?;
        Ok(row.map(|row| decode_coin_row(row.value())).transpose()?)
    }

    pub(crate) fn coins_of(&self, key_hash: &KeyHash) -> Result<Vec<(OutPoint, Coin)>, Fault> {
        let (by_key, coins) = (self.table(COINS_BY_KEY)?, self.table(COINS)?);
        let (low, high) = key_range(key_hash);
        let mut found = Vec::new();
        for row in by_key.range::<&[u8; 72]>(&low..=&high)? {
            let outpoint = outpoint_of_key_row(row?.0.value());
            let coin = coins.get(&outpoint_key(&outpoint))?;
            let coin = coin.ok_or_else(|| Fault::Corrupt("a key row has no coin".to_owned()))?;
            found.push((outpoint, decode_coin_row(coin.value())?));
        }
        Ok(found)
    }

    pub(crate) fn spender_of(&self, outpoint: &OutPoint) -> Result<Option<TxId>, Fault> {
        let row = self.table(SPENDERS)?.get(&outpoint_key(outpoint))?;
        Ok(row.map(|row| TxId(*row.value())))
    }

    pub(crate) fn confirmation(&self, txid: &TxId) -> Result<Option<Confirmation>, Fault> {
        let Some(height) = self.table(TX_HEIGHTS)?.get(&txid.0)?.map(|row| row.value()) else {
            return Ok(None);
        };
        let chain = self.table(BEST_CHAIN)?;
        let sequence = chain.get(height)?.map(|row| row.value());
        let sequence = sequence.ok_or_else(|| Fault::Corrupt("a transaction lies above the tip".to_owned()))?;
        let tip_height = chain.last()?.map_or(0, |(height, _)| height.value());
        Ok(Some(Confirmation {
            block_id: self.header(sequence)?.entry.id,
            height: Height(height),
            tip_height: Height(tip_height),
        }))
    }

    pub(crate) fn table<K: Key + 'static, V: Value + 'static>(
        &self,
        definition: TableDefinition<'_, K, V>,
    ) -> Result<ReadOnlyTable<K, V>, Fault> {
        Ok(self.0.open_table(definition)?)
    }

    fn sequence(&self, id: &BlockId) -> Result<Option<u64>, Fault> {
        Ok(self.table(SEQUENCES)?.get(&id.0)?.map(|row| row.value()))
    }

    fn header(&self, sequence: u64) -> Result<NewHeader, Fault> {
        let row = self.table(HEADERS)?.get(sequence)?;
        let row = row.ok_or_else(|| Fault::Corrupt("a sequence number has no header".to_owned()))?;
        Ok(decode_header_row(row.value())?)
    }
}
