use std::fmt::Write;

use bq_primitives::Algorithm;

use crate::{BlockRecord, Outcome, RacePoint, Trace};

mod chart;

pub use chart::chart;

/// Outcomes as lines for people: one scenario per line, its figures after it.
#[must_use]
pub fn table(outcomes: &[Outcome]) -> String {
    let width = outcomes.iter().map(|outcome| outcome.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for outcome in outcomes {
        let _ = write!(text, "{:width$}  seed {}", outcome.name, outcome.seed);
        for measure in &outcome.measures {
            let _ = write!(text, "  {} {}", measure.name, figure(measure.value));
        }
        text.push('\n');
    }
    text
}

/// An outcome's course as comma-separated values, with a header line. Times in seconds.
#[must_use]
pub fn csv(outcome: &Outcome) -> String {
    match &outcome.trace {
        Trace::Chain(blocks) => chain_csv(blocks),
        Trace::Race(points) => race_csv(points),
    }
}

fn chain_csv(blocks: &[BlockRecord]) -> String {
    let mut text = String::from("height,found_secs,stamp_secs,algorithm,miner,difficulty,expected_secs,capped,weight");
    for algorithm in Algorithm::ALL {
        let _ = write!(text, ",next_difficulty_{algorithm}");
    }
    text.push('\n');
    for block in blocks {
        let BlockRecord { height, found_secs, stamp_secs, algorithm, miner, difficulty, .. } = block;
        let BlockRecord { expected_secs, capped, weight, next_difficulty: [a, b, c], .. } = block;
        let _ = writeln!(
            text,
            "{height},{found_secs:.3},{stamp_secs},{algorithm},{miner},{difficulty:.6},{expected_secs:.3},{capped},\
             {weight:.6},{a:.6},{b:.6},{c:.6}"
        );
    }
    text
}

fn race_csv(points: &[RacePoint]) -> String {
    let mut text = String::from("secs,honest_blocks,attacker_blocks,honest_work,attacker_work,ahead\n");
    for point in points {
        let RacePoint { secs, depth, attacker_blocks, honest_work, attacker_work, ahead } = point;
        let _ = writeln!(text, "{secs:.3},{depth},{attacker_blocks},{honest_work:.6},{attacker_work:.6},{ahead}");
    }
    text
}

fn figure(value: f64) -> String {
    if value.fract() == 0.0 || value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}
