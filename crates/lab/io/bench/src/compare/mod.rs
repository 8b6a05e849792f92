//! Ours and public programs in turn, A B A B, and the ratios.
//!
//! Ours is a process of its own too, at the same niceness, with as many threads and for as long. What is compared is what
//! environment variables name; nothing is searched for or fetched. Read [`Rival`] and [`Contender`] first.

mod cpuminer;
mod cpuminer_opt;
mod ethash_bench;
mod huge_pages;
mod ours;
mod process;
mod randomx_benchmark;
mod report;
mod tally;
mod xmrig;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use self::{
    huge_pages::HugePages,
    process::{Failure, Processes},
    report::{Round, Verdict},
    tally::Outcome,
};
use super::host::Host;

/// How much to compare.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// How long each program hashes in its turn.
    pub time: Duration,
    /// Turns of each.
    pub rounds: u32,
    /// Threads of a comparison that uses the whole machine.
    pub threads: usize,
}

impl Setting {
    /// One thread, and the whole machine if that is more.
    fn thread_counts(&self) -> Vec<usize> {
        if self.threads > 1 { vec![1, self.threads] } else { vec![1] }
    }
}

/// A public program that can be compared.
struct Rival {
    /// Its name.
    name: &'static str,
    /// The environment variable that names its binary.
    variable: &'static str,
    /// What to compare it in.
    matches: fn(&Path, &Setting) -> Vec<Match>,
}

const RIVALS: [Rival; 5] =
    [cpuminer::RIVAL, cpuminer_opt::RIVAL, xmrig::RIVAL, randomx_benchmark::RIVAL, ethash_bench::RIVAL];

/// Two programs that do the same work.
struct Match {
    work: &'static str,
    /// The other program, and how it runs.
    against: String,
    ours: Contender,
    theirs: Contender,
}

/// How to run a program and how to read it.
struct Contender {
    program: PathBuf,
    arguments: Vec<String>,
    /// Threads that hash.
    threads: usize,
    /// What a line of its output says.
    read: fn(&str) -> Option<Reading>,
    /// The longest it may take until it hashes.
    setup_max: Duration,
    end: End,
}

/// Until a program without large tables hashes.
const SETUP_MAX: Duration = Duration::from_secs(60);
/// The same with a full dataset, which takes six minutes on one slow core.
const DATASET_SETUP_MAX: Duration = Duration::from_secs(600);

const fn setup_max(full_dataset: bool) -> Duration {
    if full_dataset { DATASET_SETUP_MAX } else { SETUP_MAX }
}

/// When a program's turn is over.
#[derive(Clone, Copy, Debug)]
enum End {
    /// When it ends: it was told how long to run, about as long as given here.
    ByItself(Duration),
    /// That long after it was ready; it would go on for ever.
    After(Duration),
}

/// What one line of output says.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reading {
    /// The tables are built; in so many seconds.
    Built(f64),
    /// Hashing begins.
    Ready,
    /// Hashes per second since the last such line.
    Rate(f64),
    /// Hashes per second since hashing began.
    Mean(f64),
}

/// Prints one table. A program that is missing, fails or prints nothing that makes sense has a row that says so.
pub(super) fn compare(host: &dyn Host, setting: &Setting) -> anyhow::Result<()> {
    host.say("");
    host.say(&format!(
        "Side by side: {} turns each of {} s, ours first, median (min..max) of the ratios of one round; above 1 ours is faster.",
        setting.rounds,
        setting.time.as_secs()
    ));
    host.say("");
    report::head(host);
    let processes = Processes::new(host.interruption()?);
    for rival in &RIVALS {
        match std::env::var_os(rival.variable).filter(|path| !path.is_empty()) {
            None => report::remark(host, "", rival.name, &format!("not given: {}", rival.variable)),
            Some(path) => {
                for pair in (rival.matches)(Path::new(&path), setting) {
                    play(host, &pair, setting.rounds, &processes)?;
                }
            }
        }
    }
    Ok(())
}

/// Runs both in turn and prints the verdict, on the rounds before a failure if there is one. The only error is an
/// interruption: there is no sense in going on.
fn play(host: &dyn Host, pair: &Match, rounds: u32, processes: &Processes) -> anyhow::Result<()> {
    let mut verdict = Verdict::default();
    for _ in 0..rounds {
        let turn = |contender: &Contender, whose: &str| -> anyhow::Result<Option<Outcome>> {
            let pages = HugePages::now();
            let outcome = processes.run(contender);
            pages.restore(host);
            match outcome {
                Ok(outcome) => Ok(Some(outcome)),
                Err(Failure::Interrupted) => Err(Failure::Interrupted.into()),
                Err(failure) => {
                    report::remark(host, pair.work, &pair.against, &format!("{whose} failed: {failure}"));
                    Ok(None)
                }
            }
        };
        let (Some(ours), Some(theirs)) = (turn(&pair.ours, "ours")?, turn(&pair.theirs, "theirs")?) else { break };
        verdict.add(Round { ours, theirs });
    }
    verdict.print(host, pair);
    Ok(())
}
