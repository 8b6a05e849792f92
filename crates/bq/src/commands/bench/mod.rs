//! `bq bench`: measures this machine and prints one table, then what public programs do in the same minutes.

mod block;
mod client;
mod compare;
mod fanout;
mod gpu;
mod machine;
mod mining;
mod relay;
mod shares;
mod table;
mod verifying;

use std::{num::NonZeroUsize, thread::available_parallelism, time::Duration};

use bq_fixtures::FullBlock;
use bq_miner::Bench;
use bq_pow::RandomXMode;
use bq_primitives::Algorithm;

use self::{
    compare::{Setting, compare},
    machine::machine,
    table::Table,
};
use crate::{
    cli::{BenchAll, BenchCommand, BenchHash, Datasets},
    exit::{UsageError, say},
};

pub(crate) fn bench(command: &BenchCommand) -> anyhow::Result<()> {
    match command {
        BenchCommand::All(args) => all(args),
        BenchCommand::Gpu { seconds } => {
            gpu::gpu(Duration::from_secs(*seconds));
            Ok(())
        }
        BenchCommand::Hash(args) => hash(args),
        BenchCommand::Compare { seconds, rounds, threads } => {
            let threads = threads.or_else(|| available_parallelism().ok()).map_or(1, NonZeroUsize::get);
            machine();
            compare(&Setting { time: Duration::from_secs(*seconds), rounds: *rounds, threads })
        }
    }
}

/// One rate, in lines that another process can read.
fn hash(args: &BenchHash) -> anyhow::Result<()> {
    let threads = NonZeroUsize::new(args.threads).ok_or_else(|| UsageError("--threads: at least 1".to_owned()))?;
    let mode = if args.full_dataset { RandomXMode::Fast } else { RandomXMode::Light };
    let bench = Bench::prepare(args.algorithm, mode, threads)?;
    say(&format!("tables built in {:.2} s", bench.prepared_in().as_secs_f64()));
    say("hashing");
    say(&format!("{:.1} H/s", bench.hashrate(threads, Duration::from_secs(args.seconds))?));
    Ok(())
}

/// The shortest turn of a compared program: some print their rate every five seconds only.
const TURN_SECONDS_MIN: u64 = 12;

fn all(args: &BenchAll) -> anyhow::Result<()> {
    let (seconds, rounds) = match (args.quick, args.exact) {
        (true, _) => (1, 1),
        (_, true) => (20, 5),
        _ => (3, 3),
    };
    let seconds = args.seconds.unwrap_or(seconds);
    let time = Duration::from_secs(seconds);
    let datasets =
        if args.quick { args.datasets.unwrap_or(Datasets::Never) } else { args.datasets.unwrap_or_default() };
    machine();
    say("");
    let table = Table::new();
    mining::light(time, &table)?;
    mining::sha256d_kernels(time, &table);
    mining::full_datasets(datasets, time, &table)?;
    for algorithm in Algorithm::ALL {
        verifying::proofs(algorithm, time, &table)?;
    }
    verifying::in_lock_step(time, &table)?;
    verifying::signatures(time, &table)?;
    let full = FullBlock::new(usize::MAX)?;
    block::validation(&full, &table)?;
    relay::relay(&full, &table)?;
    drop(full);
    for algorithm in Algorithm::ALL {
        shares::end_to_end(algorithm, &table)?;
    }
    shares::paced(Algorithm::Ethash, &table)?;
    fanout::fanout(&table)?;
    say("");
    gpu::gpu(time);
    if args.quick {
        return Ok(());
    }
    let turn = Duration::from_secs(seconds.max(TURN_SECONDS_MIN));
    compare(&Setting { time: turn, rounds, threads: available_parallelism().map_or(1, NonZeroUsize::get) })
}
