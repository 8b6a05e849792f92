use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use bq_primitives::{BlockWeight, Height, TxId};

use crate::{Density, Mempool, PooledTransaction, pool::Package};

/// Transactions for a template, parents before children.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// In the order in which the block holds them.
    pub transactions: Vec<PooledTransaction>,
    /// Their weight together.
    pub weight: BlockWeight,
}

impl Mempool {
    /// The best-paying transactions for a block of height `next`, at most `weight_max` together.
    ///
    /// Greedy: the transaction whose package (itself and its unconfirmed ancestors that are not taken yet) has the
    /// highest density comes next, with that package; what does not fit is passed over.
    #[must_use]
    pub fn select(&self, weight_max: BlockWeight, next: Height) -> Selection {
        let mut queue = PackageQueue::new(self, next);
        let mut selection = Selection::default();
        while let Some(txid) = queue.pop_best() {
            let left = weight_max.units().saturating_sub(selection.weight.units());
            if queue.packages.get(&txid).is_none_or(|package| package.weight > left) {
                continue;
            }
            for pooled in queue.take_package(&txid) {
                let weight = selection.weight.units().saturating_add(pooled.weight.units());
                selection.weight = BlockWeight::from_units(weight);
                selection.transactions.push(pooled.clone());
            }
        }
        selection
    }
}

/// Every transaction that is not taken yet, ordered by its package's density.
struct PackageQueue<'a> {
    pool: &'a Mempool,
    packages: BTreeMap<TxId, Package>,
    best_first: BTreeSet<(Reverse<Density>, u64, TxId)>,
}

impl<'a> PackageQueue<'a> {
    fn new(pool: &'a Mempool, next: Height) -> Self {
        let mut queue = Self { pool, packages: BTreeMap::new(), best_first: BTreeSet::new() };
        let entries = pool.entries.values();
        for entry in entries.filter(|entry| entry.pooled.valid_from <= next) {
            let mut package = Package::of(&entry.pooled);
            for ancestor in pool.ancestors(&entry.pooled.txid) {
                if let Some(ancestor) = pool.get(&ancestor) {
                    package.add(Package::of(ancestor));
                }
            }
            queue.best_first.insert(order_of(package, &entry.pooled));
            queue.packages.insert(entry.pooled.txid, package);
        }
        queue
    }

    fn pop_best(&mut self) -> Option<TxId> {
        self.best_first.pop_first().map(|(.., txid)| txid)
    }

    /// Takes `txid` and its ancestors that are left, parents first.
    fn take_package(&mut self, txid: &TxId) -> Vec<&'a PooledTransaction> {
        let mut members = self.pool.ancestors(txid);
        members.insert(*txid);
        members.retain(|member| self.packages.contains_key(member));
        let mut package: Vec<_> = members.iter().filter_map(|txid| self.pool.get(txid)).collect();
        package.sort_unstable_by_key(|pooled| pooled.arrival);
        for pooled in &package {
            self.take(pooled);
        }
        package
    }

    /// A taken transaction no longer counts in the packages of its descendants.
    fn take(&mut self, taken: &PooledTransaction) {
        if let Some(package) = self.packages.remove(&taken.txid) {
            self.best_first.remove(&order_of(package, taken));
        }
        for descendant in self.pool.descendants(&taken.txid) {
            let (Some(package), Some(pooled)) = (self.packages.get_mut(&descendant), self.pool.get(&descendant)) else {
                continue;
            };
            self.best_first.remove(&order_of(*package, pooled));
            package.remove(Package::of(taken));
            // One that was passed over for its weight comes back here: its package is lighter now.
            self.best_first.insert(order_of(*package, pooled));
        }
    }
}

const fn order_of(package: Package, pooled: &PooledTransaction) -> (Reverse<Density>, u64, TxId) {
    (Reverse(package.density()), pooled.arrival, pooled.txid)
}
