use std::fmt::Write;

use bq_primitives::Algorithm;

use crate::{BlockRecord, NetworkRun, Outcome, RacePoint, Trace};

mod chart;

pub use chart::chart;

/// Outcomes as tables for people, chains first, then races, then networks: a column for each figure that most of them have, and the others
/// at the end of the line.
#[must_use]
pub fn table(outcomes: &[Outcome]) -> String {
    let of = |kind: fn(&Trace) -> bool| outcomes.iter().filter(|outcome| kind(&outcome.trace)).collect::<Vec<_>>();
    let groups = [
        of(|trace| matches!(trace, Trace::Chain(_))),
        of(|trace| matches!(trace, Trace::Race(_))),
        of(|trace| matches!(trace, Trace::Network(_))),
    ];
    let tables: Vec<String> = groups.iter().filter(|group| !group.is_empty()).map(|group| columns(group)).collect();
    tables.join("\n")
}

fn columns(outcomes: &[&Outcome]) -> String {
    let names = common_names(outcomes);
    let mut rows = vec![["scenario", "seed"].into_iter().chain(names.iter().copied()).map(String::from).collect()];
    rows.extend(outcomes.iter().map(|outcome| cells(outcome, &names)));
    let width = |column: usize| rows.iter().filter_map(|row: &Vec<String>| row.get(column)).map(String::len).max();
    let widths: Vec<usize> = (0..names.len() + 2).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = format!("{:1$}", row[0], widths[0]);
        for (column, cell) in row.iter().enumerate().skip(1) {
            let width = widths.get(column).copied().unwrap_or(0);
            let _ = write!(line, "  {cell:>width$}");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Figures that at least half of the outcomes have, in their order.
fn common_names<'a>(outcomes: &[&'a Outcome]) -> Vec<&'a str> {
    let mut names: Vec<(&str, usize)> = Vec::new();
    for measure in outcomes.iter().flat_map(|outcome| &outcome.measures) {
        match names.iter_mut().find(|(name, _)| *name == measure.name) {
            Some((_, count)) => *count += 1,
            None => names.push((&measure.name, 1)),
        }
    }
    names.into_iter().filter(|(_, count)| 2 * count >= outcomes.len()).map(|(name, _)| name).collect()
}

fn cells(outcome: &Outcome, names: &[&str]) -> Vec<String> {
    let value = |name: &&str| outcome.measures.iter().find(|measure| measure.name == *name);
    let common = names.iter().map(|name| value(name).map_or_else(|| "-".into(), |measure| figure(measure.value)));
    let rest = outcome.measures.iter().filter(|measure| !names.contains(&measure.name.as_str()));
    let rest: Vec<String> = rest.map(|measure| format!("{} {}", measure.name, figure(measure.value))).collect();
    let mut cells = vec![outcome.name.clone(), outcome.seed.to_string()];
    cells.extend(common);
    if !rest.is_empty() {
        cells.push(rest.join(", "));
    }
    cells
}

/// An outcome's course as comma-separated values, with a header line. Times in seconds.
#[must_use]
pub fn csv(outcome: &Outcome) -> String {
    match &outcome.trace {
        Trace::Chain(blocks) => chain_csv(blocks),
        Trace::Race(points) => race_csv(points),
        Trace::Network(run) => network_csv(run),
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

fn network_csv(run: &NetworkRun) -> String {
    let mut text = String::from("height,found_secs,algorithm,finder,stale,calm,half_reached_secs,all_reached_secs\n");
    for block in &run.blocks {
        let found_secs = block.found_ms as f64 / 1_000.0;
        let reach = |part| block.reach_secs(part).map_or(String::new(), |secs| format!("{secs:.3}"));
        let _ = writeln!(
            text,
            "{},{found_secs:.3},{},{},{},{},{},{}",
            block.height,
            block.algorithm,
            block.finder,
            block.is_stale,
            block.is_calm,
            reach(0.5),
            reach(1.0)
        );
    }
    text
}

fn figure(value: f64) -> String {
    if value.fract() == 0.0 || value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}
