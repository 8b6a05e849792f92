//! Nobody is credited what nobody proved, and nobody has an account who never proved anything.

use bq_primitives::KeyHash;

use crate::{
    front::Counts,
    hostile::NEVER_PROVE,
    signer::POOL,
    world::{World, miner},
};

/// Standard deviations that luck may be off.
const LUCK: u64 = 6;

impl World {
    /// After every step.
    pub(crate) fn check_proofs(&self) -> Result<(), String> {
        if let Some(fault) = &self.proofs.fault {
            return Err(fault.clone());
        }
        let Some(pool) = &self.pool else { return Ok(()) };
        let proved = |key: &KeyHash| self.proofs.credited.contains_key(key) || self.proofs.in_doubt.contains(key);
        let keys: Vec<KeyHash> = pool.look(|state| state.accounts().iter().map(|(_, key)| key).collect());
        match keys.into_iter().find(|key| !proved(key) || *key == POOL) {
            Some(key) => Err(format!("{key} has an account and never proved anything")),
            None => Ok(()),
        }
    }

    /// In the end.
    pub(crate) fn check_fairness(&self) -> Result<(), String> {
        self.check_proofs()?;
        if let Some(number) = NEVER_PROVE.into_iter().find(|number| self.proofs.credited.contains_key(&miner(*number)))
        {
            return Err(format!("hostile miner {number} earned something"));
        }
        for (key, drawn) in &self.proofs.drawn {
            let credited = self.proofs.credited.get(key).copied().unwrap_or(0);
            let most = drawn.lots + LUCK * (drawn.variance.isqrt() + drawn.hardest);
            if credited > most {
                return Err(format!("{key} drew {} lots and was credited {credited}", drawn.lots));
            }
        }
        Ok(())
    }

    /// What front ends of all lives did.
    pub(crate) fn front_counts(&self) -> Counts {
        self.tally.front.plus(self.front.counts)
    }

    /// Figures for the end of a story.
    pub(crate) fn mining_figures(&self) -> Vec<(&'static str, u64)> {
        let counts = self.front_counts();
        let lots = self.proofs.drawn.values().map(|drawn| drawn.lots).sum();
        let credited = self.proofs.drawn.keys().filter_map(|key| self.proofs.credited.get(key)).sum();
        vec![
            ("acknowledged", self.shares.values().filter(|(_, acknowledged)| *acknowledged).count() as u64),
            ("connections", counts.admitted),
            ("connections_banned", counts.turned_away),
            ("connections_ended_by_pool", counts.closed),
            ("wires_broken", self.tally.wires),
            ("submits_refused", counts.refused),
            ("submits_waited", counts.waited),
            ("submits_busy", counts.busy),
            ("submits_again", self.tally.again),
            ("hostile_lots", lots),
            ("hostile_credit", credited),
            ("block_wait_max_ms", u64::try_from(self.tally.waited_max.as_millis()).unwrap_or(u64::MAX)),
        ]
    }
}
