//! What a full block of signatures costs to validate on this machine: `cargo run --release -p bq-node --example full_block`.
#![expect(clippy::print_stdout, reason = "a figure is of no use unprinted")]

use std::{error::Error, thread::available_parallelism, time::Duration};

use bq_node::FullBlock;

const TURNS: usize = 7;

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
    }
    Ok(())
}

fn row(what: &str, sorted: &[Duration]) {
    let ms = |duration: Option<&Duration>| duration.map_or(0.0, |duration| duration.as_secs_f64() * 1_000.0);
    let (least, median, most) = (ms(sorted.first()), ms(sorted.get(sorted.len() / 2)), ms(sorted.last()));
    println!("  {what:<28} {median:>9.3}  ({least:.3} .. {most:.3})");
}
