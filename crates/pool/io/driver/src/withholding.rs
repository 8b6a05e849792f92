//! Who found fewer blocks than luck explains: told to people, never judged here.

use std::{collections::BTreeMap, time::Duration};

use bq_pool_history::{BlockLuck, LuckPeriod, Subject};
use bq_primitives::{Address, Algorithm};
use bq_views::LuckView;
use parking_lot::Mutex;

use crate::keeper::Keeper;

/// How often everybody is looked at.
const LOOKED_EVERY: Duration = Duration::from_secs(600);
/// So many are kept and told by number; those come first whom luck explains least.
const SUSPECTS_MAX: usize = 100;
/// So many are told by name.
const SUSPECTS_NAMED: usize = 3;

/// A subject whose blocks are missing.
#[derive(Clone, Debug)]
pub(crate) struct Suspect {
    subject: Subject,
    lane: Algorithm,
    period: LuckPeriod,
    luck: BlockLuck,
}

/// Whom the last look found.
#[derive(Debug, Default)]
pub(crate) struct Suspects {
    looked: Mutex<Option<Duration>>,
    found: Mutex<Vec<Suspect>>,
}

impl Keeper {
    /// Looks at everybody, if that is due.
    pub(crate) fn look_for_withholding(&self) {
        let running = self.clock.running();
        {
            let mut looked = self.suspects.looked.lock();
            if looked.is_some_and(|looked| running.saturating_sub(looked) < LOOKED_EVERY) {
                return;
            }
            *looked = Some(running);
        }
        let bound = f64::from(self.config.withholding_alarm_ppm) / 1e6;
        let now = self.moment().unix;
        // Shares do not wait for the sums: whoever found as much as was expected is not copied.
        let unlucky = self.stats.lock().unlucky();
        let judged = unlucky.into_iter().filter_map(|(subject, lane, history)| {
            let (period, luck) = history.suspect(now, bound)?;
            Some((luck.tail(), Suspect { subject, lane, period, luck }))
        });
        let mut judged: Vec<(f64, Suspect)> = judged.collect();
        judged.sort_by(|left, right| left.0.total_cmp(&right.0));
        judged.truncate(SUSPECTS_MAX);
        *self.suspects.found.lock() = judged.into_iter().map(|(_, suspect)| suspect).collect();
    }

    /// Why a person should look at somebody; nothing while luck explains everybody.
    pub(crate) fn withholding(&self) -> Option<String> {
        let found = self.suspects.found.lock();
        if found.is_empty() {
            return None;
        }
        let mut told: Vec<String> = found.iter().take(SUSPECTS_NAMED).map(|suspect| self.in_words(suspect)).collect();
        if let Some(more) = found.len().checked_sub(SUSPECTS_NAMED).filter(|more| *more > 0) {
            told.push(format!("{more} more"));
        }
        let told = told.join("; ");
        Some(format!(
            "blocks may be kept back, or somebody is very unlucky; nothing is done about it by itself: {told}"
        ))
    }

    fn in_words(&self, suspect: &Suspect) -> String {
        let Suspect { subject, lane, period, luck } = suspect;
        let who = match subject {
            Subject::Pool => "the whole pool".to_owned(),
            Subject::Account(key_hash) | Subject::Worker(key_hash, _) => {
                Address { network: self.config.network, key_hash: *key_hash }.to_string()
            }
        };
        let days = self.moment().unix.0.saturating_sub(period.start().0) / 86_400;
        let (expected, found, chance) = (luck.expected(), luck.found, luck.tail());
        format!(
            "{who} found {found} of {expected:.1} {lane} blocks in the 30 days that began {days} days ago (p {chance:.1e})"
        )
    }

    /// The periods of a subject by algorithm name, the newest first.
    pub(crate) fn luck_views(&self, subject: &Subject) -> BTreeMap<String, Vec<LuckView>> {
        let of = |lane: Algorithm| Some((lane, self.stats.lock().luck(subject, lane)?));
        let views = Algorithm::ALL.into_iter().filter_map(of).map(|(lane, history)| {
            let periods = history.periods().map(|(period, luck)| LuckView {
                since: period.start().0,
                expected: luck.expected(),
                expected_parts: luck.parts.to_string(),
                found: luck.found,
                chance: luck.tail(),
            });
            (lane.name().to_owned(), periods.collect())
        });
        views.collect()
    }
}
