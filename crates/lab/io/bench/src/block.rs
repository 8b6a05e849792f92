//! What the heaviest block costs a node.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use bq_consensus::BlockError;
use bq_fixtures::FullBlock;
use bq_node::VerifiedSignatures;
use bq_primitives::SigHash;
use rayon::ThreadPoolBuilder;

use super::table::Table;

const TURNS: usize = 5;

/// A block with as many signatures as fit, through every rule with its coins in memory.
pub(super) fn validation(full: &FullBlock, table: &Table<'_>) -> anyhow::Result<()> {
    let times = FullBlockTimes::measure(full, TURNS)?;
    let median = |sorted: &[Duration]| sorted.get(sorted.len() / 2).map_or(0.0, |time| time.as_secs_f64() * 1_000.0);
    let what = format!("full block, {} signatures", full.signatures());
    table.rate(&format!("{what}, 1 thread"), median(&times.one_thread), "ms");
    table.rate(&format!("{what}, all threads"), median(&times.all_threads), "ms");
    table.rate(&format!("{what}, all known"), median(&times.remembered), "ms");
    Ok(())
}

/// How long the rules take for a full block, in turns: one figure per turn, each list sorted.
#[derive(Clone, Debug, Default)]
pub struct FullBlockTimes {
    /// Signatures on one thread.
    pub one_thread: Vec<Duration>,
    /// Signatures on all cores.
    pub all_threads: Vec<Duration>,
    /// Every signature known to hold: from the mempool, or from before a reorganisation.
    pub remembered: Vec<Duration>,
    /// One signature alone, as `bq_signature` verifies it: the mean over the block's first hundred.
    pub one_signature: Vec<Duration>,
}

impl FullBlockTimes {
    /// Measures [`FullBlock::validate`], the four figures in turn.
    ///
    /// # Errors
    /// The block is not valid, which is a mistake of ours, or there are no threads to measure with.
    pub fn measure(full: &FullBlock, turns: usize) -> anyhow::Result<Self> {
        let one = ThreadPoolBuilder::new().num_threads(1).build()?;
        let mut times = Self::default();
        for _ in 0..turns {
            let judge = VerifiedSignatures::default();
            times.one_thread.push(one.install(|| time(full, &judge))?);
            let judge = VerifiedSignatures::default();
            times.all_threads.push(time(full, &judge)?);
            times.remembered.push(time(full, &judge)?);
            times.one_signature.push(time_signature(full));
        }
        for list in [&mut times.one_thread, &mut times.all_threads, &mut times.remembered, &mut times.one_signature] {
            list.sort_unstable();
        }
        Ok(times)
    }
}

fn time(full: &FullBlock, judge: &VerifiedSignatures) -> Result<Duration, BlockError> {
    let block = full.block.clone();
    let started = Instant::now();
    let valid = full.validate(block, judge)?;
    let took = started.elapsed();
    drop(valid);
    Ok(took)
}

fn time_signature(full: &FullBlock) -> Duration {
    const SIGNATURES: u32 = 100;
    let witnesses = full.block.transactions.iter().flat_map(|transaction| &transaction.witnesses);
    let started = Instant::now();
    for witness in witnesses.cycle().take(usize::try_from(SIGNATURES).unwrap_or(usize::MAX)) {
        // The message is another one: what does not hold costs the same.
        black_box(bq_signature::verify(&witness.public_key, &SigHash::ZERO, &witness.signature));
    }
    started.elapsed() / SIGNATURES
}
