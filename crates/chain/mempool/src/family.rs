//! Storing and removing entries with their ties: the only code that writes the maps.

use std::collections::BTreeSet;

use bq_primitives::TxId;

use crate::{
    Mempool, PooledTransaction,
    pool::{Entry, Package},
};

impl Mempool {
    /// Stores a transaction whose parents are stored and whose children are not.
    pub(crate) fn insert(&mut self, pooled: PooledTransaction) {
        let txid = pooled.txid;
        let parents = self.pooled_parents(&pooled);
        let package = Package::of(&pooled);
        self.bytes = self.bytes.saturating_add(pooled.encoded_len);
        self.weight = self.weight.saturating_add(pooled.weight.units());
        for input in &pooled.transaction.inputs {
            self.spenders.insert(*input, txid);
        }
        for parent in &parents {
            if let Some(entry) = self.entries.get_mut(parent) {
                entry.children.insert(txid);
            }
        }
        let entry = Entry { pooled, parents, children: BTreeSet::new(), descendants: package };
        self.worst_first.insert(entry.eviction_key());
        self.entries.insert(txid, entry);
        for ancestor in self.ancestors(&txid) {
            self.update_descendants(&ancestor, |sums| sums.add(package));
        }
    }

    /// Takes out one transaction and leaves its children, whose parent is confirmed from now on.
    pub(crate) fn remove_one(&mut self, txid: &TxId) -> Option<PooledTransaction> {
        let ancestors = self.ancestors(txid);
        let entry = self.entries.remove(txid)?;
        self.worst_first.remove(&entry.eviction_key());
        let package = Package::of(&entry.pooled);
        for ancestor in &ancestors {
            self.update_descendants(ancestor, |sums| sums.remove(package));
        }
        for parent in &entry.parents {
            if let Some(parent) = self.entries.get_mut(parent) {
                parent.children.remove(txid);
            }
        }
        for child in &entry.children {
            if let Some(child) = self.entries.get_mut(child) {
                child.parents.remove(txid);
            }
        }
        for input in &entry.pooled.transaction.inputs {
            self.spenders.remove(input);
        }
        self.bytes = self.bytes.saturating_sub(entry.pooled.encoded_len);
        self.weight = self.weight.saturating_sub(entry.pooled.weight.units());
        Some(entry.pooled)
    }

    /// Takes out a transaction and everything that builds on it; returns them parents first.
    pub(crate) fn remove_with_descendants(&mut self, txid: &TxId) -> Vec<PooledTransaction> {
        let mut members = self.descendants(txid);
        members.insert(*txid);
        let mut removed: Vec<_> =
            members.iter().filter_map(|txid| Some((self.entries.get(txid)?.pooled.arrival, *txid))).collect();
        removed.sort_unstable();
        // Children go first, so that every step leaves true sums in the ancestors that stay.
        let mut removed: Vec<_> = removed.iter().rev().filter_map(|(_, txid)| self.remove_one(txid)).collect();
        removed.reverse();
        removed
    }

    /// The pooled transactions whose outputs `pooled` spends.
    pub(crate) fn pooled_parents(&self, pooled: &PooledTransaction) -> BTreeSet<TxId> {
        let inputs = pooled.transaction.inputs.iter();
        inputs.map(|input| input.txid).filter(|txid| self.entries.contains_key(txid)).collect()
    }

    /// Every pooled transaction that `txid` builds on, without itself.
    pub(crate) fn ancestors(&self, txid: &TxId) -> BTreeSet<TxId> {
        self.closure(txid, |entry| &entry.parents)
    }

    /// Every pooled transaction that builds on `txid`, without itself.
    pub(crate) fn descendants(&self, txid: &TxId) -> BTreeSet<TxId> {
        self.closure(txid, |entry| &entry.children)
    }

    fn closure(&self, txid: &TxId, next: impl Fn(&Entry) -> &BTreeSet<TxId>) -> BTreeSet<TxId> {
        let mut found = BTreeSet::new();
        let mut open = vec![*txid];
        while let Some(txid) = open.pop() {
            let Some(entry) = self.entries.get(&txid) else { continue };
            open.extend(next(entry).iter().copied().filter(|txid| found.insert(*txid)));
        }
        found
    }

    fn update_descendants(&mut self, txid: &TxId, change: impl FnOnce(&mut Package)) {
        let Some(entry) = self.entries.get_mut(txid) else { return };
        self.worst_first.remove(&entry.eviction_key());
        change(&mut entry.descendants);
        self.worst_first.insert(entry.eviction_key());
    }
}
