use std::sync::Arc;

use bq_consensus::HEADER_VERSION;
use bq_mempool::PooledTransaction;
use bq_primitives::{
    Amount, BlockWeight, COINBASE_DATA_BYTES_MAX, CoinbasePaths, HEADER_BYTES, Header, KeyHash, MerkleRoot, Seal,
    Timestamp, Transaction, TxOut,
};

use crate::{AlgorithmFacts, BlockTemplate, CandidateHeader, ParentFacts, TemplateError};

/// What the miner chooses about a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateRequest {
    /// The key that the coinbase pays.
    pub payout: KeyHash,
    /// Free data for the coinbase, at most [`COINBASE_DATA_BYTES_MAX`] bytes.
    pub coinbase_data: Vec<u8>,
    /// Outputs that the coinbase may be given later, at least 1: their weight is kept free.
    pub outputs_max: u32,
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
    let coinbase_weight_max = coinbase_weight_max(facts, request)?;
    let weight = block_weight(facts, coinbase_weight_max, selected)?;
    // The mempool knows each id already, so none is hashed.
    let paths = CoinbasePaths::of(selected.iter().map(|pooled| (pooled.txid, pooled.wtxid)));
    let roots = paths.roots(&coinbase);
    let candidates = facts.algorithms.iter().map(|algorithm| candidate(facts, algorithm, roots, time)).collect();
    let bodies = selected.iter().map(|pooled| pooled.transaction.as_ref().clone());
    Ok(BlockTemplate {
        parent_id: facts.parent_id,
        height: facts.height,
        reward,
        fees,
        weight,
        coinbase_weight_max,
        paths,
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
    let frame = block_weight(facts, coinbase_weight_max(facts, request)?, &[])?;
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

/// The weight of a coinbase with as many outputs as it may be given. Amounts do not change it.
fn coinbase_weight_max(facts: &ParentFacts, request: &TemplateRequest) -> Result<BlockWeight, TemplateError> {
    let mut coinbase = coinbase(facts, request, Amount::ZERO);
    let outputs = usize::try_from(request.outputs_max.max(1)).unwrap_or(usize::MAX);
    // No block holds more outputs than it has weight units: bounds the memory of a request that asks for all there is.
    let max = BlockWeight::MAX.units();
    if u64::from(request.outputs_max) > max {
        return Err(TemplateError::TooHeavy { got: u64::MAX, max });
    }
    let output = TxOut { amount: Amount::ZERO, key_hash: request.payout };
    coinbase.outputs.resize(outputs, output);
    coinbase.weight().map_err(|_| TemplateError::TooHeavy { got: u64::MAX, max })
}

/// The weight with the longest seal: the same body must fit whichever algorithm seals it.
fn block_weight(
    facts: &ParentFacts,
    coinbase: BlockWeight,
    selected: &[PooledTransaction],
) -> Result<BlockWeight, TemplateError> {
    let max = BlockWeight::MAX.units();
    let overflow = |_| TemplateError::TooHeavy { got: u64::MAX, max };
    let seals = facts.algorithms.iter().map(|facts| Seal::encoded_len(facts.algorithm));
    let seal_len = seals.max().ok_or(TemplateError::NoAlgorithm)?;
    let frame = BlockWeight::of(HEADER_BYTES.saturating_add(seal_len), 0).map_err(overflow)?;
    let frame = frame.checked_add(coinbase).map_err(overflow)?;
    let mut weights = selected.iter().map(|pooled| pooled.weight);
    let weight = weights.try_fold(frame, BlockWeight::checked_add).map_err(overflow)?;
    if weight > BlockWeight::MAX { Err(TemplateError::TooHeavy { got: weight.units(), max }) } else { Ok(weight) }
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
