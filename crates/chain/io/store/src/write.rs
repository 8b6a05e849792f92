use bq_consensus::Coin;
use bq_primitives::{BlockId, OutPoint};
use redb::{ReadableTable, Table, WriteTransaction};

use crate::{
    ChainStep, ChainUpdate, StoreChange,
    codec::{body_bytes, coin_bytes, decode_coin_row, decode_header_row, header_row, key_row, outpoint_key},
    fault::Fault,
    tables::{BEST_CHAIN, BODIES, COINS, COINS_BY_KEY, HEADERS, INVALID, SEQUENCES, SPENDERS, TX_HEIGHTS, UNDO},
};

/// Writes a change into a transaction, which the caller commits, or drops on an error.
pub(crate) fn write_change(write: &WriteTransaction, change: &StoreChange) -> Result<(), Fault> {
    write_headers(write, change)?;
    write_bodies(write, change)?;
    write_invalid(write, change)?;
    if let Some(update) = &change.chain {
        write_chain(write, update)?;
        write_coins(write, update)?;
    }
    Ok(())
}

fn write_headers(write: &WriteTransaction, change: &StoreChange) -> Result<(), Fault> {
    let mut headers = write.open_table(HEADERS)?;
    let mut sequences = write.open_table(SEQUENCES)?;
    let mut next = headers.last()?.map_or(0, |(last, _)| last.value().saturating_add(1));
    for header in &change.headers {
        if sequences.insert(&header.entry.id.0, next)?.is_some() {
            return Err(Fault::BadChange(format!("header {} is stored already", header.entry.id)));
        }
        headers.insert(next, header_row(header).as_slice())?;
        next = next.saturating_add(1);
    }
    Ok(())
}

fn write_bodies(write: &WriteTransaction, change: &StoreChange) -> Result<(), Fault> {
    let sequences = write.open_table(SEQUENCES)?;
    let mut bodies = write.open_table(BODIES)?;
    for (id, transactions) in &change.bodies {
        bodies.insert(sequence_of(&sequences, id)?, body_bytes(transactions).as_slice())?;
    }
    Ok(())
}

fn write_invalid(write: &WriteTransaction, change: &StoreChange) -> Result<(), Fault> {
    let sequences = write.open_table(SEQUENCES)?;
    let mut invalid = write.open_table(INVALID)?;
    for id in &change.invalid {
        invalid.insert(sequence_of(&sequences, id)?, ())?;
    }
    Ok(())
}

fn write_chain(write: &WriteTransaction, update: &ChainUpdate) -> Result<(), Fault> {
    let mut tables = ChainTables {
        sequences: write.open_table(SEQUENCES)?,
        headers: write.open_table(HEADERS)?,
        best_chain: write.open_table(BEST_CHAIN)?,
        undo: write.open_table(UNDO)?,
        tx_heights: write.open_table(TX_HEIGHTS)?,
        spenders: write.open_table(SPENDERS)?,
    };
    update.disconnect.iter().try_for_each(|step| tables.disconnect(step))?;
    update.connect.iter().try_for_each(|step| tables.connect(step))
}

/// The tables that a step of the best chain touches, less the coins.
struct ChainTables<'t> {
    sequences: Table<'t, &'static [u8; 32], u64>,
    headers: Table<'t, u64, &'static [u8]>,
    best_chain: Table<'t, u32, u64>,
    undo: Table<'t, u64, &'static [u8]>,
    tx_heights: Table<'t, &'static [u8; 32], u32>,
    spenders: Table<'t, &'static [u8; 36], &'static [u8; 32]>,
}

impl ChainTables<'_> {
    fn disconnect(&mut self, step: &ChainStep) -> Result<(), Fault> {
        let sequence = sequence_of(&self.sequences, &step.id)?;
        let tip = self.best_chain.pop_last()?.map(|(_, tip)| tip.value());
        if tip != Some(sequence) {
            return Err(Fault::BadChange(format!("block {} to disconnect is not the tip", step.id)));
        }
        self.undo.remove(sequence)?;
        for transaction in step.transactions.iter() {
            self.tx_heights.remove(&transaction.txid().0)?;
            // A coinbase's input was never written; removing it does nothing.
            for input in &transaction.inputs {
                self.spenders.remove(&outpoint_key(input))?;
            }
        }
        Ok(())
    }

    fn connect(&mut self, step: &ChainStep) -> Result<(), Fault> {
        let sequence = sequence_of(&self.sequences, &step.id)?;
        let height = self.next_height(step, sequence)?;
        self.best_chain.insert(height, sequence)?;
        self.undo.insert(sequence, step.undo.to_bytes().as_slice())?;
        for transaction in step.transactions.iter() {
            let txid = transaction.txid();
            self.tx_heights.insert(&txid.0, height)?;
            if transaction.is_coinbase() {
                continue;
            }
            for input in &transaction.inputs {
                self.spenders.insert(&outpoint_key(input), &txid.0)?;
            }
        }
        Ok(())
    }

    /// The height above the tip, once the block is known to be the tip's child.
    fn next_height(&self, step: &ChainStep, sequence: u64) -> Result<u32, Fault> {
        let Some((height, tip)) = self.best_chain.last()? else { return Ok(0) };
        if self.header(sequence)?.parent_id == self.header(tip.value())?.id {
            Ok(height.value().saturating_add(1))
        } else {
            Err(Fault::BadChange(format!("block {} to connect is no child of the tip", step.id)))
        }
    }

    fn header(&self, sequence: u64) -> Result<bq_consensus::IndexEntry, Fault> {
        let row = self.headers.get(sequence)?;
        let row = row.ok_or_else(|| Fault::Corrupt("a sequence number has no header".to_owned()))?;
        Ok(decode_header_row(row.value())?.entry)
    }
}

fn write_coins(write: &WriteTransaction, update: &ChainUpdate) -> Result<(), Fault> {
    let mut coins = write.open_table(COINS)?;
    let mut by_key = write.open_table(COINS_BY_KEY)?;
    for (outpoint, after) in &update.coins {
        if let Some(before) = take_coin(&mut coins, outpoint)? {
            by_key.remove(&key_row(&before, outpoint))?;
        }
        if let Some(after) = after {
            coins.insert(&outpoint_key(outpoint), coin_bytes(after).as_slice())?;
            by_key.insert(&key_row(after, outpoint), ())?;
        }
    }
    Ok(())
}

fn take_coin(
    coins: &mut Table<'_, &'static [u8; 36], &'static [u8]>,
    outpoint: &OutPoint,
) -> Result<Option<Coin>, Fault> {
    let row = coins.remove(&outpoint_key(outpoint))?;
    Ok(row.map(|row| decode_coin_row(row.value())).transpose()?)
}

fn sequence_of(sequences: &impl ReadableTable<&'static [u8; 32], u64>, id: &BlockId) -> Result<u64, Fault> {
    let row = sequences.get(&id.0)?;
    row.map(|row| row.value()).ok_or_else(|| Fault::BadChange(format!("block {id} has no header")))
}
