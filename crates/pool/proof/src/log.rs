use bq_pool_machine::{Event, EventError, LogHash, LogHead, LogNumber};
use serde::{Deserialize, Serialize};

use crate::{Bytes, document::grown};

/// Consecutive events of a log, up to the head that they are proved for (SPEC 8.10.2). There is no shorter proof: each hash is made
/// of the one before it and all bytes of its event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogProof {
    /// Number of the first event.
    pub first: LogNumber,
    /// The hash before it; zero before event 1.
    pub before: LogHash,
    /// The bytes of each event.
    #[serde(deserialize_with = "grown")]
    pub events: Vec<Bytes>,
}

/// Events that are no part of a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogFault {
    /// There are none.
    #[error("no events")]
    Empty,
    /// Events have the numbers from 1 to the end of `u64`.
    #[error("{count} events from number {first} on")]
    Numbers {
        /// Of the first.
        first: LogNumber,
        /// How many.
        count: usize,
    },
    /// Something is said to stand before event 1.
    #[error("a hash before event 1")]
    BeforeFirst,
    /// An event cannot be read.
    #[error("event {number}: {source}")]
    Event {
        /// Which.
        number: LogNumber,
        /// Why.
        source: EventError,
    },
}

impl LogProof {
    /// Proof of the newest of these events, and of all before it.
    ///
    /// # Errors
    /// [`LogFault::Event`]; none in practice: every event can be written.
    pub fn of(first: LogNumber, before: LogHash, events: &[Event]) -> Result<Self, LogFault> {
        let mut proof = Self { first, before, events: Vec::with_capacity(events.len()) };
        let mut number = first;
        for event in events {
            let bytes = event.to_bytes().map_err(|source| LogFault::Event { number, source })?;
            proof.events.push(Bytes(bytes));
            number = number.next();
        }
        Ok(proof)
    }

    /// The head that these events lead to, once each of them was read.
    ///
    /// # Errors
    /// [`LogFault`].
    pub fn verify(&self) -> Result<LogHead, LogFault> {
        self.events()?.try_for_each(|event| event.map(|_| ()))?;
        Ok(self.head())
    }

    /// The events with their numbers, in order.
    ///
    /// # Errors
    /// [`LogFault`], of what is the same for all of them; an event that cannot be read is an item.
    pub fn events(&self) -> Result<impl Iterator<Item = Result<(LogNumber, Event), LogFault>> + '_, LogFault> {
        let (first, count) = (self.first, self.events.len());
        if count == 0 {
            return Err(LogFault::Empty);
        }
        let fits = u64::try_from(count).is_ok_and(|count| first.0.checked_add(count).is_some());
        if first == LogNumber(0) || !fits {
            return Err(LogFault::Numbers { first, count });
        }
        if first == LogNumber(1) && self.before != LogHash::default() {
            return Err(LogFault::BeforeFirst);
        }
        let read = |(number, bytes): (u64, &Bytes)| {
            let number = LogNumber(number);
            let event = Event::from_bytes(&bytes.0).map_err(|source| LogFault::Event { number, source })?;
            Ok((number, event))
        };
        Ok((first.0..).zip(&self.events).map(read))
    }

    /// The head that these bytes lead to, whatever they are.
    #[must_use]
    pub fn head(&self) -> LogHead {
        let before = LogHead { number: LogNumber(self.first.0.saturating_sub(1)), hash: self.before };
        self.events.iter().fold(before, |head, bytes| head.after(&bytes.0))
    }
}
