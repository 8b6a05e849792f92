use bq_mining_message::ShareReject;
use bq_primitives::{ShareDifficulty, Timestamp};

use crate::{
    HistoryError,
    codec::{Reader, put},
};

/// How long the slots of a ring are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Span {
    /// Five minutes; 288 of them are a day.
    FiveMinutes,
    /// An hour; 720 of them are 30 days.
    Hour,
    /// A day of UTC; 730 of them are two years.
    Day,
}

impl Span {
    /// Every span, the shortest first: the order of every array by span.
    pub const ALL: [Self; 3] = [Self::FiveMinutes, Self::Hour, Self::Day];

    /// Its length in seconds.
    #[must_use]
    pub const fn secs(self) -> u64 {
        match self {
            Self::FiveMinutes => 300,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }

    /// Slots that are kept.
    #[must_use]
    pub const fn slots(self) -> u32 {
        match self {
            Self::FiveMinutes => 288,
            Self::Hour => 720,
            Self::Day => 730,
        }
    }

    /// Its place in [`Span::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::FiveMinutes => 0,
            Self::Hour => 1,
            Self::Day => 2,
        }
    }

    /// The name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FiveMinutes => "5m",
            Self::Hour => "1h",
            Self::Day => "1d",
        }
    }

    /// The slot that a moment lies in; the last one for moments that no calendar knows.
    #[must_use]
    pub fn slot_at(self, at: Timestamp) -> SlotNumber {
        SlotNumber(u32::try_from(at.0.checked_div(self.secs()).unwrap_or(0)).unwrap_or(u32::MAX))
    }

    /// When a slot begins.
    #[must_use]
    pub fn start_of(self, slot: SlotNumber) -> Timestamp {
        Timestamp(u64::from(slot.0).saturating_mul(self.secs()))
    }
}

/// Counts the slots of one span since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotNumber(pub u32);

/// Reasons that a share may be refused for.
const REASONS: usize = ShareReject::ALL.len();

/// Refused shares by reason. Most have none: those cost one pointer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused(Option<Box<[u64; REASONS]>>);

impl Refused {
    /// One more. Stays at the end of `u64`.
    pub fn add(&mut self, reason: ShareReject) {
        self.add_many(reason, 1);
    }

    fn add_many(&mut self, reason: ShareReject, more: u64) {
        let counts = self.0.get_or_insert_default();
        let of_reason = counts.iter_mut().zip(ShareReject::ALL).find(|(_, known)| *known == reason);
        if let Some((count, _)) = of_reason {
            *count = count.saturating_add(more);
        }
    }

    /// Those that were refused at least once, in the order of [`ShareReject::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (ShareReject, u64)> + '_ {
        let counts = self.0.iter().flat_map(|counts| counts.iter().copied());
        ShareReject::ALL.into_iter().zip(counts).filter(|(_, count)| *count > 0)
    }

    /// How often for this reason.
    #[must_use]
    pub fn of(&self, reason: ShareReject) -> u64 {
        self.iter().find(|(known, _)| *known == reason).map_or(0, |(_, count)| count)
    }

    fn absorb(&mut self, more: &Self) {
        for (reason, count) in more.iter() {
            self.add_many(reason, count);
        }
    }
}

/// What came in during one slot, or ever.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// Sum of the difficulties of accepted shares, in expected hashes. Stays at the end of `u128`: 2^64 shares of the largest difficulty.
    pub work: u128,
    /// Accepted shares; stays at the end of `u64`.
    pub accepted: u64,
    /// Refused shares, stale ones among them.
    pub refused: Refused,
}

/// Bit of a slot's flags that says that shares were accepted; the next ones say for which reasons some were refused.
const ACCEPTED: u16 = 1;

impl Slot {
    /// An accepted share.
    pub const fn accept(&mut self, difficulty: ShareDifficulty) {
        // No `From` in a const function; a `u64` always fits.
        self.work = self.work.saturating_add(difficulty.hashes() as u128);
        self.accepted = self.accepted.saturating_add(1);
    }

    /// Shares that came after their tip.
    #[must_use]
    pub fn stale(&self) -> u64 {
        self.refused.of(ShareReject::Stale)
    }

    /// Nothing came in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.accepted == 0 && self.refused.iter().next().is_none()
    }

    /// What came in during either.
    pub fn absorb(&mut self, more: &Self) {
        self.work = self.work.saturating_add(more.work);
        self.accepted = self.accepted.saturating_add(more.accepted);
        self.refused.absorb(&more.refused);
    }

    /// Flags, then what they name: accepted shares and their work, refused ones of each reason.
    pub(crate) fn encode(&self, bytes: &mut Vec<u8>) {
        let mut flags = if self.accepted > 0 { ACCEPTED } else { 0 };
        let mut bit = ACCEPTED;
        for reason in ShareReject::ALL {
            bit = bit.wrapping_shl(1);
            flags |= if self.refused.of(reason) > 0 { bit } else { 0 };
        }
        put(bytes, flags);
        if self.accepted > 0 {
            put(bytes, self.accepted);
            put(bytes, self.work);
        }
        self.refused.iter().for_each(|(_, count)| put(bytes, count));
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, HistoryError> {
        let mut flags: u16 = reader.number("flags")?;
        let mut slot = Self::default();
        if flags & ACCEPTED > 0 {
            (slot.accepted, slot.work) = (reader.positive("accepted count")?, reader.positive("work")?);
        }
        for reason in ShareReject::ALL {
            flags >>= 1;
            if flags & 1 > 0 {
                slot.refused.add_many(reason, reader.positive("refused count")?);
            }
        }
        // A reason that this software does not know, or none at all.
        if flags >> 1 > 0 { Err(HistoryError::Field("flags")) } else { Ok(slot) }
    }
}
