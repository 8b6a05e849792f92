use std::time::Duration;

use bq_primitives::PowKey;

use crate::settings::ClientSettings;

/// How far a connection has come. Times count from any fixed moment, the same for all calls.
///
/// A pool works once it has accepted a share, and not before (SPEC 11.9, 1 and 2): one that takes every login, sends jobs and refuses what comes
/// of them would otherwise be mined at for ever.
#[derive(Debug)]
pub struct Progress {
    settings: ClientSettings,
    stage: Stage,
    /// When this stage began.
    since: Duration,
    /// When the pool last said something.
    heard: Duration,
    /// When the first share was sent that nothing was accepted after.
    unaccepted_since: Option<Duration>,
    /// When a share was last accepted, or work came.
    earned: Duration,
    refusals: u32,
    /// When the last refusal that counts came: what was sent before it belongs to it.
    refused: Option<Duration>,
    nonsense: u32,
    key: Option<PowKey>,
    keys: u32,
}

/// The stages of a connection, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The login is not answered.
    Connecting,
    /// It is, and there was no job yet.
    LoggedIn,
    /// There was.
    HasWork,
    /// A share was accepted.
    Works,
}

/// What a pool did, or did not, that ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Disappointment {
    /// The login's answer did not come.
    #[error("no answer to the login within {0:?}")]
    NoLogin(Duration),
    /// No job came.
    #[error("no job within {0:?} of the login")]
    NoJob(Duration),
    /// Nothing came at all.
    #[error("silent for {0:?}")]
    Silent(Duration),
    /// Shares stayed without an answer, or none was accepted.
    #[error("no share accepted within {0:?} of sending one")]
    NoVerdict(Duration),
    /// No share that would be accepted was found.
    #[error("no share accepted within {0:?}, and there is another pool")]
    NoShare(Duration),
    /// One share after the other was refused.
    #[error("{0} shares refused in a row")]
    Refusals(u32),
    /// Too much could not be read.
    #[error("{0} lines of the pool make no sense")]
    Nonsense(u32),
    /// Too many tables for no share.
    #[error("{0} keys without an accepted share")]
    Keys(u32),
}

/// What a deadline depends on besides the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// There is another pool to try.
    pub has_others: bool,
    /// When the oldest share without an answer was sent.
    pub oldest_sent: Option<Duration>,
}

impl Progress {
    /// A fresh connection.
    #[must_use]
    pub const fn new(settings: ClientSettings, now: Duration) -> Self {
        Self {
            settings,
            stage: Stage::Connecting,
            since: now,
            heard: now,
            unaccepted_since: None,
            earned: now,
            refusals: 0,
            refused: None,
            nonsense: 0,
            key: None,
            keys: 0,
        }
    }

    /// How far it has come.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        self.stage
    }

    /// The pool said something, whatever it was.
    pub const fn heard(&mut self, now: Duration) {
        self.heard = now;
    }

    /// The login was answered.
    pub fn logged_in(&mut self, now: Duration) {
        self.reach(Stage::LoggedIn, now);
        if self.key.is_some() {
            self.reach(Stage::HasWork, now);
        }
    }

    /// Nothing could be expected until now: nothing may be mined, or nobody mines.
    pub const fn excused(&mut self, now: Duration) {
        (self.since, self.heard, self.earned) = (now, now, now);
    }

    /// A job under `key` came. Before the login's answer it is work, and no excuse for the answer to stay out.
    ///
    /// # Errors
    /// Too many keys.
    pub fn job(&mut self, now: Duration, key: PowKey) -> Result<(), Disappointment> {
        if self.stage == Stage::LoggedIn {
            self.reach(Stage::HasWork, now);
        }
        if self.key.replace(key).is_some_and(|before| before != key) {
            self.keys = self.keys.saturating_add(1);
        }
        if self.keys >= self.settings.keys_max { Err(Disappointment::Keys(self.keys)) } else { Ok(()) }
    }

    /// A share was sent.
    pub fn sent(&mut self, now: Duration) {
        self.unaccepted_since.get_or_insert(now);
    }

    /// A share was accepted.
    pub fn accepted(&mut self, now: Duration) {
        (self.unaccepted_since, self.earned) = (None, now);
        (self.refusals, self.refused, self.nonsense, self.keys) = (0, None, 0, 0);
        self.reach(Stage::Works, now);
    }

    /// A share that was sent at `sent` for a job that still counts was refused, and not because the pool was busy.
    ///
    /// # Errors
    /// It was one too many.
    pub fn refused(&mut self, now: Duration, sent: Duration) -> Result<(), Disappointment> {
        if self.refused.is_none_or(|refused| sent >= refused) {
            (self.refusals, self.refused) = (self.refusals.saturating_add(1), Some(now));
        }
        if self.refusals >= self.settings.refusals_max {
            return Err(Disappointment::Refusals(self.refusals));
        }
        Ok(())
    }

    /// Something that cannot be read, or means nothing.
    ///
    /// # Errors
    /// It was one too many.
    pub const fn nonsense(&mut self) -> Result<(), Disappointment> {
        self.nonsense = self.nonsense.saturating_add(1);
        if self.nonsense >= self.settings.nonsense_max {
            return Err(Disappointment::Nonsense(self.nonsense));
        }
        Ok(())
    }

    /// The first moment at which patience ends, and with what.
    #[must_use]
    pub fn deadline(&self, outlook: Outlook) -> (Duration, Disappointment) {
        let ClientSettings { login, job, silence, verdict, share, .. } = self.settings;
        let after = Duration::saturating_add;
        let at_stage = match self.stage {
            Stage::Connecting => (after(self.since, login), Disappointment::NoLogin(login)),
            Stage::LoggedIn => (after(self.since, job), Disappointment::NoJob(job)),
            Stage::HasWork | Stage::Works => (after(self.heard, silence), Disappointment::Silent(silence)),
        };
        let sent = [self.unaccepted_since, outlook.oldest_sent].into_iter().flatten().min();
        let verdict = sent.map(|sent| (after(sent, verdict), Disappointment::NoVerdict(verdict)));
        let earns = self.stage >= Stage::HasWork && outlook.has_others;
        let share = earns.then(|| (after(self.earned, share), Disappointment::NoShare(share)));
        [verdict, share].into_iter().flatten().fold(at_stage, |first, next| if next.0 < first.0 { next } else { first })
    }

    fn reach(&mut self, stage: Stage, now: Duration) {
        if self.stage < stage {
            (self.stage, self.since, self.earned) = (stage, now, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bq_primitives::BlockId;

    const ALONE: Outlook = Outlook { has_others: false, oldest_sent: None };

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn progress() -> Progress {
        Progress::new(ClientSettings::default(), secs(0))
    }

    #[test]
    fn each_stage_has_its_patience() {
        let mut progress = progress();
        assert_eq!(progress.deadline(ALONE), (secs(20), Disappointment::NoLogin(secs(20))));
        progress.job(secs(1), PowKey::Sha256d).unwrap();
        assert_eq!(progress.deadline(ALONE).0, secs(20), "a job is no answer to the login");
        let mut early = Progress::new(ClientSettings::default(), secs(0));
        early.job(secs(1), PowKey::Sha256d).unwrap();
        early.logged_in(secs(2));
        assert_eq!(early.stage(), Stage::HasWork);
        let mut progress = Progress::new(ClientSettings::default(), secs(0));
        progress.logged_in(secs(2));
        assert_eq!(progress.deadline(ALONE), (secs(62), Disappointment::NoJob(secs(60))));
        progress.heard(secs(5));
        progress.job(secs(5), PowKey::Sha256d).unwrap();
        assert_eq!(progress.deadline(ALONE), (secs(185), Disappointment::Silent(secs(180))));
        progress.sent(secs(10));
        progress.sent(secs(11));
        assert_eq!(progress.deadline(ALONE), (secs(130), Disappointment::NoVerdict(secs(120))));
        assert!(progress.stage() < Stage::Works);
        progress.accepted(secs(12));
        assert_eq!((progress.stage(), progress.deadline(ALONE).0), (Stage::Works, secs(185)));
        let unanswered = Outlook { oldest_sent: Some(secs(11)), ..ALONE };
        assert_eq!(progress.deadline(unanswered).0, secs(131));
        progress.excused(secs(100));
        assert_eq!(progress.deadline(ALONE).0, secs(280));
        progress.accepted(secs(12));
        progress.heard(secs(4_000));
        assert_eq!(progress.deadline(ALONE).0, secs(4_180));
        let others = Outlook { has_others: true, ..ALONE };
        assert_eq!(progress.deadline(others), (secs(3_612), Disappointment::NoShare(secs(3_600))));
    }

    #[test]
    fn refusals_count_once_for_what_is_under_way_at_once() {
        let mut progress = progress();
        for _ in 0..100 {
            progress.refused(secs(5), secs(4)).unwrap();
        }
        for round in 5..23 {
            progress.refused(secs(round + 1), secs(round)).unwrap();
        }
        assert_eq!(progress.refused(secs(30), secs(29)), Err(Disappointment::Refusals(20)));
        progress.accepted(secs(31));
        progress.refused(secs(33), secs(32)).unwrap();
    }

    #[test]
    fn keys_and_nonsense_are_forgiven_by_an_accepted_share() {
        let mut progress = progress();
        let job = |progress: &mut Progress, key| progress.job(secs(1), PowKey::RandomX(BlockId([key; 32])));
        for key in 0..16 {
            job(&mut progress, key).unwrap();
            progress.nonsense().unwrap();
        }
        assert_eq!(job(&mut progress, 99), Err(Disappointment::Keys(16)));
        progress.accepted(secs(2));
        job(&mut progress, 100).unwrap();
        for _ in 0..99 {
            progress.nonsense().unwrap();
        }
        assert_eq!(progress.nonsense(), Err(Disappointment::Nonsense(100)));
    }
}
