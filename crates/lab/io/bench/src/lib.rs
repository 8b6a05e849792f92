//! Measures this machine and prints one table, then what public programs do in the same minutes: what `bq bench` does.
//!
//! It runs the code that a node, a pool and a miner run, and has no second version of any of it. It prints and hears signals
//! through a [`Host`], which also starts whole systems for it, so that it knows nothing of configurations and wiring. Its
//! errors end one run of a tool and are read by a person; they are the only ones outside the binary that have no type.
//! Read [`Measurement`] and [`Host`] first.

mod block;
mod blocks;
mod client;
mod compare;
mod fanout;
mod gpu;
mod host;
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

use self::{compare::compare, machine::machine, table::Table};

pub use self::{
    block::FullBlockTimes,
    compare::Setting,
    host::{Host, Interruption, SystemUnderTest},
};

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub enum Measurement {
    /// Everything, as one table.
    All(Extent),
    /// Each CUDA GPU, for so long per figure.
    Gpu(Duration),
    /// Hashes per second of one algorithm, in lines that another process can read.
    Hash(Hash),
    /// Ours and public programs in turn.
    Compare(Setting),
}

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Time per figure.
    pub time: Duration,
    /// Which full datasets to build.
    pub datasets: Datasets,
    /// Turns of each compared program; none compares nothing.
    pub rounds: Option<u32>,
}

/// Whether to build the full datasets, of 2,080 and 1,024 MiB.
#[derive(Clone, Copy, Debug)]
pub enum Datasets {
    /// What fits into free memory.
    Auto,
    /// Both.
    Always,
    /// None.
    Never,
}

/// One algorithm's rate.
#[derive(Clone, Copy, Debug)]
pub struct Hash {
    /// Of which algorithm.
    pub algorithm: Algorithm,
    /// Threads that hash.
    pub threads: NonZeroUsize,
    /// How long they hash.
    pub time: Duration,
    /// From the full dataset of RandomX or Ethash, not in light mode.
    pub full_dataset: bool,
}

/// Measures, and prints figures as they come.
///
/// # Errors
/// The first thing that could not be measured, in words for people.
pub fn bench(host: &dyn Host, what: &Measurement) -> anyhow::Result<()> {
    match what {
        Measurement::All(extent) => everything(host, extent),
        Measurement::Gpu(time) => {
            gpu::gpu(host, *time);
            Ok(())
        }
        Measurement::Hash(what) => hash(host, what),
        Measurement::Compare(setting) => {
            machine(host);
            compare(host, setting)
        }
    }
}

fn hash(host: &dyn Host, what: &Hash) -> anyhow::Result<()> {
    let mode = if what.full_dataset { RandomXMode::Fast } else { RandomXMode::Light };
    let hashing = Bench::prepare(what.algorithm, mode, what.threads)?;
    host.say(&format!("tables built in {:.2} s", hashing.prepared_in().as_secs_f64()));
    host.say("hashing");
    host.say(&format!("{:.1} H/s", hashing.hashrate(what.threads, what.time)?));
    Ok(())
}

/// The shortest turn of a compared program: some print their rate every five seconds only.
const TURN_MIN: Duration = Duration::from_secs(12);

fn everything(host: &dyn Host, extent: &Extent) -> anyhow::Result<()> {
    let Extent { time, datasets, rounds } = *extent;
    machine(host);
    host.say("");
    let table = Table::new(host);
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
        shares::end_to_end(host, algorithm, &table)?;
    }
    shares::paced(host, Algorithm::Ethash, &table)?;
    fanout::fanout(host, &table)?;
    host.say("");
    gpu::gpu(host, time);
    let Some(rounds) = rounds else { return Ok(()) };
    let threads = available_parallelism().unwrap_or(NonZeroUsize::MIN);
    compare(host, &Setting { time: time.max(TURN_MIN), rounds, threads: threads.get() })
}
