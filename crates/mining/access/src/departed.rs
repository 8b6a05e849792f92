use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use bq_primitives::{KeyHash, ShareDifficulty, WorkerName};
use bq_share::{Peer, Restored, SessionTicketId, Trust, UnixMs};

use crate::crowds::Crowds;

/// What a connection that ended left to its miner (SPEC 11.14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departure {
    /// Of the connection.
    pub ticket: SessionTicketId,
    /// Who was credited.
    pub payee: KeyHash,
    /// Which machine logged in first.
    pub worker: WorkerName,
    /// Where it connected from; nothing for an address that is counted nowhere.
    pub peer: Option<Peer>,
    /// When it ended.
    pub ended: UnixMs,
    /// When a share proved its place last.
    pub proved: UnixMs,
    /// What its shares showed.
    pub trust: Trust,
    /// Where its difficulty settled, if it did.
    pub difficulty: Option<ShareDifficulty>,
}

/// Connections that ended and may be come back to, each once (SPEC 11.14). So many are kept for so long; where that is not enough, the oldest of
/// the network address that has most of them goes: nobody pushes out more than he brought in.
#[derive(Debug)]
pub struct Departed {
    policy: DepartedPolicy,
    by_ticket: BTreeMap<SessionTicketId, Departure>,
    by_age: BTreeSet<Age>,
    crowds: Crowds<Age>,
}

/// What the operator decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DepartedPolicy {
    /// Milliseconds after its end for which a connection may be come back to; 0: never.
    pub kept_ms: u64,
    /// As many at a time.
    pub departures_max: usize,
}

impl Default for DepartedPolicy {
    /// Ten minutes, and as many as workers are remembered.
    fn default() -> Self {
        Self { kept_ms: 600_000, departures_max: 16_384 }
    }
}

/// When it ended, and which one.
type Age = (UnixMs, SessionTicketId);

/// A line that is no departure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a departure is TICKET PAYEE WORKER PEER ENDED PROVED VERIFIED FORGED PROVEN DIFFICULTY")]
pub struct ParseDepartureError;

/// Where a departure has no peer or difficulty.
const NONE: &str = "*";

impl Departed {
    /// Nobody has gone.
    #[must_use]
    pub const fn new(policy: DepartedPolicy) -> Self {
        Self { policy, by_ticket: BTreeMap::new(), by_age: BTreeSet::new(), crowds: Crowds::new() }
    }

    /// A connection ended.
    pub fn depart(&mut self, now: UnixMs, departure: Departure) {
        self.forget_old(now);
        if self.is_over(now, &departure) {
            return;
        }
        self.remove(departure.ticket);
        self.insert(departure);
        while self.by_ticket.len() > self.policy.departures_max {
            let Some((_, oldest)) = self.crowds.oldest_of_most().copied() else { return };
            self.remove(oldest);
        }
    }

    /// The miner of a connection came back to it, as this machine of this account: what the connection left, which is gone from here with it.
    /// Nothing, and nothing changes, for anybody else; nor for a connection that is open, was come back to, or ended too long ago.
    pub fn come_back(
        &mut self,
        now: UnixMs,
        ticket: SessionTicketId,
        payee: KeyHash,
        worker: &WorkerName,
    ) -> Option<Departure> {
        self.forget_old(now);
        self.by_ticket.get(&ticket).filter(|departure| departure.payee == payee && departure.worker == *worker)?;
        self.remove(ticket)
    }

    /// How many may be come back to.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_ticket.len()
    }

    /// Whether nobody can come back.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_ticket.is_empty()
    }

    /// One line each, the oldest first.
    #[must_use]
    pub fn to_text(&self) -> String {
        let departures = self.by_age.iter().filter_map(|(_, ticket)| self.by_ticket.get(ticket));
        departures.map(|departure| format!("{departure}\n")).collect()
    }

    /// Takes in what [`Departed::to_text`] wrote.
    pub fn restore(&mut self, now: UnixMs, text: &str) -> Restored {
        let mut restored = Restored::default();
        for (index, line) in text.lines().enumerate() {
            match line.parse::<Departure>() {
                // A clock that went back meanwhile makes nothing last longer.
                Ok(departure) => self.depart(now, Departure { ended: departure.ended.min(now), ..departure }),
                Err(_) => restored.note_unread(index),
            }
        }
        restored
    }

    const fn is_over(&self, now: UnixMs, departure: &Departure) -> bool {
        now.ms_since(departure.ended) >= self.policy.kept_ms
    }

    fn forget_old(&mut self, now: UnixMs) {
        while let Some((_, oldest)) = self.by_age.first().copied()
            && self.by_ticket.get(&oldest).is_some_and(|departure| self.is_over(now, departure))
        {
            self.remove(oldest);
        }
    }

    fn insert(&mut self, departure: Departure) {
        let (age, peer) = ((departure.ended, departure.ticket), departure.peer);
        self.by_age.insert(age);
        self.crowds.insert(peer, age);
        self.by_ticket.insert(departure.ticket, departure);
    }

    fn remove(&mut self, ticket: SessionTicketId) -> Option<Departure> {
        let departure = self.by_ticket.remove(&ticket)?;
        let age = (departure.ended, ticket);
        self.by_age.remove(&age);
        self.crowds.remove(departure.peer, &age);
        Some(departure)
    }
}

impl fmt::Display for Departure {
    /// One line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ticket, payee, worker, ended, proved, trust, .. } = self;
        let peer = self.peer.map_or_else(|| NONE.to_owned(), |peer| peer.to_string());
        let difficulty = self.difficulty.map_or_else(|| NONE.to_owned(), |difficulty| difficulty.hashes().to_string());
        let Trust { verified, forged, proven } = trust;
        let (ended, proved) = (ended.0, proved.0);
        write!(f, "{ticket} {payee} {worker} {peer} {ended} {proved} {verified} {forged} {proven} {difficulty}")
    }
}

impl FromStr for Departure {
    type Err = ParseDepartureError;

    fn from_str(line: &str) -> Result<Self, ParseDepartureError> {
        let words: Vec<_> = line.split(' ').collect();
        let [ticket, payee, worker, peer, ended, proved, verified, forged, proven, difficulty] = *words.as_slice()
        else {
            return Err(ParseDepartureError);
        };
        let difficulty = some(difficulty).map(read::<u64>).transpose()?;
        Ok(Self {
            ticket: read(ticket)?,
            payee: read(payee)?,
            worker: WorkerName::new(worker).map_err(|_| ParseDepartureError)?,
            peer: some(peer).map(read).transpose()?,
            ended: UnixMs(read(ended)?),
            proved: UnixMs(read(proved)?),
            trust: Trust { verified: read(verified)?, forged: read(forged)?, proven: read(proven)? },
            difficulty: difficulty.filter(|hashes| *hashes > 0).map(ShareDifficulty::from_hashes),
        })
    }
}

fn some(text: &str) -> Option<&str> {
    (text != NONE).then_some(text)
}

fn read<T: FromStr>(text: &str) -> Result<T, ParseDepartureError> {
    text.parse().map_err(|_| ParseDepartureError)
}

#[cfg(test)]
mod tests;
