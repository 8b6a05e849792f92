use bq_ledger::{FeeBasisPoints, LedgerError, LossRate, ReserveNeed, RuinBound, WindowUnits};
use bq_primitives::Amount;

use crate::{
    Difficulties, Estimate, HeadRule, Hopping, RuinCase, Scheme, Start, Strategy, Z_95, Z_OF_FOUR, early_gain, hopping,
    ruin, share_size_bias, splitting, withholding,
};

/// How much is run. Fixed before, in the program and in its tests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// Independent runs of each case.
    pub batches: u64,
    /// Shares of each that count.
    pub shares: u32,
    /// Where luck begins.
    pub seed: u64,
    /// Pools that may be ruined, of each case.
    pub ruin_runs: u32,
    /// A gain is shown to be none only by an interval that is no wider than this to either side.
    pub half_width_max: f64,
}

/// One line of a table: what is said of it, and whether that is what must be.
#[derive(Clone, Debug)]
pub struct Row {
    /// The text of each column.
    pub cells: Vec<String>,
    /// Whether it passed; nothing where a figure is shown only.
    pub passed: Option<bool>,
}

/// A table.
#[derive(Clone, Debug)]
pub struct Section {
    /// What it is about.
    pub title: &'static str,
    /// The columns.
    pub head: &'static [&'static str],
    /// The lines.
    pub rows: Vec<Row>,
}

const TWO: WindowUnits = WindowUnits::DEFAULT;
/// What hopping off gains where rounds are paid: `0.435 E1(0.435) / (1 - exp(-0.435))`.
const HOP_OFF_GAIN: f64 = 0.789;

type Part = fn(&Plan) -> Result<Section, LedgerError>;

impl Plan {
    /// The whole: minutes.
    pub const FULL: Self =
        Self { batches: 160, shares: 1_000_000, seed: 20_260_002, ruin_runs: 20_000, half_width_max: 0.003 };
    /// A sixteenth of the shares, and intervals four times as wide: seconds.
    pub const SHORT: Self =
        Self { batches: 40, shares: 250_000, seed: 20_260_002, ruin_runs: 2_000, half_width_max: 0.012 };

    /// Every section in its order.
    ///
    /// # Errors
    /// As the ledger.
    pub fn run(&self, mut done: impl FnMut(&Section)) -> Result<Vec<Section>, LedgerError> {
        let parts: [Part; 7] = [
            Self::hoppers,
            Self::moving_difficulty,
            Self::share_sizes,
            Self::withheld,
            Self::ruined,
            Self::young_pools,
            Self::split_accounts,
        ];
        let mut sections = Vec::new();
        for part in parts {
            let section = part(self)?;
            done(&section);
            sections.push(section);
        }
        Ok(sections)
    }

    /// SPEC 8.2: when somebody mines changes nothing of what a share of his earns.
    ///
    /// # Errors
    /// As the ledger.
    pub fn hoppers(&self) -> Result<Section, LedgerError> {
        let eight = WindowUnits::new(8).unwrap_or(TWO);
        let schemes = [Scheme::Pplns(TWO), Scheme::Direct(TWO), Scheme::Tides(eight), Scheme::Pps, Scheme::Prop];
        let mut rows = Vec::new();
        for (number, strategy) in (0..).zip(Strategy::HOPPERS) {
            for (column, scheme) in (0..).zip(schemes) {
                let case = Hopping { scheme, strategy, difficulties: Difficulties::Constant };
                let gain = hopping(self, case, 100 * number + column)?;
                let passed = match (scheme, strategy) {
                    (Scheme::Prop, Strategy::HopOff) => Some((gain.mean - HOP_OFF_GAIN).abs() <= 0.02),
                    (Scheme::Prop, _) => None,
                    // Paid whatever happens: what is left is 64 shares at either end that are not yet settled.
                    (Scheme::Pps, _) => Some(gain.mean.abs() < 640.0 / f64::from(self.shares)),
                    _ => Some(gain.holds(0.0, Z_OF_FOUR) && gain.half_width(Z_95) <= self.half_width_max),
                };
                rows.push(Row { cells: vec![strategy.name().to_owned(), scheme.name(), percent(gain)], passed });
            }
        }
        Ok(Section { title: "Hopping", head: &["strategy", "scheme", "gain a share (95 %)"], rows })
    }

    /// SPEC 8.2 and 8.9: weights are of their own time; hashes are not.
    ///
    /// # Errors
    /// As the ledger.
    pub fn moving_difficulty(&self) -> Result<Section, LedgerError> {
        let eight = WindowUnits::new(8).unwrap_or(TWO);
        let mut rows = Vec::new();
        let schemes = [Scheme::Pplns(TWO), Scheme::Pplns(eight), Scheme::Direct(TWO), Scheme::Tides(eight)];
        for (column, scheme) in (0..).zip(schemes) {
            for (line, strategy) in (0..).zip([Strategy::WhileHard, Strategy::HopOff]) {
                let case = Hopping { scheme, strategy, difficulties: Difficulties::Steps };
                let gain = hopping(self, case, 1000 + 10 * column + line)?;
                // TIDES values old shares anew: that it can be hopped is known, and shown.
                let passed = match (scheme, strategy) {
                    (Scheme::Tides(_), Strategy::WhileHard) => None,
                    _ => Some(gain.holds(0.0, Z_OF_FOUR)),
                };
                rows.push(Row { cells: vec![strategy.name().to_owned(), scheme.name(), percent(gain)], passed });
            }
        }
        let title = "Difficulty that halves, stays or doubles with each block";
        Ok(Section { title, head: &["strategy", "scheme", "gain a share (95 %)"], rows })
    }

    /// SPEC 8.2: what large shares earn more than small ones.
    ///
    /// # Errors
    /// None.
    pub fn share_sizes(&self) -> Result<Section, LedgerError> {
        let mut rows = Vec::new();
        for (rule, name) in [(HeadRule::Half, "half"), (HeadRule::Whole, "whole"), (HeadRule::Excluded, "not counted")]
        {
            for (parts, times) in [(1000, 10), (1000, 100), (1000, 500), (10_000, 10)] {
                let bias = share_size_bias(rule, parts, times);
                let worst = bias.large.abs().max(bias.small.abs());
                let is_asked = rule == HeadRule::Half && times * 10 <= parts;
                let size = format!("1/{} and 1/{parts}", parts / times);
                let figures = [bias.large, bias.small].map(|bias| format!("{:+.4} %", bias * 100.0));
                let [large, small] = figures;
                rows.push(Row {
                    cells: vec![name.to_owned(), size, large, small],
                    passed: is_asked.then_some(worst < 1e-4),
                });
            }
        }
        let title = "Share sizes: one share in fifty is large; exact expectation";
        Ok(Section { title, head: &["the block's own share", "sizes", "large", "small"], rows })
    }

    /// Who bears what 1 % of the hash rate keeps back.
    ///
    /// # Errors
    /// As the ledger.
    pub fn withheld(&self) -> Result<Section, LedgerError> {
        let mut rows = Vec::new();
        for (column, scheme) in (0..).zip([Scheme::Pplns(TWO), Scheme::Direct(TWO), Scheme::Pps]) {
            let loss = withholding(self, scheme, 2000 + column)?;
            let (miners, pool) = match scheme {
                Scheme::Pps => (0.0, 0.0),
                _ => (-0.01, 0.01 * 0.99),
            };
            let passed = match scheme {
                // The honest are paid all the same, and the pool's fee of 1 % is gone.
                Scheme::Pps => loss.honest.mean.abs() < 1e-4 && loss.pool.holds(pool, Z_95.max(Z_OF_FOUR)),
                _ => loss.honest.holds(miners, Z_OF_FOUR),
            };
            let cells = vec![scheme.name(), percent(loss.withholder), percent(loss.honest), percent(loss.pool)];
            rows.push(Row { cells, passed: Some(passed) });
        }
        let title = "1 % of the hash rate keeps its blocks back; fee 1 %";
        Ok(Section { title, head: &["scheme", "withholder", "honest miners", "pool"], rows })
    }

    /// SPEC 8.9: how often a reserve runs out.
    ///
    /// # Errors
    /// As the ledger.
    pub fn ruined(&self) -> Result<Section, LedgerError> {
        let reward = Amount::from_atoms(5_000_000_000)?;
        let mut rows = Vec::new();
        for (line, (points, blocks)) in (0..).zip([(400, 20), (200, 50)]) {
            let fee = FeeBasisPoints::new(points).unwrap_or_default();
            let case = RuinCase { fee, reserve: blocks * reward.atoms(), reward };
            rows.push(self.ruin_row(case, format!("{blocks} blocks"), 3000 + line, None)?);
        }
        let fee = FeeBasisPoints::new(400).unwrap_or_default();
        let (orphan, withheld) = (LossRate::NONE, LossRate::NONE);
        let need = ReserveNeed { block_reward: reward, fee, orphan, withheld, maturing_blocks: 0 };
        let bound = need.needed(RuinBound::OneInHundred).unwrap_or_default();
        let case = RuinCase { fee, reserve: bound.atoms(), reward };
        rows.push(self.ruin_row(case, "as needed for 10^-2".to_owned(), 3010, Some(0.01))?);
        Ok(Section { title: "PPS: ruin, ever", head: &["fee", "reserve", "measured (2 sigma)", "formula"], rows })
    }

    fn ruin_row(&self, case: RuinCase, reserve: String, stream: u64, most: Option<f64>) -> Result<Row, LedgerError> {
        let ruin = ruin(case, self.ruin_runs, self.seed, stream)?;
        let expected = most.unwrap_or(ruin.formula);
        let fee = format!("{} %", f64::from(case.fee.get()) / 100.0);
        let formula = format!("{:.2} %", ruin.formula * 100.0);
        let measured = format!("{:.2} % +- {:.2} %", ruin.measured.mean * 100.0, ruin.measured.half_width(2.0) * 100.0);
        Ok(Row { cells: vec![fee, reserve, measured, formula], passed: Some(ruin.measured.holds(expected, 2.0)) })
    }

    /// SPEC 8.2: the seed takes what would make the first miners rich.
    ///
    /// # Errors
    /// As the ledger.
    pub fn young_pools(&self) -> Result<Section, LedgerError> {
        let mut rows = Vec::new();
        for (line, start, name) in [(0, Start::Seeded, "with a seed"), (1, Start::Unseeded, "without (control)")] {
            let gain = early_gain(self, start, 4000 + line)?;
            let passed = match start {
                Start::Seeded => gain.holds(0.0, Z_95),
                Start::Unseeded => gain.mean - gain.half_width(Z_95) > 0.1,
            };
            rows.push(Row { cells: vec![name.to_owned(), percent(gain)], passed: Some(passed) });
        }
        Ok(Section { title: "Who is there first", head: &["window", "gain of the first unit (95 %)"], rows })
    }

    /// SPEC 8.3: more names never earn more, but for what rounding leaves.
    ///
    /// # Errors
    /// As the ledger.
    pub fn split_accounts(&self) -> Result<Section, LedgerError> {
        let mut rows = Vec::new();
        for scheme in [Scheme::Pplns(TWO), Scheme::Pps] {
            let cost = splitting(scheme, 100, self.shares, self.seed)?;
            // Whoever splits gets back what rounding left in the lane's next block, so he may be ahead by the carry of others.
            let gained = i128::from(cost.parted) - i128::from(cost.whole);
            let text = format!("{gained} atoms of {}", cost.whole);
            let passed = Some(gained <= i128::from(cost.blocks));
            rows.push(Row { cells: vec![scheme.name(), text], passed });
        }
        Ok(Section { title: "One miner under 100 names", head: &["scheme", "gain"], rows })
    }
}

fn percent(estimate: Estimate) -> String {
    format!("{:+.3} % +- {:.3} %", estimate.mean * 100.0, estimate.half_width(Z_95) * 100.0)
}
