use std::collections::BTreeSet;

use bq_primitives::{Height, PUBLIC_KEY_BYTES, SIGNATURE_BYTES, Transaction, TxId};

use crate::{AdmitError, Candidate, Density, Mempool, PooledTransaction};

const WITNESS_BYTES: usize = PUBLIC_KEY_BYTES + SIGNATURE_BYTES;

/// What an admission did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// The transaction that is pooled now.
    pub txid: TxId,
    /// Those that gave way to it: what it replaced, and what the pool had no room for.
    pub evicted: Vec<TxId>,
}

impl Mempool {
    /// Pools a verified transaction, for a next block of height `next`. It takes the place of those that spend the same outputs, if
    /// it pays enough more. Transactions of lower density give way when the pool is full; when the newcomer is the one of lowest
    /// density, nothing changes.
    ///
    /// # Errors
    /// [`AdmitError`] names the first limit that it breaks.
    pub fn admit(&mut self, candidate: Candidate, next: Height) -> Result<Admission, AdmitError> {
        let pooled = self.examine(candidate, next)?;
        self.insert_and_evict(pooled)
    }

    /// What [`Mempool::admit`] would pool if there were room, without changing anything. Signatures may still be
    /// unverified here: asked first, it keeps them from being verified for a transaction that nobody would pool.
    ///
    /// # Errors
    /// Those of [`Mempool::admit`], except [`AdmitError::Full`].
    pub fn examine(&self, candidate: Candidate, next: Height) -> Result<PooledTransaction, AdmitError> {
        let pooled = self.measure(candidate)?;
        check_shape(&pooled.transaction)?;
        self.check_unknown(&pooled)?;
        check_height(&pooled, next)?;
        self.check_price(&pooled)?;
        self.check_inputs(&pooled)?;
        self.check_replacement(&pooled)?;
        self.check_family(&pooled)?;
        Ok(pooled)
    }

    /// The candidate with its id, weight and length; the next arrival number.
    fn measure(&self, candidate: Candidate) -> Result<PooledTransaction, AdmitError> {
        let Candidate { transaction, fee, valid_from } = candidate;
        let max = self.limits.transaction_weight_max.units();
        let weight = transaction.weight().map_err(|_| AdmitError::TooHeavy { got: u64::MAX, max })?;
        if weight.units() > max {
            return Err(AdmitError::TooHeavy { got: weight.units(), max });
        }
        // A child is never valid before its parent, so that a selection by height cannot part them.
        let parents = transaction.inputs.iter().filter_map(|input| self.get(&input.txid));
        let inherited = parents.map(|parent| parent.valid_from).max().unwrap_or_default();
        let witness = transaction.witnesses.len().saturating_mul(WITNESS_BYTES);
        Ok(PooledTransaction {
            txid: transaction.txid(),
            wtxid: transaction.wtxid(),
            fee,
            weight,
            encoded_len: transaction.base_len().saturating_add(witness),
            valid_from: valid_from.max(transaction.lock_height).max(inherited),
            arrival: self.arrivals,
            transaction,
        })
    }

    fn check_unknown(&self, pooled: &PooledTransaction) -> Result<(), AdmitError> {
        let known = self.entries.contains_key(&pooled.txid);
        if known { Err(AdmitError::Duplicate(pooled.txid)) } else { Ok(()) }
    }

    fn check_price(&self, pooled: &PooledTransaction) -> Result<(), AdmitError> {
        let (got, least) = (pooled.fee.atoms(), self.limits.density_min);
        if Density::new(pooled.fee, pooled.weight) >= least {
            Ok(())
        } else {
            Err(AdmitError::FeeTooLow { got, required: least.fee_for(pooled.weight) })
        }
    }

    fn check_inputs(&self, pooled: &PooledTransaction) -> Result<(), AdmitError> {
        for outpoint in &pooled.transaction.inputs {
            if self.contains(&outpoint.txid) && self.output(outpoint).is_none() {
                return Err(AdmitError::MissingOutput(*outpoint));
            }
        }
        Ok(())
    }

    /// Neither the newcomer's ancestors nor any ancestor's descendants may become too many.
    fn check_family(&self, pooled: &PooledTransaction) -> Result<(), AdmitError> {
        let parents = self.pooled_parents(pooled);
        let mut ancestors = parents.clone();
        for parent in &parents {
            ancestors.extend(self.ancestors(parent));
        }
        let descendants = ancestors.iter().filter_map(|txid| self.entries.get(txid));
        let largest = descendants.map(|entry| entry.descendants.count).max().unwrap_or(0);
        let got = ancestors.len().max(largest).saturating_add(1);
        let max = self.limits.family_max;
        if got > max { Err(AdmitError::FamilyTooLarge { got, max }) } else { Ok(()) }
    }

    fn insert_and_evict(&mut self, pooled: PooledTransaction) -> Result<Admission, AdmitError> {
        let txid = pooled.txid;
        let replaced: Vec<TxId> = self.rivals(&pooled).into_iter().collect();
        let mut evicted: Vec<_> = replaced.iter().flat_map(|rival| self.remove_with_descendants(rival)).collect();
        self.insert(pooled);
        while self.bytes > self.limits.bytes_max
            && let Some(worst) = self.worst_first.first().copied()
        {
            evicted.extend(self.remove_with_descendants(&worst.txid));
        }
        if self.contains(&txid) {
            self.arrivals = self.arrivals.saturating_add(1);
            evicted.sort_unstable_by_key(|gone| gone.arrival);
            return Ok(Admission { txid, evicted: evicted.iter().map(|gone| gone.txid).collect() });
        }
        self.restore(evicted, &txid);
        Err(AdmitError::Full)
    }

    /// Puts back what gave way to a newcomer which did not stay: otherwise a large transaction that pays little could
    /// empty the pool for nothing.
    fn restore(&mut self, mut evicted: Vec<PooledTransaction>, newcomer: &TxId) {
        evicted.retain(|pooled| pooled.txid != *newcomer);
        // Parents arrived before their children.
        evicted.sort_unstable_by_key(|pooled| pooled.arrival);
        for pooled in evicted {
            self.insert(pooled);
        }
    }
}

fn check_shape(transaction: &Transaction) -> Result<(), AdmitError> {
    if transaction.is_coinbase() {
        return Err(AdmitError::Coinbase);
    }
    if transaction.inputs.is_empty() {
        return Err(AdmitError::NoInputs);
    }
    let mut seen = BTreeSet::new();
    match transaction.inputs.iter().find(|input| !seen.insert(**input)) {
        Some(repeated) => Err(AdmitError::RepeatedInput(*repeated)),
        None => Ok(()),
    }
}

const fn check_height(pooled: &PooledTransaction, next: Height) -> Result<(), AdmitError> {
    let valid_from = pooled.valid_from;
    if valid_from.0 > next.0 { Err(AdmitError::NotYetValid { valid_from, next }) } else { Ok(()) }
}
