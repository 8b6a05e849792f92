use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use bq_primitives::{BlockWeight, OutPoint, TxId, TxOut};

use crate::{Density, MempoolLimits, PooledTransaction};

/// The transactions that wait for a block, in memory only.
///
/// Two orders rule it, both exact and both with arrival breaking ties: a template takes the *ancestor* package with
/// the highest density first (so a child can pay for its parent), and a full pool drops the *descendant* package with
/// the lowest density first.
#[derive(Clone, Debug)]
pub struct Mempool {
    pub(crate) limits: MempoolLimits,
    pub(crate) entries: BTreeMap<TxId, Entry>,
    /// Who spends what, for every input of every pooled transaction.
    pub(crate) spenders: BTreeMap<OutPoint, TxId>,
    /// Every transaction by the density of itself with its descendants: the first is the next to be evicted.
    pub(crate) worst_first: BTreeSet<EvictionKey>,
    /// Encoded bytes of everything that waits; never above [`MempoolLimits::bytes_max`].
    pub(crate) bytes: usize,
    pub(crate) weight: u64,
    pub(crate) arrivals: u64,
}

/// A pooled transaction and its family ties.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) pooled: PooledTransaction,
    pub(crate) parents: BTreeSet<TxId>,
    pub(crate) children: BTreeSet<TxId>,
    /// Itself and all its descendants.
    pub(crate) descendants: Package,
}

/// Sums over some transactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) fee: u64,
    pub(crate) weight: u64,
    pub(crate) count: usize,
}

/// Low density first; among equals the last to arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EvictionKey {
    density: Density,
    arrival: std::cmp::Reverse<u64>,
    pub(crate) txid: TxId,
}

impl Mempool {
    /// An empty pool.
    #[must_use]
    pub const fn new(limits: MempoolLimits) -> Self {
        Self {
            limits,
            entries: BTreeMap::new(),
            spenders: BTreeMap::new(),
            worst_first: BTreeSet::new(),
            bytes: 0,
            weight: 0,
            arrivals: 0,
        }
    }

    /// How many transactions wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Weight of everything that waits.
    #[must_use]
    pub const fn weight(&self) -> BlockWeight {
        BlockWeight::from_units(self.weight)
    }

    /// A pooled transaction.
    #[must_use]
    pub fn get(&self, txid: &TxId) -> Option<&PooledTransaction> {
        self.entries.get(txid).map(|entry| &entry.pooled)
    }

    /// Pooled transactions with higher ids, by id.
    pub fn after(&self, txid: &TxId) -> impl Iterator<Item = &PooledTransaction> {
        self.entries.range((Bound::Excluded(*txid), Bound::Unbounded)).map(|(_, entry)| &entry.pooled)
    }

    /// The transaction is pooled.
    #[must_use]
    pub fn contains(&self, txid: &TxId) -> bool {
        self.entries.contains_key(txid)
    }

    /// The pooled transaction that spends `outpoint`.
    #[must_use]
    pub fn spender_of(&self, outpoint: &OutPoint) -> Option<TxId> {
        self.spenders.get(outpoint).copied()
    }

    /// An output of a pooled transaction, whether or not another one spends it: what an unconfirmed child is verified
    /// against.
    #[must_use]
    pub fn output(&self, outpoint: &OutPoint) -> Option<TxOut> {
        let index = usize::try_from(outpoint.index).ok()?;
        self.get(&outpoint.txid)?.transaction.outputs.get(index).copied()
    }

    /// Every pooled transaction, in the order of ids.
    pub fn iter(&self) -> impl Iterator<Item = &PooledTransaction> {
        self.entries.values().map(|entry| &entry.pooled)
    }
}

impl Package {
    pub(crate) const fn of(pooled: &PooledTransaction) -> Self {
        Self { fee: pooled.fee.atoms(), weight: pooled.weight.units(), count: 1 }
    }

    // A family has at most `family_max` members of at most 2^53 atoms each, so the sums stay far inside 64 bits.
    pub(crate) const fn add(&mut self, other: Self) {
        self.fee = self.fee.saturating_add(other.fee);
        self.weight = self.weight.saturating_add(other.weight);
        self.count = self.count.saturating_add(other.count);
    }

    pub(crate) const fn remove(&mut self, other: Self) {
        self.fee = self.fee.saturating_sub(other.fee);
        self.weight = self.weight.saturating_sub(other.weight);
        self.count = self.count.saturating_sub(other.count);
    }

    pub(crate) const fn density(self) -> Density {
        Density::of_sums(self.fee, self.weight)
    }
}

impl Entry {
    pub(crate) const fn eviction_key(&self) -> EvictionKey {
        EvictionKey {
            density: self.descendants.density(),
            arrival: std::cmp::Reverse(self.pooled.arrival),
            txid: self.pooled.txid,
        }
    }
}
