use bq_primitives::Timestamp;

use crate::{
    HistoryError, Slot, SlotNumber, Span,
    codec::{Reader, put},
};

/// Version of the encoding, its first byte.
const VERSION: u8 = 1;

/// The least that a slot takes: distance, flags, a count.
const SLOT_BYTES_MIN: usize = 3;

/// The newest slots of one span. Slots in which nothing came in take no room.
///
/// A ring only moves forward: what is older than its newest slot by more than the ring's length leaves it for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    span: Span,
    /// In rising order, none empty, all within the ring's length of the last.
    slots: Vec<(SlotNumber, Slot)>,
}

impl Ring {
    /// Without any slot.
    #[must_use]
    pub const fn new(span: Span) -> Self {
        Self { span, slots: Vec::new() }
    }

    /// How long its slots are.
    #[must_use]
    pub const fn span(&self) -> Span {
        self.span
    }

    /// Those in which something came in, the oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (SlotNumber, &Slot)> {
        self.slots.iter().map(|(number, slot)| (*number, slot))
    }

    /// The newest slot in which something came in.
    #[must_use]
    pub fn newest(&self) -> Option<SlotNumber> {
        self.slots.last().map(|(number, _)| *number)
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.slots.len()
    }

    /// Nothing ever came in.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Counts in the slot of this moment. One that lies before the newest counts in the newest: a clock that was put back makes history
    /// stand still until it has caught up, and never writes it anew.
    pub(crate) fn count(&mut self, at: Timestamp, add: impl Fn(&mut Slot)) {
        let number = self.span.slot_at(at);
        if self.newest().is_none_or(|newest| newest < number) {
            // Most rings in memory hold one or two slots, and there are three for every worker.
            self.slots.reserve_exact(1);
            self.slots.push((number, Slot::default()));
            self.forget_old();
        }
        if let Some((_, slot)) = self.slots.last_mut() {
            add(slot);
        }
    }

    /// Puts these slots in place of its own with the same numbers. Putting the same twice changes nothing.
    pub fn put_all(&mut self, newer: &Self) {
        for (number, slot) in &newer.slots {
            match self.slots.binary_search_by_key(number, |(known, _)| *known) {
                Ok(place) => {
                    if let Some((_, known)) = self.slots.get_mut(place) {
                        known.clone_from(slot);
                    }
                }
                Err(place) => self.slots.insert(place, (*number, slot.clone())),
            }
        }
        self.forget_old();
    }

    /// Forgets all but the newest `count` slots.
    pub(crate) fn keep_newest(&mut self, count: usize) {
        self.slots.drain(..self.slots.len().saturating_sub(count));
    }

    /// Forgets what is older than `number`.
    pub(crate) fn forget_before(&mut self, number: SlotNumber) {
        let old = self.slots.partition_point(|(known, _)| *known < number);
        self.slots.drain(..old);
    }

    fn forget_old(&mut self) {
        if let Some(newest) = self.newest() {
            self.forget_before(SlotNumber(newest.0.saturating_sub(self.span.slots().saturating_sub(1))));
        }
    }

    /// What came in during the slots from `first` to `last`.
    #[must_use]
    pub fn sum(&self, first: SlotNumber, last: SlotNumber) -> Slot {
        let mut sum = Slot::default();
        let from = self.slots.partition_point(|(number, _)| *number < first);
        for (_, slot) in self.slots.iter().skip(from).take_while(|(number, _)| *number <= last) {
            sum.absorb(slot);
        }
        sum
    }

    /// The canonical encoding: version, number of slots, then each slot's distance from the one before and its content. Some twelve
    /// bytes a slot.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        self.encode(&mut bytes);
        bytes
    }

    /// Reads a ring of this span.
    ///
    /// # Errors
    /// [`HistoryError`]: no writer made these bytes.
    pub fn from_bytes(span: Span, bytes: &[u8]) -> Result<Self, HistoryError> {
        Reader::all(bytes, VERSION, |reader| Self::decode(span, reader))
    }

    pub(crate) fn encode(&self, bytes: &mut Vec<u8>) {
        put(bytes, u32::try_from(self.slots.len()).unwrap_or(u32::MAX));
        let mut before = 0_u32;
        for (number, slot) in &self.slots {
            put(bytes, number.0.saturating_sub(before));
            slot.encode(bytes);
            before = number.0;
        }
    }

    pub(crate) fn decode(span: Span, reader: &mut Reader<'_>) -> Result<Self, HistoryError> {
        let count: u32 = reader.number("number of slots")?;
        if count > span.slots() {
            return Err(HistoryError::Field("number of slots"));
        }
        let mut ring = Self::new(span);
        // No more than the bytes can hold.
        let promised = usize::try_from(count).unwrap_or(usize::MAX);
        ring.slots.reserve_exact(promised.min(reader.0.len().checked_div(SLOT_BYTES_MIN).unwrap_or(0)));
        let mut before = 0_u32;
        for place in 0..count {
            let distance: u32 = if place == 0 { reader.number("slot")? } else { reader.positive("slot")? };
            let number = before.checked_add(distance).ok_or(HistoryError::Field("slot"))?;
            let slot = Slot::decode(reader)?;
            if slot.is_empty() {
                return Err(HistoryError::Field("slot"));
            }
            ring.slots.push((SlotNumber(number), slot));
            before = number;
        }
        let oldest = ring.slots.first().map_or(before, |(number, _)| number.0);
        if before.saturating_sub(oldest) >= span.slots() {
            return Err(HistoryError::Field("slot"));
        }
        Ok(ring)
    }
}
