//! The table of ratios.

use bq_views::hashrate_text;

use super::{
    Match,
    tally::{Outcome, median},
};
use crate::host::Host;

/// One turn of each, one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    pub(super) ours: Outcome,
    pub(super) theirs: Outcome,
}

/// The rounds of one comparison.
#[derive(Debug, Default)]
pub(super) struct Verdict(Vec<Round>);

pub(super) fn head(host: &dyn Host) {
    row(host, ["work", "against", "threads", "theirs", "ours", "ours to theirs", "processor: theirs, ours"]);
    host.say(&format!("|{:-<21}|{:-<28}|{:-<9}|{:-<13}|{:-<13}|{:-<22}|{:-<25}|", "", "", "", "", "", "", ""));
}

/// A row that has no figures but says why.
pub(super) fn remark(host: &dyn Host, work: &str, against: &str, text: &str) {
    host.say(&format!("| {work:<19} | {against:<26} | {text} |"));
}

fn row(host: &dyn Host, [work, against, threads, theirs, ours, ratio, share]: [&str; 7]) {
    host.say(&format!(
        "| {work:<19} | {against:<26} | {threads:>7} | {theirs:>11} | {ours:>11} | {ratio:>20} | {share:>23} |"
    ));
}

impl Verdict {
    pub(super) fn add(&mut self, round: Round) {
        self.0.push(round);
    }

    pub(super) fn print(&self, host: &dyn Host, pair: &Match) {
        let Match { work, against, .. } = pair;
        let threads = pair.ours.threads.to_string();
        let share = |side: fn(&Round) -> &Outcome| {
            let middle = self.median_of(|round| side(round).cpu_share);
            middle.map_or("-".to_owned(), |share| format!("{:.0} %", share * 100.0))
        };
        let shares = format!("{}, {}", share(|round| &round.theirs), share(|round| &round.ours));
        let rate = |side: fn(&Round) -> &Outcome| self.median_of(|round| Some(side(round).rate)).map(hashrate_text);
        if let (Some(theirs), Some(ours)) = (rate(|round| &round.theirs), rate(|round| &round.ours)) {
            let ratio = self.ratio(|round| Some(round.ours.rate / round.theirs.rate));
            row(host, [work, against, &threads, &theirs, &ours, &ratio, &shares]);
        }
        let built = |side: fn(&Round) -> &Outcome| self.median_of(|round| side(round).built_secs);
        // Caches are built in a fraction of a second; only datasets are worth a row.
        if let (Some(theirs), Some(ours)) = (built(|round| &round.theirs), built(|round| &round.ours))
            && theirs >= 1.0
        {
            let ratio = self.ratio(|round| Some(round.theirs.built_secs? / round.ours.built_secs?));
            let [theirs, ours] = [theirs, ours].map(|secs| format!("{secs:.1} s"));
            row(host, [&format!("{work}, built"), against, "all", &theirs, &ours, &ratio, "-"]);
        }
    }

    fn median_of(&self, value: impl Fn(&Round) -> Option<f64>) -> Option<f64> {
        median(&self.0.iter().filter_map(value).collect::<Vec<_>>())
    }

    fn ratio(&self, of: impl Fn(&Round) -> Option<f64>) -> String {
        let ratios: Vec<f64> = self.0.iter().filter_map(of).collect();
        let least = ratios.iter().copied().reduce(f64::min);
        let most = ratios.iter().copied().reduce(f64::max);
        match (median(&ratios), least, most) {
            (Some(middle), Some(least), Some(most)) => format!("{middle:.2} ({least:.2}..{most:.2})"),
            _ => "-".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_those_of_one_round() {
        let outcome = |rate| Outcome { rate, built_secs: None, cpu_share: None };
        let mut verdict = Verdict::default();
        for (ours, theirs) in [(10.0, 5.0), (30.0, 10.0), (9.0, 9.0)] {
            verdict.add(Round { ours: outcome(ours), theirs: outcome(theirs) });
        }
        assert_eq!(verdict.ratio(|round| Some(round.ours.rate / round.theirs.rate)), "2.00 (1.00..3.00)");
        assert_eq!(verdict.ratio(|round| round.ours.built_secs), "-");
        assert_eq!(verdict.median_of(|round| Some(round.theirs.rate)), Some(9.0));
    }
}
