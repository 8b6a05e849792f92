//! `bq bench`: measures this machine and prints one table.

mod client;
mod fanout;
mod hashing;
mod shares;
mod table;

use std::{num::NonZeroUsize, time::Duration};

use bq_miner::Bench;
use bq_pow::RandomXMode;
use bq_primitives::Algorithm;

use self::table::Table;
use crate::{
    cli::BenchCommand,
    exit::{UsageError, say},
};

pub(crate) fn bench(command: &BenchCommand) -> anyhow::Result<()> {
    match command {
        BenchCommand::All { seconds } => all(Duration::from_secs(*seconds)),
        BenchCommand::Hash { algorithm, threads, seconds, full_dataset } => {
            let threads = NonZeroUsize::new(*threads).ok_or_else(|| UsageError("--threads: at least 1".to_owned()))?;
            let mode = if *full_dataset { RandomXMode::Fast } else { RandomXMode::Light };
            let bench = Bench::prepare(*algorithm, mode, threads)?;
            say(&format!("tables built in {:.2} s", bench.prepared_in().as_secs_f64()));
            say(&format!("{:.1} H/s", bench.hashrate(threads, Duration::from_secs(*seconds))?));
            Ok(())
        }
    }
}

fn all(time: Duration) -> anyhow::Result<()> {
    let mut table = Table::new();
    table.machine();
    for algorithm in Algorithm::ALL {
        let rate =
            Bench::prepare(algorithm, RandomXMode::Light, NonZeroUsize::MIN)?.hashrate(NonZeroUsize::MIN, time)?;
        table.rate(&format!("{algorithm} mining, 1 thread"), rate, "H/s");
    }
    for algorithm in Algorithm::ALL {
        hashing::verification(algorithm, time, &mut table)?;
    }
    for algorithm in Algorithm::ALL {
        shares::end_to_end(algorithm, &mut table)?;
    }
    fanout::fanout(&mut table)
}
