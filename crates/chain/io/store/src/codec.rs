use bq_consensus::{Coin, IndexEntry};
use bq_primitives::{
    Algorithm, Block, BlockId, CompactTarget, DecodeError, Decoder, HEADER_BYTES, Header, Height, KeyHash, OutPoint,
    Seal, SealedHeader, Timestamp, Transaction, TxId, U256, Work, put_compact_size,
};
use bq_tree::{decode_coin, put_coin};

use crate::NewHeader;

/// The smallest encoded transaction.
const TRANSACTION_BYTES_MIN: usize = 10;

/// Txid, then index big-endian, so that the outputs of a transaction are neighbours in order.
pub(crate) fn outpoint_key(outpoint: &OutPoint) -> [u8; 36] {
    let mut key = [0; 36];
    key[..32].copy_from_slice(&outpoint.txid.0);
    key[32..].copy_from_slice(&outpoint.index.to_be_bytes());
    key
}

/// Key hash, height, outpoint; integers big-endian, so that an owner's coins are neighbours, oldest first.
pub(crate) fn key_row(coin: &Coin, outpoint: &OutPoint) -> [u8; 72] {
    let mut row = [0; 72];
    row[..32].copy_from_slice(&coin.output.key_hash.0);
    row[32..36].copy_from_slice(&coin.height.0.to_be_bytes());
    row[36..].copy_from_slice(&outpoint_key(outpoint));
    row
}

/// The first and the last row that an owner can have.
pub(crate) fn key_range(key_hash: &KeyHash) -> ([u8; 72], [u8; 72]) {
    let (mut low, mut high) = ([0; 72], [0xff; 72]);
    low[..32].copy_from_slice(&key_hash.0);
    high[..32].copy_from_slice(&key_hash.0);
    (low, high)
}

pub(crate) fn outpoint_of_key_row(row: &[u8; 72]) -> OutPoint {
    let mut txid = [0; 32];
    txid.copy_from_slice(&row[36..68]);
    let mut index = [0; 4];
    index.copy_from_slice(&row[68..]);
    OutPoint { txid: TxId(txid), index: u32::from_be_bytes(index) }
}

pub(crate) fn coin_bytes(coin: &Coin) -> Vec<u8> {
    let mut out = Vec::new();
    put_coin(&mut out, coin);
    out
}

pub(crate) fn decode_coin_row(bytes: &[u8]) -> Result<Coin, DecodeError> {
    let mut decoder = Decoder::new(bytes);
    let coin = decode_coin(&mut decoder)?;
    decoder.finish()?;
    Ok(coin)
}

/// Count, then the transactions.
pub(crate) fn body_bytes(transactions: &[Transaction]) -> Vec<u8> {
    let mut out = Vec::new();
    put_compact_size(&mut out, transactions.len());
    for transaction in transactions {
        out.extend(transaction.to_bytes());
    }
    out
}

pub(crate) fn decode_body(bytes: &[u8]) -> Result<Vec<Transaction>, DecodeError> {
    let mut decoder = Decoder::new(bytes.get(..Block::ENCODED_BYTES_MAX).unwrap_or(bytes));
    let transactions = (0..decoder.count(TRANSACTION_BYTES_MIN)?)
        .map(|_| Transaction::decode(&mut decoder))
        .collect::<Result<_, _>>()?;
    decoder.finish()?;
    Ok(transactions)
}

/// The bytes that start a block, out of its header row: they lie there as they are sent.
pub(crate) fn sealed_bytes(row: &[u8]) -> Result<&[u8], DecodeError> {
    let header = Header::decode(&mut Decoder::new(row))?;
    Decoder::new(row).bytes(HEADER_BYTES + Seal::encoded_len(header.algorithm))
}

/// Header, seal, id, then the fields of the light index that cannot be read off the header.
pub(crate) fn header_row(row: &NewHeader) -> Vec<u8> {
    let NewHeader { sealed, entry } = row;
    let mut out = Vec::new();
    sealed.put(&mut out);
    out.extend(entry.id.0);
    out.extend(entry.clock.0.to_le_bytes());
    out.push(u8::from(entry.algorithm.is_some()));
    for bits in entry.base_bits {
        out.extend(bits.map_or(0, |bits| bits.0).to_le_bytes());
    }
    out.push(entry.run);
    for last in entry.last_of_algorithm {
        out.extend(last.map_or(u32::MAX, |height| height.0).to_le_bytes());
    }
    out.extend(entry.chain_work.0.to_le_bytes::<32>());
    out
}

pub(crate) fn decode_header_row(bytes: &[u8]) -> Result<NewHeader, DecodeError> {
    let mut decoder = Decoder::new(bytes);
    let sealed = SealedHeader::decode(&mut decoder)?;
    let header = sealed.header;
    let id = BlockId(decoder.array()?);
    let clock = Timestamp(decoder.u64()?);
    let algorithm = (decoder.u8()? != 0).then_some(header.algorithm);
    let mut base_bits = [None; Algorithm::COUNT];
    for bits in &mut base_bits {
        // Zero is no target, so it can stand for none.
        *bits = Some(decoder.u32()?).filter(|bits| *bits != 0).map(CompactTarget);
    }
    let run = decoder.u8()?;
    let mut last_of_algorithm = [None; Algorithm::COUNT];
    for last in &mut last_of_algorithm {
        *last = Some(decoder.u32()?).filter(|height| *height != u32::MAX).map(Height);
    }
    let chain_work = Work(U256::from_le_bytes(decoder.array::<32>()?));
    decoder.finish()?;
    let Header { parent_id, height, time, bits, .. } = header;
    let entry = IndexEntry {
        id,
        parent_id,
        height,
        time,
        clock,
        algorithm,
        bits,
        base_bits,
        run,
        last_of_algorithm,
        chain_work,
    };
    Ok(NewHeader { sealed, entry })
}
