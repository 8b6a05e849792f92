//! `bq sim`: chains under the real rules, as a table, CSV files and drawings.

use std::{
    io::{IsTerminal, Write},
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::Context;
use bq_pool_sim::PoolPlan;
use bq_sim::{Consensus, Outcome, Scenario, chart, csv, table};

use crate::{
    cli::SimArgs,
    exit::{UsageError, say},
};

const REWARDS: &str = "rewards";
const REWARDS_ABOUT: &str = "what strategies earn in a pool, by the ledger's own code; its seed is fixed";

/// Runs one scenario or all, as many at a time as asked. What a run gives depends on its scenario and seed only.
pub(crate) fn sim(args: &SimArgs) -> anyhow::Result<()> {
    if let Some(plan) = PoolPlan::find(&args.scenario) {
        return tell_story(plan, args);
    }
    if args.scenario == REWARDS {
        return rewards(args);
    }
    let scenarios = chosen(&args.scenario)?;
    if args.list {
        list(&scenarios);
        return Ok(());
    }
    if let Some(folder) = &args.out {
        std::fs::create_dir_all(folder).with_context(|| format!("--out {}", folder.display()))?;
    }
    let outcomes = run_all(&scenarios, args);
    say(table(&outcomes).trim_end());
    match &args.out {
        Some(folder) => write_all(&outcomes, folder),
        None => Ok(()),
    }
}

/// Days of a pool are a story, not a drawing: what happened when, and the figures at the end.
fn tell_story(plan: PoolPlan, args: &SimArgs) -> anyhow::Result<()> {
    if args.list {
        say(&format!("{}  {}", plan.name, plan.about));
        return Ok(());
    }
    let outcome = bq_pool_sim::run(plan, args.seed);
    let story = match &outcome {
        Ok(story) => story,
        Err(broken) => &broken.story,
    };
    for line in &story.lines {
        say(line);
    }
    for (name, value) in &story.figures {
        say(&format!("{name:24}{value}"));
    }
    outcome.map(|_| ()).map_err(|broken| anyhow::anyhow!("{broken}"))
}

/// What strategies earn: tables, each with a verdict.
fn rewards(args: &SimArgs) -> anyhow::Result<()> {
    if args.list {
        say(&format!("{REWARDS}  {REWARDS_ABOUT}"));
        return Ok(());
    }
    let plan = bq_rewards::Plan::FULL;
    let sections = plan.run(|section| say(&bq_rewards::table(section)))?;
    let failed = sections.iter().flat_map(|section| &section.rows).filter(|row| row.passed == Some(false)).count();
    say(&format!("{} batches of {} shares, seed {}", plan.batches, plan.shares, plan.seed));
    anyhow::ensure!(failed == 0, "{failed} rows failed");
    Ok(())
}

fn chosen(name: &str) -> Result<Vec<Scenario>, UsageError> {
    if name == "all" {
        return Ok(Scenario::all());
    }
    let known = || {
        let chains = Scenario::all().into_iter().map(|scenario| scenario.name);
        let pools = PoolPlan::ALL.map(|plan| plan.name.to_owned());
        chains.chain(pools).chain([REWARDS.to_owned()]).collect::<Vec<_>>().join(", ")
    };
    let scenario = Scenario::find(name);
    scenario
        .map(|scenario| vec![scenario])
        .ok_or_else(|| UsageError(format!("--scenario {name}: known are all, {}", known())))
}

fn list(scenarios: &[Scenario]) {
    let width = scenarios.iter().map(|scenario| scenario.name.len()).max().unwrap_or(0);
    for scenario in scenarios {
        say(&format!("{:width$}  {}", scenario.name, scenario.about));
    }
    for plan in PoolPlan::ALL.iter().filter(|_| scenarios.len() > 1) {
        say(&format!("{:width$}  {}", plan.name, plan.about));
    }
    if scenarios.len() > 1 {
        say(&format!("{REWARDS:width$}  {REWARDS_ABOUT}"));
    }
}

/// Threads take the next scenario until none is left.
fn run_all(scenarios: &[Scenario], args: &SimArgs) -> Vec<Outcome> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let progress = Progress { total: scenarios.len(), on_terminal: std::io::stderr().is_terminal() };
    std::thread::scope(|scope| {
        for _ in 0..usize::from(args.jobs.get()).min(scenarios.len()) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(scenario) = scenarios.get(index) else { break };
                    let outcome = scenario.run(args.seed, args.blocks, &Consensus);
                    // A poisoned lock means that another run panicked; the scope will say so.
                    let Ok(mut done) = done.lock() else { break };
                    done.push((index, outcome));
                    progress.show(done.len(), &scenario.name);
                }
            });
        }
    });
    progress.end();
    let mut done = done.into_inner().unwrap_or_default();
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, outcome)| outcome).collect()
}

/// Which scenarios are done: one line that changes on a terminal, a line each elsewhere. A closed stderr is no reason to stop.
struct Progress {
    total: usize,
    on_terminal: bool,
}

impl Progress {
    fn show(&self, done: usize, name: &str) {
        let (before, after) = if self.on_terminal { ("\r\x1b[K", "") } else { ("", "\n") };
        let mut stderr = std::io::stderr();
        let _ = write!(stderr, "{before}{done}/{} {name}{after}", self.total).and_then(|()| stderr.flush());
    }

    fn end(&self) {
        if self.on_terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn write_all(outcomes: &[Outcome], folder: &Path) -> anyhow::Result<()> {
    let mut summary = String::from("scenario,seed,measure,value\n");
    for outcome in outcomes {
        for measure in &outcome.measures {
            summary.push_str(&format!("{},{},{},{}\n", outcome.name, outcome.seed, measure.name, measure.value));
        }
        let stem = format!("{}-{}", outcome.name, outcome.seed);
        write(folder, &format!("{stem}.csv"), &csv(outcome))?;
        write(folder, &format!("{stem}.svg"), &chart(outcome))?;
    }
    write(folder, "summary.csv", &summary)
}

fn write(folder: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let path = folder.join(name);
    std::fs::write(&path, text).with_context(|| path.display().to_string())
}
