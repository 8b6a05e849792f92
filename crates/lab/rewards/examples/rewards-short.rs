//! A sixteenth of it, with intervals four times as wide: `make sim PLAN=rewards-short`.
#![expect(clippy::print_stdout, reason = "a program that prints a table")]

use bq_rewards::{Plan, table};

fn main() -> Result<(), bq_ledger::LedgerError> {
    let plan = Plan::SHORT;
    let sections = plan.run(|section| println!("{}", table(section)))?;
    let failed = sections.iter().flat_map(|section| &section.rows).filter(|row| row.passed == Some(false)).count();
    println!("{} batches of {} shares, seed {}: {failed} failed", plan.batches, plan.shares, plan.seed);
    std::process::exit(i32::from(failed > 0))
}
