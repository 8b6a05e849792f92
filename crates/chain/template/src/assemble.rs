use std::sync::Arc;

use bq_consensus::HEADER_VERSION;
use bq_mempool::PooledTransaction;
use bq_primitives::{
    Amount, BlockWeight, COINBASE_DATA_BYTES_MAX, HEADER_BYTES, Header, KeyHash, MerkleRoot, Seal, Timestamp,
    Transaction, TxOut, merkle_root,
};

use crate::{AlgorithmFacts, BlockTemplate, CandidateHeader, ParentFacts, TemplateError};

/// What the miner chooses about a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateRequest {
    /// The key that the coinbase pays.
    pub payout: KeyHash,
    /// Free data for the coinbase, at most [`COINBASE_DATA_BYTES_MAX`] bytes.
    pub coinbase_data: Vec<u8>,
}

/// A block on the parent that `facts` describe, with these transactions in this order. Its time is the local clock,
/// or the earliest that the chain allows when the clock is behind.
///
/// # Errors
/// [`TemplateError`]: a bad request, too many transactions, or a clock too far behind the chain.
pub fn assemble(
    facts: &ParentFacts,
    request: &TemplateRequest,
    selected: &[PooledTransaction],
    now: Timestamp,
) -> Result<BlockTemplate, TemplateError> {
    check_data(request)?;
    let time = block_time(facts, now)?;
    let fees = Amount::sum(selected.iter().map(|pooled| pooled.fee))?;
    let reward = facts.subsidy.checked_add(fees)?;
    let coinbase = coinbase(facts, request, reward);
    let weight = block_weight(facts, &coinbase, selected)?;
    let roots = roots(&coinbase, selected);
    let candidates = facts.algorithms.iter().map(|algorithm| candidate(facts, algorithm, roots, time)).collect();
    let bodies = selected.iter().map(|pooled| pooled.transaction.as_ref().clone());
    Ok(BlockTemplate {
        parent_id: facts.parent_id,
        height: facts.height,
        reward,
        fees,
        weight,
        transactions: Arc::new(std::iter::once(coinbase).chain(bodies).collect()),
        candidates,
    })
}

/// The weight that is left for selected transactions once header, longest seal and coinbase are counted.
///
/// # Errors
/// [`TemplateError::CoinbaseDataTooLong`], [`TemplateError::NoAlgorithm`].
pub fn room_for_transactions(facts: &ParentFacts, request: &TemplateRequest) -> Result<BlockWeight, TemplateError> {
    check_data(request)?;
    let frame = block_weight(facts, &coinbase(facts, request, Amount::ZERO), &[])?;
    Ok(BlockWeight::from_units(BlockWeight::MAX.units().saturating_sub(frame.units())))
}

const fn check_data(request: &TemplateRequest) -> Result<(), TemplateError> {
    let (got, max) = (request.coinbase_data.len(), COINBASE_DATA_BYTES_MAX);
    if got > max { Err(TemplateError::CoinbaseDataTooLong { got, max }) } else { Ok(()) }
}

fn block_time(facts: &ParentFacts, now: Timestamp) -> Result<Timestamp, TemplateError> {
    let earliest = facts.min_time;
    let latest = Timestamp(now.0.saturating_add(facts.future_limit_secs));
    if earliest > latest { Err(TemplateError::ClockBehind { earliest, latest }) } else { Ok(now.max(earliest)) }
}

fn coinbase(facts: &ParentFacts, request: &TemplateRequest, reward: Amount) -> Transaction {
    let output = TxOut { amount: reward, key_hash: request.payout };
    Transaction::coinbase(facts.height, vec![output], request.coinbase_data.clone())
}

/// The weight with the longest seal: the same body must fit whichever algorithm seals it.
fn block_weight(
    facts: &ParentFacts,
    coinbase: &Transaction,
    selected: &[PooledTransaction],
) -> Result<BlockWeight, TemplateError> {
    let max = BlockWeight::MAX.units();
    let overflow = |_| TemplateError::TooHeavy { got: u64::MAX, max };
    let seals = facts.algorithms.iter().map(|facts| Seal::encoded_len(facts.algorithm));
    let seal_len = seals.max().ok_or(TemplateError::NoAlgorithm)?;
    let frame = BlockWeight::of(HEADER_BYTES.saturating_add(seal_len), 0).map_err(overflow)?;
    let frame = frame.checked_add(coinbase.weight().map_err(overflow)?).map_err(overflow)?;
    let mut weights = selected.iter().map(|pooled| pooled.weight);
    let weight = weights.try_fold(frame, BlockWeight::checked_add).map_err(overflow)?;
    if weight > BlockWeight::MAX { Err(TemplateError::TooHeavy { got: weight.units(), max }) } else { Ok(weight) }
}

/// Root of the ids and root of the witness ids. The pool knows each id already, so only the coinbase's is hashed; the
/// rule is [`bq_primitives::Block::tx_root`]'s.
fn roots(coinbase: &Transaction, selected: &[PooledTransaction]) -> (MerkleRoot, MerkleRoot) {
    let txids = selected.iter().map(|pooled| pooled.txid.0);
    let wtxids = selected.iter().map(|pooled| pooled.wtxid.0);
    (
        merkle_root(std::iter::once(coinbase.txid().0).chain(txids)),
        merkle_root(std::iter::once(coinbase.wtxid().0).chain(wtxids)),
    )
}

fn candidate(
    facts: &ParentFacts,
    algorithm: &AlgorithmFacts,
    (tx_root, witness_root): (MerkleRoot, MerkleRoot),
    time: Timestamp,
) -> CandidateHeader {
    let header = Header {
        version: HEADER_VERSION,
        parent_id: facts.parent_id,
        tx_root,
        witness_root,
        time,
        height: facts.height,
        bits: algorithm.bits,
        algorithm: algorithm.algorithm,
    };
    CandidateHeader { header, target: algorithm.target, key: algorithm.key }
}
