//! The lines that `bq miner` prints: who speaks, and what happened. Nothing here prints or reads a clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bq_miner::{AlgorithmStats, Hashrates, MinerEvent, MinerStats};
use bq_primitives::Algorithm;

/// How lines look.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    pub(super) colours: bool,
}

#[derive(Clone, Copy)]
enum Colour {
    Red,
    Green,
    Yellow,
    Cyan,
    Grey,
}

impl View {
    /// One line of `who`.
    pub(super) fn line(self, now: SystemTime, who: &str, text: &str) -> String {
        let (time, who) =
            (self.paint(Colour::Grey, &format!("[{}]", utc(now))), self.paint(Colour::Cyan, &format!("{who:<5}")));
        format!("{time} {who} {text}")
    }

    /// What to print of an event. Shares and jobs are for people who watch; elsewhere the speed lines count them.
    pub(super) fn event(
        self,
        now: SystemTime,
        event: &MinerEvent,
        stats: &MinerStats,
        watched: bool,
    ) -> Option<String> {
        let (who, text) = match event {
            MinerEvent::Connected { algorithm, pool } => ("net", format!("use pool {pool} for {algorithm}")),
            MinerEvent::Disconnected { algorithm, pool, reason, retry_in } => {
                let text =
                    format!("{algorithm} pool {pool}: {reason}; next attempt in {:.1} s", retry_in.as_secs_f64());
                ("net", self.paint(Colour::Red, &text))
            }
            MinerEvent::Message { algorithm, text } => ("net", format!("{algorithm} pool says: {text}")),
            MinerEvent::Job { algorithm, id, share_hashes, height } if watched => {
                let height = height.map_or_else(String::new, |height| format!(" height {height}"));
                ("net", format!("new job {id} {algorithm} diff {}{height}", difficulty(*algorithm, *share_hashes)))
            }
            MinerEvent::Share { algorithm, refused, hashes, latency, is_block } if watched => {
                ("cpu", self.share(*algorithm, refused.as_deref(), (*hashes, *latency), *is_block, stats))
            }
            MinerEvent::Job { .. } | MinerEvent::Share { .. } => return None,
            MinerEvent::TablesReady { algorithm, took } => {
                ("cpu", format!("{algorithm} tables ready after {:.1} s", took.as_secs_f64()))
            }
            MinerEvent::Gpu { text } => ("gpu", text.clone()),
            MinerEvent::Chose { choice, why } => {
                let choice = choice.map_or("nothing", Algorithm::name);
                ("auto", format!("mines {choice}: {why}"))
            }
        };
        Some(self.line(now, who, &text))
    }

    /// As `accepted (12/1) diff 20.0k (35 ms)`: accepted and refused so far.
    fn share(
        self,
        algorithm: Algorithm,
        refused: Option<&str>,
        (hashes, latency): (f64, Duration),
        is_block: bool,
        stats: &MinerStats,
    ) -> String {
        let lane = stats.algorithms.iter().find(|lane| lane.algorithm == algorithm);
        let (accepted, bad) = lane.map_or((0, 0), |lane| (lane.accepted, lane.rejected + lane.stale));
        let (word, reason) = match refused {
            None if is_block => (self.paint(Colour::Green, "accepted BLOCK"), String::new()),
            None => (self.paint(Colour::Green, "accepted"), String::new()),
            Some(reason) => (self.paint(Colour::Red, "rejected"), self.paint(Colour::Red, &format!(" \"{reason}\""))),
        };
        let (difficulty, latency) = (difficulty(algorithm, hashes), latency.as_millis());
        format!("{word} {algorithm} ({accepted}/{bad}) diff {difficulty}{reason} ({latency} ms)")
    }

    /// One line for each algorithm that was mined or has work.
    pub(super) fn speeds(self, now: SystemTime, stats: &MinerStats) -> Vec<String> {
        let shown = |lane: &&AlgorithmStats| lane.connected || lane.hashes > 0;
        let mut lines: Vec<String> = stats
            .algorithms
            .iter()
            .filter(shown)
            .map(|lane| {
                let AlgorithmStats { accepted, rejected, stale, lost, .. } = lane;
                let rates = rates(&lane.hashrate);
                let text = format!(
                    "speed {:<8} {rates}  accepted {accepted}  rejected {rejected}  stale {stale}  lost {lost}",
                    lane.algorithm.name()
                );
                self.line(now, "miner", &text)
            })
            .collect();
        if stats.paused {
            lines.push(self.line(now, "miner", &self.paint(Colour::Yellow, "paused")));
        }
        lines
    }

    /// The speed of each thread, and then of all.
    pub(super) fn threads(self, now: SystemTime, stats: &MinerStats) -> Vec<String> {
        let of_thread = |(index, lanes): (usize, &Vec<(Algorithm, Hashrates)>)| {
            lanes
                .iter()
                .map(|(algorithm, hashrates)| format!("thread {index:>3} {:<8} {}", algorithm.name(), rates(hashrates)))
                .map(|text| self.line(now, "cpu", &text))
                .collect::<Vec<String>>()
        };
        let threads = stats.workers.iter().enumerate().flat_map(of_thread);
        threads.chain(self.speeds(now, stats)).collect()
    }

    fn paint(self, colour: Colour, text: &str) -> String {
        let code = match colour {
            Colour::Red => "31",
            Colour::Green => "32",
            Colour::Yellow => "33",
            Colour::Cyan => "36",
            Colour::Grey => "90",
        };
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// `10s/60s/15m 1.2 1.1 n/a MH/s max 1.3 MH/s`: all in the unit of the largest.
fn rates(hashrates: &Hashrates) -> String {
    let Hashrates { secs_10, secs_60, mins_15, max, recent } = *hashrates;
    let known = [secs_10, secs_60, mins_15, max, Some(recent)];
    let (divisor, unit) = unit(known.into_iter().flatten().fold(0.0, f64::max));
    let show = |rate: Option<f64>| rate.map_or_else(|| "n/a".to_owned(), |rate| format!("{:.1}", rate / divisor));
    format!("10s/60s/15m {} {} {} {unit}H/s max {} {unit}H/s", show(secs_10), show(secs_60), show(mins_15), show(max))
}

/// Difficulty as miners of an algorithm write it: in hashes, of SHA-256d in units of 2^32 hashes.
fn difficulty(algorithm: Algorithm, hashes: f64) -> String {
    let value = match algorithm {
        Algorithm::Sha256d => hashes / 4_294_967_296.0,
        Algorithm::RandomX | Algorithm::Ethash => hashes,
    };
    let (divisor, unit) = unit(value);
    if value < 1.0 { format!("{value:.6}") } else { format!("{:.1}{unit}", value / divisor) }
}

fn unit(value: f64) -> (f64, &'static str) {
    let units = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    units.into_iter().find(|(divisor, _)| value >= *divisor).unwrap_or((1.0, ""))
}

/// `2026-11-22 11:00:00`, in UTC.
fn utc(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// Year, month and day of a number of days since 1970.
fn date(mut days: u64) -> (u64, u64, u64) {
    let is_leap = |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in lengths {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: View = View { colours: false };

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn stats(paused: bool) -> MinerStats {
        let hashrate =
            Hashrates { secs_10: Some(1500.0), secs_60: Some(999.0), mins_15: None, max: Some(1600.0), recent: 990.0 };
        let lane = AlgorithmStats {
            algorithm: Algorithm::Ethash,
            connected: true,
            hashes: 5,
            hashrate,
            accepted: 12,
            rejected: 1,
            stale: 2,
            lost: 0,
            resent: 0,
            nonsense: 0,
            blocks_found: 0,
            last_error: None,
        };
        let workers = vec![vec![(Algorithm::Ethash, hashrate)]];
        MinerStats { threads: 1, threads_hashing: 1, paused, algorithms: vec![lane], workers, gpus: Vec::new() }
    }

    #[test]
    fn times_are_in_utc() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00"),
            (951_827_696, "2000-02-29 12:34:56"),
            (1_795_345_213, "2026-11-22 11:00:13"),
            (1_798_761_599, "2026-12-31 23:59:59"),
        ] {
            assert_eq!(utc(at(seconds)), text);
        }
    }

    #[test]
    fn speeds_share_a_unit_and_say_what_is_not_known() {
        let lines = PLAIN.speeds(at(0), &stats(true));
        assert_eq!(
            lines,
            [
                "[1970-01-01 00:00:00] miner speed ethash   10s/60s/15m 1.5 1.0 n/a kH/s max 1.6 kH/s  accepted 12  rejected 1  stale 2  lost 0",
                "[1970-01-01 00:00:00] miner paused",
            ]
        );
        let lines = PLAIN.threads(at(0), &stats(false));
        assert_eq!(
            lines[0],
            "[1970-01-01 00:00:00] cpu   thread   0 ethash   10s/60s/15m 1.5 1.0 n/a kH/s max 1.6 kH/s"
        );
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn shares_are_shown_with_difficulty_and_latency_to_those_who_watch() {
        let share = |algorithm, refused: Option<&str>, hashes| MinerEvent::Share {
            algorithm,
            refused: refused.map(str::to_owned),
            hashes,
            latency: Duration::from_millis(35),
            is_block: false,
        };
        let shown = |event: &MinerEvent, watched| PLAIN.event(at(0), event, &stats(false), watched);
        let accepted = share(Algorithm::Ethash, None, 20_000.0);
        assert_eq!(
            shown(&accepted, true).as_deref(),
            Some("[1970-01-01 00:00:00] cpu   accepted ethash (12/3) diff 20.0k (35 ms)")
        );
        assert_eq!(shown(&accepted, false), None);
        let refused = share(Algorithm::Sha256d, Some("Low difficulty share"), 2_f64.powi(31));
        assert_eq!(
            shown(&refused, true).as_deref(),
            Some("[1970-01-01 00:00:00] cpu   rejected sha256d (0/0) diff 0.500000 \"Low difficulty share\" (35 ms)")
        );
    }

    #[test]
    fn colours_are_for_terminals() {
        let line = View { colours: true }.line(at(0), "net", "hello");
        assert!(line.contains('\x1b'));
        assert!(!PLAIN.line(at(0), "net", "hello").contains('\x1b'));
    }
}
