//! The pool as a plain list: every question is answered by looking at everything.

use std::{cmp::Ordering, collections::BTreeSet};

use bq_primitives::{Transaction, TxId};

use crate::Candidate;

#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) candidate: Candidate,
    pub(super) txid: TxId,
}

/// In the order of arrival.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) waiting: Vec<Waiting>,
    pub(super) bytes_max: usize,
    pub(super) family_max: usize,
    pub(super) replaced_max: usize,
}

impl Model {
    /// False when it is not pooled in the end.
    pub(super) fn admit(&mut self, candidate: &Candidate) -> bool {
        let txid = candidate.transaction.txid();
        let spent: BTreeSet<_> = candidate.transaction.inputs.iter().collect();
        let is_known = self.waiting.iter().any(|other| other.txid == txid);
        let rivals: Vec<Waiting> = self
            .waiting
            .iter()
            .filter(|other| other.candidate.transaction.inputs.iter().any(|i| spent.contains(i)))
            .cloned()
            .collect();
        let replaced: BTreeSet<TxId> = rivals.iter().flat_map(|rival| self.descendants(&rival.txid)).collect();
        let clash = is_known || !rivals.is_empty() && !self.may_replace(candidate, &rivals, &replaced);
        let before = self.waiting.clone();
        self.waiting.push(Waiting { candidate: candidate.clone(), txid });
        let fits = |family: BTreeSet<TxId>| family.len() <= self.family_max;
        let families = fits(self.ancestors(&txid))
            && self.ancestors(&txid).iter().all(|ancestor| fits(self.descendants(ancestor)));
        if clash || !families {
            self.waiting = before;
            return false;
        }
        self.waiting.retain(|tx| !replaced.contains(&tx.txid));
        while self.bytes() > self.bytes_max {
            let worst = self.worst();
            let gone = self.descendants(&worst);
            self.waiting.retain(|tx| !gone.contains(&tx.txid));
        }
        let stays = self.waiting.iter().any(|tx| tx.txid == txid);
        if !stays {
            self.waiting = before;
        }
        stays
    }

    fn may_replace(&self, candidate: &Candidate, rivals: &[Waiting], replaced: &BTreeSet<TxId>) -> bool {
        let (fee, weight) = (candidate.fee.atoms(), candidate.transaction.weight().unwrap().units());
        let parents_of = |transaction: &Transaction| -> BTreeSet<TxId> {
            let parents = transaction.inputs.iter().map(|input| input.txid);
            parents.filter(|id| self.waiting.iter().any(|tx| tx.txid == *id)).collect()
        };
        let theirs: BTreeSet<TxId> = rivals.iter().flat_map(|rival| parents_of(&rival.candidate.transaction)).collect();
        let builds_on = parents_of(&candidate.transaction);
        let is_denser = rivals.iter().all(|rival| {
            let (other, other_weight) = self.sums(&[rival.txid]);
            u128::from(fee) * u128::from(other_weight) > u128::from(other) * u128::from(weight)
        });
        let replaced: Vec<TxId> = replaced.iter().copied().collect();
        let pays = fee >= self.sums(&replaced).0 + weight.div_ceil(10);
        let is_bounded = replaced.len() <= self.replaced_max;
        is_bounded
            && pays
            && is_denser
            && builds_on.is_subset(&theirs)
            && builds_on.iter().all(|id| !replaced.contains(id))
    }

    pub(super) fn connect(&mut self, transactions: &[Transaction]) {
        for transaction in transactions {
            self.waiting.retain(|tx| tx.txid != transaction.txid());
            let rivals = self
                .waiting
                .iter()
                .filter(|tx| tx.candidate.transaction.inputs.iter().any(|i| transaction.inputs.contains(i)));
            let gone: BTreeSet<_> = rivals.flat_map(|tx| self.descendants(&tx.txid)).collect();
            self.waiting.retain(|tx| !gone.contains(&tx.txid));
        }
    }

    pub(super) fn select(&self, weight_max: u64) -> Vec<TxId> {
        let mut taken: Vec<TxId> = Vec::new();
        let mut weight = 0;
        // A transaction that did not fit is tried again only when its package changed, that is, became lighter.
        let mut passed_over: BTreeSet<(TxId, u64)> = BTreeSet::new();
        loop {
            let package = |txid: &TxId| -> Vec<TxId> {
                let family = self.ancestors(txid);
                let order = self.waiting.iter().map(|tx| tx.txid);
                order.filter(|id| family.contains(id) && !taken.contains(id)).collect()
            };
            let left = self.waiting.iter().filter(|tx| {
                let size = self.sums(&package(&tx.txid)).1;
                !taken.contains(&tx.txid) && !passed_over.contains(&(tx.txid, size))
            });
            // `max_by` returns the last of equals, so look from the last arrival to the first.
            let best = left.rev().max_by(|a, b| self.compare(&package(&a.txid), &package(&b.txid)));
            let Some(best) = best else { return taken };
            let package = package(&best.txid);
            let more = self.sums(&package).1;
            if weight + more <= weight_max {
                weight += more;
                taken.extend(package);
            } else {
                passed_over.insert((best.txid, more));
            }
        }
    }

    /// With itself.
    pub(super) fn ancestors(&self, txid: &TxId) -> BTreeSet<TxId> {
        let mut family = BTreeSet::from([*txid]);
        for tx in self.waiting.iter().rev() {
            if family.contains(&tx.txid) {
                let parents = tx.candidate.transaction.inputs.iter().map(|input| input.txid);
                family.extend(parents.filter(|id| self.waiting.iter().any(|tx| tx.txid == *id)));
            }
        }
        family
    }

    /// With itself.
    fn descendants(&self, txid: &TxId) -> BTreeSet<TxId> {
        self.waiting.iter().map(|tx| tx.txid).filter(|id| self.ancestors(id).contains(txid)).collect()
    }

    /// Lowest descendant package; the last to arrive among equals.
    fn worst(&self) -> TxId {
        let family = |tx: &Waiting| self.descendants(&tx.txid).into_iter().collect::<Vec<_>>();
        let worst = self.waiting.iter().rev().min_by(|a, b| self.compare(&family(a), &family(b)));
        worst.unwrap().txid
    }

    fn compare(&self, left: &[TxId], right: &[TxId]) -> Ordering {
        let ((fee_l, weight_l), (fee_r, weight_r)) = (self.sums(left), self.sums(right));
        (u128::from(fee_l) * u128::from(weight_r)).cmp(&(u128::from(fee_r) * u128::from(weight_l)))
    }

    fn sums(&self, package: &[TxId]) -> (u64, u64) {
        let members = self.waiting.iter().filter(|tx| package.contains(&tx.txid));
        members.fold((0, 0), |(fee, weight), tx| {
            let transaction = &tx.candidate.transaction;
            (fee + tx.candidate.fee.atoms(), weight + transaction.weight().unwrap().units())
        })
    }

    pub(super) fn bytes(&self) -> usize {
        self.waiting.iter().map(|tx| tx.candidate.transaction.to_bytes().len()).sum()
    }
}
