use bq_mining_message::{ShareReject, ShareSequence};
use bq_primitives::{NetworkDifficulty, ShareDifficulty, Timestamp};

use crate::{
    HistoryError, Rate, Ring, Slot, Span, Window,
    codec::{Reader, put},
    rate::Run,
};

/// Version of the encoding, its first byte.
const VERSION: u8 = 1;
/// Slots of one span that are closed and not stored, from which on they are due to be: storing rewrites a whole ring, so it is done for half
/// an hour's slots at once.
const CLOSED_DUE: usize = 6;
/// Slots of one span that wait to be stored at most, four hours of the shortest. The oldest are lost when nothing can be stored for longer:
/// a full disk must not fill the memory too.
const RECENT_MAX: usize = 48;

/// The hardest share of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BestShare {
    /// Expected hashes for a value as low as its own.
    pub difficulty: NetworkDifficulty,
    /// When it came.
    pub at: Timestamp,
}

/// What is remembered of one worker, account or lane. It holds sums and the newest slots of each span; older slots are stored as three
/// [`Ring`]s beside it ([`Series::due`]) and handed in where they are wanted.
///
/// Time never runs backwards in it: what comes before its newest moment counts as of that moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    totals: Slot,
    newest: Timestamp,
    last_share: Option<Timestamp>,
    counted_to: ShareSequence,
    runs: [Run; 2],
    best: Option<BestShare>,
    recent: [Ring; 3],
}

impl Default for Series {
    fn default() -> Self {
        Self {
            totals: Slot::default(),
            newest: Timestamp(0),
            last_share: None,
            counted_to: ShareSequence(0),
            runs: [Run::default(); 2],
            best: None,
            recent: Span::ALL.map(Ring::new),
        }
    }
}

impl Series {
    /// An accepted share. One that is counted already, by its place in the share log, changes nothing: shares are counted in the order
    /// of the log, so a log that is read again from somewhere before the end comes to the same. Returns whether it was counted.
    pub fn accept(&mut self, at: Timestamp, sequence: ShareSequence, difficulty: ShareDifficulty) -> bool {
        if sequence <= self.counted_to {
            return false;
        }
        self.counted_to = sequence;
        let at = self.moment(at);
        for (run, window) in self.runs.iter_mut().zip(Window::ALL) {
            let is_new = |last: Timestamp| last.0.saturating_add(window.secs()) < at.0;
            if self.last_share.is_none_or(is_new) {
                *run = Run::begun(at, difficulty);
            }
        }
        self.last_share = Some(at);
        self.count(at, |slot| slot.accept(difficulty));
        true
    }

    /// The share log ends before `next`: after older books were restored its places are given out again, and those shares count too.
    pub fn log_ends_before(&mut self, next: ShareSequence) {
        self.counted_to = self.counted_to.min(ShareSequence(next.0.saturating_sub(1)));
    }

    /// A refused share.
    pub fn refuse(&mut self, at: Timestamp, reason: ShareReject) {
        let at = self.moment(at);
        self.count(at, |slot| slot.refused.add(reason));
    }

    /// What an accepted share's hash came to.
    pub fn note_best(&mut self, at: Timestamp, difficulty: NetworkDifficulty) {
        if self.best.is_none_or(|best| best.difficulty < difficulty) {
            self.best = Some(BestShare { difficulty, at: self.moment(at) });
        }
    }

    fn moment(&mut self, at: Timestamp) -> Timestamp {
        self.newest = self.newest.max(at);
        self.newest
    }

    fn count(&mut self, at: Timestamp, add: impl Fn(&mut Slot)) {
        add(&mut self.totals);
        for ring in &mut self.recent {
            ring.count(at, &add);
            if ring.len() > RECENT_MAX {
                ring.keep_newest(RECENT_MAX);
            }
        }
    }

    /// Since the first day.
    #[must_use]
    pub const fn totals(&self) -> &Slot {
        &self.totals
    }

    /// When the last share was accepted.
    #[must_use]
    pub const fn last_share(&self) -> Option<Timestamp> {
        self.last_share
    }

    /// When anything came in last.
    #[must_use]
    pub const fn newest(&self) -> Timestamp {
        self.newest
    }

    /// The best share since the first day; nothing before one was noted.
    #[must_use]
    pub const fn best(&self) -> Option<BestShare> {
        self.best
    }

    /// Every slot of a span that lies within the ring's length before `now`; `stored` is what was stored of it, if that was anything.
    #[must_use]
    pub fn slots(&self, span: Span, stored: Option<Ring>, now: Timestamp) -> Ring {
        let mut all = stored.filter(|ring| ring.span() == span).unwrap_or_else(|| Ring::new(span));
        if let Some(recent) = self.recent.get(span.index()) {
            all.put_all(recent);
        }
        let present = span.slot_at(now.max(self.newest));
        all.forget_before(crate::SlotNumber(present.0.saturating_sub(span.slots().saturating_sub(1))));
        all
    }

    /// Hashes per second over a window, or over its own time while that is shorter. `fives` is [`Series::slots`] of five minutes.
    ///
    /// The window is measured from the beginning of its oldest slot to `now`, so an hour is 55 to 60 minutes. A worker's own time begins
    /// with its first share after a pause that was longer than the window; that share itself does not count, for it was worked for before.
    #[must_use]
    pub fn rate(&self, fives: &Ring, now: Timestamp, window: Window) -> Rate {
        let [hour, day] = self.runs;
        let run = match window {
            Window::Hour => hour,
            Window::Day => day,
        };
        run.rate(fives, now.max(self.newest), window)
    }

    /// The slots that wait to be stored, with the present one of each span that has some, if there are enough to be worth it or `now` is
    /// set. They are put into the stored rings by [`Ring::put_all`]; [`Series::stored`] is told once that is safe on disk.
    #[must_use]
    pub fn due(&self, now: bool) -> Option<[Ring; 3]> {
        let closed = |ring: &Ring| ring.len().saturating_sub(1);
        let most = self.recent.iter().map(closed).max().unwrap_or(0);
        if most == 0 || (most < CLOSED_DUE && !now) {
            return None;
        }
        let due = |ring: &Ring| if closed(ring) > 0 { ring.clone() } else { Ring::new(ring.span()) };
        Some(self.recent.each_ref().map(due))
    }

    /// Forgets the slots that are stored and will not change any more.
    pub fn stored(&mut self, stored: &[Ring; 3]) {
        for (recent, stored) in self.recent.iter_mut().zip(stored) {
            if let Some(newest) = stored.newest() {
                recent.forget_before(newest);
            }
        }
    }

    /// The canonical encoding; some 60 bytes for a worker that is idle.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        self.totals.encode(&mut bytes);
        put(&mut bytes, self.newest.0);
        put(&mut bytes, self.last_share.map_or(0, |at| u128::from(at.0).saturating_add(1)));
        put(&mut bytes, self.counted_to.0);
        self.runs.iter().for_each(|run| run.encode(&mut bytes));
        put(&mut bytes, self.best.map_or(0, |best| best.difficulty.hashes()));
        if let Some(best) = self.best {
            put(&mut bytes, best.at.0);
        }
        self.recent.iter().for_each(|ring| ring.encode(&mut bytes));
        bytes
    }

    /// Reads a series.
    ///
    /// # Errors
    /// [`HistoryError`]: no writer made these bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, HistoryError> {
        Reader::all(bytes, VERSION, |reader| {
            let totals = Slot::decode(reader)?;
            let newest = Timestamp(reader.number("newest moment")?);
            let last_share = reader.wide("last share")?.checked_sub(1).map(u64::try_from).transpose();
            let last_share = last_share.map_err(|_| HistoryError::Number("last share"))?.map(Timestamp);
            let counted_to = ShareSequence(reader.number("sequence")?);
            let runs = [Run::decode(reader)?, Run::decode(reader)?];
            let best = match reader.wide("best share")? {
                0 => None,
                hashes => {
                    Some(BestShare { difficulty: difficulty(hashes)?, at: Timestamp(reader.number("best share")?) })
                }
            };
            let mut recent = Span::ALL.map(Ring::new);
            for (ring, span) in recent.iter_mut().zip(Span::ALL) {
                *ring = Ring::decode(span, reader)?;
            }
            Ok(Self { totals, newest, last_share, counted_to, runs, best, recent })
        })
    }
}

fn difficulty(hashes: u128) -> Result<NetworkDifficulty, HistoryError> {
    let difficulty = NetworkDifficulty::from_hashes(hashes);
    if difficulty.hashes() == hashes { Ok(difficulty) } else { Err(HistoryError::Field("best share")) }
}
