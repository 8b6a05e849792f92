//! `bq bench`: what the command line asks of the benchmarks, and what these ask of `bq`.

use std::{num::NonZeroUsize, thread::available_parallelism, time::Duration};

use bq_primitives::Algorithm;
use bq_runtime::{Shutdown, on_signals};

use crate::{
    cli::{BenchAll, BenchCommand, BenchHash, Datasets},
    exit::{UsageError, say},
    run::BenchSystem,
};
use bq_bench::{Extent, Host, Interruption, Measurement, Setting, SystemUnderTest};

pub(crate) fn bench(command: &BenchCommand) -> anyhow::Result<()> {
    bq_bench::bench(&Bq, &measurement(command)?)
}

fn measurement(command: &BenchCommand) -> Result<Measurement, UsageError> {
    Ok(match command {
        BenchCommand::All(args) => Measurement::All(extent(args)),
        BenchCommand::Gpu { seconds } => Measurement::Gpu(Duration::from_secs(*seconds)),
        BenchCommand::Hash(args) => Measurement::Hash(hash(args)?),
        BenchCommand::Compare { seconds, rounds, threads } => {
            let threads = threads.or_else(|| available_parallelism().ok()).map_or(1, NonZeroUsize::get);
            Measurement::Compare(Setting { time: Duration::from_secs(*seconds), rounds: *rounds, threads })
        }
    })
}

fn extent(args: &BenchAll) -> Extent {
    let (seconds, rounds) = match (args.quick, args.exact) {
        (true, _) => (1, None),
        (_, true) => (20, Some(5)),
        _ => (3, Some(3)),
    };
    let unasked = if args.quick { Datasets::Never } else { Datasets::Auto };
    Extent {
        time: Duration::from_secs(args.seconds.unwrap_or(seconds)),
        datasets: match args.datasets.unwrap_or(unasked) {
            Datasets::Auto => bq_bench::Datasets::Auto,
            Datasets::Always => bq_bench::Datasets::Always,
            Datasets::Never => bq_bench::Datasets::Never,
        },
        rounds,
    }
}

fn hash(args: &BenchHash) -> Result<bq_bench::Hash, UsageError> {
    Ok(bq_bench::Hash {
        algorithm: args.algorithm,
        threads: NonZeroUsize::new(args.threads).ok_or_else(|| UsageError("--threads: at least 1".to_owned()))?,
        time: Duration::from_secs(args.seconds),
        full_dataset: args.full_dataset,
    })
}

/// This program, as the benchmarks see it.
struct Bq;

impl Host for Bq {
    fn say(&self, line: &str) {
        say(line);
    }

    fn start_system(&self, algorithms: &[(Algorithm, &str)]) -> anyhow::Result<Box<dyn SystemUnderTest>> {
        Ok(Box::new(BenchSystem::start(algorithms)?))
    }

    fn interruption(&self) -> anyhow::Result<Interruption> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let (trigger, shutdown) = Shutdown::new();
        runtime.block_on(async { on_signals(trigger) })?;
        Ok(Box::new(move || {
            // Without its runtime nobody listens for signals.
            let _listening = &runtime;
            shutdown.is_requested()
        }))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn asked(arguments: &[&str]) -> Result<Measurement, UsageError> {
        let parsed = Cli::parse_from(["bq", "bench"].iter().chain(arguments));
        let Command::Bench(command) = parsed.command else { panic!("{arguments:?} is another command") };
        measurement(&command)
    }

    #[test]
    fn quick_measures_little_and_compares_nothing() {
        let Ok(Measurement::All(Extent { time, datasets, rounds })) = asked(&["all", "--quick"]) else { panic!() };
        assert_eq!((time, rounds), (Duration::from_secs(1), None));
        assert!(matches!(datasets, bq_bench::Datasets::Never));
        let Ok(Measurement::All(quick)) = asked(&["all", "--quick", "--datasets", "always"]) else { panic!() };
        assert!(matches!(quick.datasets, bq_bench::Datasets::Always), "asked for, so built");
    }

    #[test]
    fn exact_measures_longer() {
        let Ok(Measurement::All(exact)) = asked(&["all", "--exact"]) else { panic!() };
        assert_eq!((exact.time, exact.rounds), (Duration::from_secs(20), Some(5)));
        let Ok(Measurement::All(told)) = asked(&["all", "--exact", "--seconds", "7"]) else { panic!() };
        assert_eq!((told.time, told.rounds), (Duration::from_secs(7), Some(5)));
        let Ok(Measurement::All(usual)) = asked(&["all"]) else { panic!() };
        assert_eq!((usual.time, usual.rounds), (Duration::from_secs(3), Some(3)));
        assert!(matches!(usual.datasets, bq_bench::Datasets::Auto));
    }

    #[test]
    fn hashing_takes_a_thread() {
        assert!(asked(&["hash", "--algorithm", "sha256d", "--threads", "0"]).is_err());
        assert!(matches!(asked(&["hash", "--algorithm", "ethash"]), Ok(Measurement::Hash(_))));
    }
}
