//! A transaction in the place of others that spend the same outputs (SPEC 9, Transactions).

use std::collections::BTreeSet;

use bq_primitives::{OutPoint, TxId};

use crate::{AdmitError, Density, Mempool, PooledTransaction};

impl Mempool {
    /// The pooled transactions that spend what `pooled` spends, and all that build on them; none if nothing does.
    pub(crate) fn rivals(&self, pooled: &PooledTransaction) -> BTreeSet<TxId> {
        let direct: BTreeSet<TxId> = self.direct_rivals(pooled).map(|(_, spender)| spender).collect();
        let mut all = direct.clone();
        for rival in &direct {
            all.extend(self.descendants(rival));
        }
        all
    }

    /// Whether it may take the place of its rivals. It builds on nothing that they do not build on, or it could bring in what
    /// keeps it from being mined; it pays more for its weight than each that it displaces, and in all more than all of them by the least fee for its
    /// own weight: whoever replaces pays for having it relayed once more.
    pub(crate) fn check_replacement(&self, pooled: &PooledTransaction) -> Result<(), AdmitError> {
        let Some((outpoint, spender)) = self.direct_rivals(pooled).next() else { return Ok(()) };
        let gone = self.rivals(pooled);
        let conflict = Err(AdmitError::Conflict { outpoint, spender });
        let is_theirs = |parent: &TxId| {
            let mut rivals = self.direct_rivals(pooled).filter_map(|(_, rival)| self.entries.get(&rival));
            !gone.contains(parent) && rivals.any(|rival| rival.parents.contains(parent))
        };
        if gone.len() > self.limits.replaced_max || !self.pooled_parents(pooled).iter().all(is_theirs) {
            return conflict;
        }
        let fees = gone.iter().filter_map(|txid| self.get(txid)).map(|rival| rival.fee.atoms());
        let relay = self.limits.density_min.fee_for(pooled.weight);
        let by_fees = fees.fold(relay, u64::saturating_add);
        let densities = self.direct_rivals(pooled).filter_map(|(_, rival)| self.get(&rival));
        let by_density = densities.map(|rival| Density::new(rival.fee, rival.weight).fee_for(pooled.weight)).max();
        let required = by_fees.max(by_density.unwrap_or(0).saturating_add(1));
        let got = pooled.fee.atoms();
        if got < required { Err(AdmitError::ReplacesTooLittle { spender, got, required }) } else { Ok(()) }
    }

    fn direct_rivals<'a>(&'a self, pooled: &'a PooledTransaction) -> impl Iterator<Item = (OutPoint, TxId)> + 'a {
        pooled.transaction.inputs.iter().filter_map(|input| Some((*input, self.spender_of(input)?)))
    }
}
