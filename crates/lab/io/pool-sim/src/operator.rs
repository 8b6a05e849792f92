//! A person who looks at the pool now and then, does what it asks for, and errs.

use bq_ledger::LedgerAccount;
use bq_pool::{Decision, Reason};
use bq_primitives::{Address, KeyHash, TxId};

use crate::{
    node::NETWORK,
    world::{World, atoms},
};

/// Where withdrawals go.
const OWNER: KeyHash = KeyHash([0xdd; 32]);

impl World {
    /// Does what the conditions ask for.
    pub(crate) fn operator_looks(&mut self) {
        let Some(pool) = &self.pool else { return };
        let names: Vec<&str> = pool.conditions().into_iter().map(|condition| condition.name).collect();
        let missing = pool.look(|state| state.books().balance(LedgerAccount::Missing));
        if names.contains(&"log_behind_chain") {
            self.decide(&Decision::Recover);
            self.doubts_books = false;
        }
        // Forgotten payouts are found first: what they spent is not missing.
        let is_settled =
            !names.iter().any(|name| ["recovering", "log_behind_chain", "node_out_of_step"].contains(name));
        if names.contains(&"coins_missing") && missing > 0 && is_settled && self.doubts_books {
            // No block tells of the lost end any more, but who put old books back knows.
            self.decide(&Decision::RecoverForced);
            self.doubts_books = false;
        } else if names.contains(&"coins_missing") && missing > 0 && is_settled {
            // A slip of the finger first.
            self.decide(&Decision::WriteOff(atoms(missing.saturating_mul(10))));
            self.decide(&Decision::WriteOff(atoms(missing)));
            self.is_short = true;
        }
        if names.contains(&"paused") {
            self.decide(&Decision::Resume);
        }
    }

    /// Does something of their own accord, sometimes nonsense.
    pub(crate) fn operator_acts(&mut self) {
        let to = Address { network: NETWORK, key_hash: OWNER };
        let amount = self.rng.between(1, 100_000_000);
        let decision = match self.below(6) {
            0 => Decision::Pause,
            1 => Decision::Resume,
            2 | 3 => Decision::Withdraw { amount: atoms(amount), to },
            4 => Decision::AdoptRefill(TxId([7; 32])),
            _ => Decision::WriteOff(atoms(amount)),
        };
        self.decide(&decision);
    }

    pub(crate) fn decide(&mut self, decision: &Decision) {
        let reason = Reason { who: "a person".to_owned(), why: "it seemed right".to_owned() };
        let Some(pool) = &self.pool else { return };
        let sentence = match pool.decide(decision, &reason, false) {
            Ok(sentence) => format!("the operator decides: {sentence}"),
            Err(refusal) => format!("the operator is refused: {refusal}"),
        };
        self.tell(sentence);
    }
}
