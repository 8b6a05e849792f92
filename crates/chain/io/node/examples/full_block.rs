//! What a full block of signatures costs to validate on this machine: `cargo run --release -p bq-node --example full_block`.
#![expect(clippy::print_stdout, reason = "a figure is of no use unprinted")]

use std::{
    error::Error,
    sync::Arc,
    thread::available_parallelism,
    time::{Duration, Instant},
};

use bq_chain_api::NodeApi as _;
use bq_mempool::MempoolLimits;
use bq_node::{Clock, FullBlock, Node, NodeConfig};
use bq_primitives::Timestamp;

const TURNS: usize = 7;

/// Stands at the time of the full block.
#[derive(Debug)]
struct StoppedClock(Timestamp);

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        self.0
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let threads = available_parallelism()?;
    println!("medians of {TURNS} turns (least .. most), milliseconds; {threads} threads");
    for (shape, inputs_per_transaction) in
        [("one transaction", usize::MAX), ("20 inputs each", 20), ("1 input each", 1)]
    {
        let full = FullBlock::new(inputs_per_transaction)?;
        let weight = full.block.weight()?.units();
        let (signatures, transactions) = (full.signatures(), full.block.transactions.len() - 1);
        println!("{shape}: {weight} WU, {signatures} signatures, {transactions} transactions");
        let times = full.measure(TURNS)?;
        row("one signature alone", &times.one_signature);
        row("1 thread", &times.one_thread);
        row(&format!("{threads} threads"), &times.all_threads);
        row("every signature remembered", &times.remembered);
        let mut stored = (0..TURNS).map(|_| submit(&full)).collect::<Result<Vec<_>, _>>()?;
        stored.sort_unstable();
        row("a node with its store, from block to new tip", &stored);
    }
    Ok(())
}

/// What a node takes from the submitted block to the new tip: coins read from its store, the block written and synced.
fn submit(full: &FullBlock) -> Result<Duration, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let config = NodeConfig {
        params: Arc::new(full.params.clone()),
        data_dir: folder.path().to_owned(),
        mempool: MempoolLimits::default(),
        clock: Arc::new(StoppedClock(full.block.header.time)),
    };
    let node = Node::open(config, Arc::default())?;
    node.submit_block(full.funding.clone())?;
    let block = full.block.clone();
    let started = Instant::now();
    node.submit_block(block)?;
    Ok(started.elapsed())
}

fn row(what: &str, sorted: &[Duration]) {
    let ms = |duration: Option<&Duration>| duration.map_or(0.0, |duration| duration.as_secs_f64() * 1_000.0);
    let (least, median, most) = (ms(sorted.first()), ms(sorted.get(sorted.len() / 2)), ms(sorted.last()));
    println!("  {what:<44} {median:>9.3}  ({least:.3} .. {most:.3})");
}
