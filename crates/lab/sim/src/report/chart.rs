use std::fmt::Write;

use bq_primitives::Algorithm;

use crate::{BlockRecord, NetworkRun, Outcome, RacePoint, Trace};

const WIDTH: f64 = 960.0;
const PANEL: f64 = 240.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 50.0;
const GAP: f64 = 50.0;
const COLOURS: [&str; 4] = ["#d9822b", "#2b7bd9", "#3a9a4f", "#555555"];

/// An outcome as one SVG drawing. A chain: targets and block times per algorithm over time. A race: chain work of both sides.
/// A network: how long blocks took to the others, and how deep reorganisations were.
#[must_use]
pub fn chart(outcome: &Outcome) -> String {
    let panels = match &outcome.trace {
        Trace::Chain(blocks) => vec![targets(blocks), block_times(blocks)],
        Trace::Race(points) => vec![works(points), leads(points)],
        Trace::Network(run) => vec![reach(run), depths(run)],
    };
    let height = TOP + panels.len() as f64 * (PANEL + GAP) + 10.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"{LEFT}\" y=\"22\" \
         font-size=\"16\">{}, seed {}: {}</text>\n",
        outcome.name, outcome.seed, outcome.about
    );
    for (index, panel) in panels.iter().enumerate() {
        panel.draw(&mut svg, TOP + index as f64 * (PANEL + GAP));
    }
    svg.push_str("</svg>\n");
    svg
}

/// Curves over the same time axis, in hours.
struct Panel {
    title: &'static str,
    curves: Vec<Curve>,
}

struct Curve {
    name: String,
    colour: &'static str,
    points: Vec<(f64, f64)>,
}

fn targets(blocks: &[BlockRecord]) -> Panel {
    let curves = Algorithm::ALL.into_iter().zip(COLOURS).map(|(algorithm, colour)| {
        let target = |block: &BlockRecord| -block.next_difficulty[algorithm.index()].log2();
        let points = blocks.iter().map(|block| (block.found_secs / 3_600.0, target(block)));
        Curve { name: algorithm.to_string(), colour, points: points.filter(|(_, y)| y.is_finite()).collect() }
    });
    Panel { title: "target, in doublings of the start target", curves: curves.collect() }
}

fn block_times(blocks: &[BlockRecord]) -> Panel {
    let of = |algorithm: Option<Algorithm>| {
        let times: Vec<f64> = blocks
            .iter()
            .filter(|block| algorithm.is_none_or(|algorithm| block.algorithm == algorithm))
            .map(|block| block.found_secs)
            .collect();
        const WINDOW: usize = 24;
        let means = times.windows(WINDOW + 1).map(|window| {
            let last = window[WINDOW];
            (last / 3_600.0, (last - window[0]) / WINDOW as f64 / 60.0)
        });
        means.collect::<Vec<_>>()
    };
    let mut curves: Vec<Curve> = Algorithm::ALL
        .into_iter()
        .zip(COLOURS)
        .map(|(algorithm, colour)| Curve { name: algorithm.to_string(), colour, points: of(Some(algorithm)) })
        .collect();
    curves.push(Curve { name: "all".into(), colour: COLOURS[3], points: of(None) });
    Panel { title: "block time in minutes, mean of 24 blocks", curves }
}

fn works(points: &[RacePoint]) -> Panel {
    let curve = |name: &str, colour, work: fn(&RacePoint) -> f64| Curve {
        name: name.into(),
        colour,
        points: points.iter().map(|point| (point.secs / 3_600.0, work(point))).collect(),
    };
    Panel {
        title: "chain work since the fork, in reference blocks",
        curves: vec![
            curve("honest", COLOURS[1], |point| point.honest_work),
            curve("attacker", COLOURS[0], |point| point.attacker_work),
        ],
    }
}

fn leads(points: &[RacePoint]) -> Panel {
    let lead = |point: &RacePoint| point.attacker_work - point.honest_work;
    // The first day decides; the rest would flatten it.
    let early = points.iter().filter(|point| point.secs <= 86_400.0);
    let points = early.map(|point| (point.secs / 3_600.0, lead(point))).collect();
    Panel {
        title: "attacker's lead in the first day, in reference blocks",
        curves: vec![Curve { name: "lead".into(), colour: COLOURS[0], points }],
    }
}

fn reach(run: &NetworkRun) -> Panel {
    let curve = |name: &str, colour, part: f64| {
        let point = |secs: f64| secs.max(0.001).log10();
        let points =
            run.blocks.iter().filter_map(|block| Some((hours(block.found_ms), point(block.reach_secs(part)?))));
        Curve { name: name.into(), colour, points: points.collect() }
    };
    let curves = vec![curve("all", COLOURS[0], 1.0), curve("half", COLOURS[1], 0.5)];
    Panel { title: "from a block's find until other nodes had it, in powers of ten seconds", curves }
}

fn depths(run: &NetworkRun) -> Panel {
    // From zero up and back, so that each one is a needle.
    let needle = |at_ms: u64, depth: usize| [(hours(at_ms), 0.0), (hours(at_ms), depth as f64), (hours(at_ms), 0.0)];
    let depths = run.reorgs.iter().flat_map(|reorg| needle(reorg.at_ms, reorg.disconnected.len()));
    let end = run.blocks.last().map(|block| (hours(block.found_ms), 0.0));
    let points = std::iter::once((0.0, 0.0)).chain(depths).chain(end).collect();
    Panel {
        title: "blocks that a node left at once",
        curves: vec![Curve { name: "depth".into(), colour: COLOURS[2], points }],
    }
}

fn hours(ms: u64) -> f64 {
    ms as f64 / 3_600_000.0
}

impl Panel {
    fn draw(&self, svg: &mut String, top: f64) {
        let all = || self.curves.iter().flat_map(|curve| &curve.points);
        let (x_low, x_high) = range(all().map(|point| point.0));
        let (y_low, y_high) = range(all().map(|point| point.1));
        let right = WIDTH - 30.0;
        let x = |value: f64| LEFT + (value - x_low) / (x_high - x_low) * (right - LEFT);
        let y = |value: f64| top + PANEL - (value - y_low) / (y_high - y_low) * PANEL;
        let _ = writeln!(svg, "<text x=\"{LEFT}\" y=\"{}\">{}</text>", top - 6.0, self.title);
        for tick in 0..=4 {
            let part = f64::from(tick) / 4.0;
            let (at, label) = (y(y_low + part * (y_high - y_low)), y_low + part * (y_high - y_low));
            let _ = writeln!(
                svg,
                "<line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#dddddd\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label:.1}</text>",
                LEFT - 6.0,
                at + 4.0
            );
            let (at, label) = (x(x_low + part * (x_high - x_low)), x_low + part * (x_high - x_low));
            let _ = writeln!(
                svg,
                "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label:.0} h</text>",
                top + PANEL + 16.0
            );
        }
        for (index, curve) in self.curves.iter().filter(|curve| !curve.points.is_empty()).enumerate() {
            curve.draw(svg, &x, &y);
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"{}\">{}</text>",
                right - index as f64 * 80.0,
                top - 6.0,
                curve.colour,
                curve.name
            );
        }
    }
}

impl Curve {
    fn draw(&self, svg: &mut String, x: &dyn Fn(f64) -> f64, y: &dyn Fn(f64) -> f64) {
        let _ = write!(svg, "<polyline fill=\"none\" stroke=\"{}\" points=\"", self.colour);
        for (at, value) in &self.points {
            let _ = write!(svg, "{:.1},{:.1} ", x(*at), y(*value));
        }
        svg.push_str("\"/>\n");
    }
}

/// Lowest and highest, never equal.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if !low.is_finite() {
        (0.0, 1.0)
    } else if high - low < 1e-9 {
        (low - 1.0, high + 1.0)
    } else {
        (low, high)
    }
}
