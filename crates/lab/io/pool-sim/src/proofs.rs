//! What every miner proved: each lot that was low enough is worth what its job said, once, to whoever the job was for.

use std::collections::{BTreeMap, BTreeSet};

use bq_mining_message::Share;
use bq_primitives::{Algorithm, KeyHash, PowHash, Target, U256};
use bq_share::{ShareCandidate, share_target};

use crate::lottery::{Lottery, meets};

/// Knows the true lots, whatever front end and books make of them.
#[derive(Default)]
pub(crate) struct Proofs {
    /// Lots that a client handed in: who drew them and what it had been told a share must meet.
    told: BTreeMap<PowHash, (KeyHash, Target)>,
    /// Shares that the books took, by their lot.
    booked: BTreeMap<PowHash, u64>,
    /// Who was ever credited a share.
    pub(crate) credited: BTreeMap<KeyHash, u64>,
    /// Who may have been: the pool died over it, or the share of a block waits for room.
    pub(crate) in_doubt: BTreeSet<KeyHash>,
    /// Lots that each key drew, where they are counted.
    pub(crate) drawn: BTreeMap<KeyHash, Drawn>,
    /// Serial numbers of every share that was handed on, by its lot.
    handed: BTreeMap<PowHash, u64>,
    /// Lots that must earn nothing, and why.
    forbidden: BTreeMap<PowHash, &'static str>,
    /// What does not hold; the first of it.
    pub(crate) fault: Option<String>,
}

/// Lots that somebody drew.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Drawn {
    pub(crate) lots: u64,
    /// Of what they should earn: each lot adds what its share is worth.
    pub(crate) variance: u64,
    /// The most that one share was worth.
    pub(crate) hardest: u64,
}

impl Proofs {
    /// Somebody draws on a job whose shares must meet `told`.
    pub(crate) fn note_drawn(&mut self, payee: KeyHash, lots: u64, told: Target) {
        let worth = u64::try_from(U256::MAX / told.0.max(U256::ONE)).unwrap_or(u64::MAX);
        let drawn = self.drawn.entry(payee).or_default();
        drawn.lots += lots;
        drawn.variance = drawn.variance.saturating_add(lots.saturating_mul(worth));
        drawn.hardest = drawn.hardest.max(worth);
    }

    /// A client hands a lot in.
    pub(crate) fn note_told(&mut self, payee: KeyHash, value: PowHash, told: Target) {
        self.told.entry(value).or_insert((payee, told));
    }

    /// A lot must earn nothing from now on.
    pub(crate) fn forbid(&mut self, value: PowHash, why: &'static str) {
        self.forbidden.insert(value, why);
    }

    /// The serial number of a proven share that goes to the books: one per proof, however often it is handed on.
    pub(crate) fn serial(&mut self, candidate: &ShareCandidate) -> u64 {
        let next = self.handed.len() as u64 + 1;
        *self.handed.entry(Lottery::default().lot(candidate).hash).or_insert(next)
    }

    /// A lot got as far as the pool.
    pub(crate) fn was_handed(&self, value: &PowHash) -> bool {
        self.handed.contains_key(value)
    }

    /// The share that a lot was booked as.
    pub(crate) fn serial_of(&self, value: &PowHash) -> Option<u64> {
        self.booked.get(value).copied()
    }

    /// The books took a share: it must be what its lot is worth.
    pub(crate) fn note_booked(&mut self, serial: u64, candidate: &ShareCandidate, share: &Share) {
        let value = Lottery::default().lot(candidate).hash;
        *self.credited.entry(share.payee).or_default() += share.difficulty.hashes();
        if let Some(before) = self.booked.insert(value, serial) {
            return self.complain(format!("share {before} is credited again"));
        }
        if let Some(why) = self.forbidden.get(&value) {
            return self.complain(format!("share {serial} is credited, and is {why}"));
        }
        let is_block = share.block_id.is_some() && meets(share.algorithm, &value, &candidate.template.target);
        let worth = share_target(share.algorithm, share.difficulty);
        if !is_block && !meets(share.algorithm, &value, &worth) {
            return self.complain(format!("share {serial} is credited {}, its proof is worth less", share.difficulty));
        }
        match self.told.get(&value) {
            Some((payee, _)) if *payee != share.payee => {
                self.complain(format!("share {serial} is credited to another than the one who proved it"));
            }
            Some((_, told)) if !is_worth(share.algorithm, *told, worth) => {
                self.complain(format!("share {serial} is credited {}, its job said otherwise", share.difficulty));
            }
            Some(_) => {}
            None => self.complain(format!("share {serial} was found by nobody")),
        }
    }

    pub(crate) fn complain(&mut self, what: String) {
        self.fault.get_or_insert(what);
    }
}

/// Whether a share that must meet `worth` is what a client was told, up to the precision of its dialect.
fn is_worth(algorithm: Algorithm, told: Target, worth: Target) -> bool {
    // Of SHA-256d clients some read a difficulty by one part in 65,536 harder than others.
    let slack = match algorithm {
        Algorithm::Sha256d => worth.0 >> 15_usize,
        Algorithm::RandomX | Algorithm::Ethash => U256::from(1_u64),
    };
    told.0 <= worth.0.saturating_add(U256::from(1_u64)) && worth.0 <= told.0.saturating_add(slack)
}
