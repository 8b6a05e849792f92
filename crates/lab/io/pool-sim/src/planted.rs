//! Wrong parts inside the books: the machine's rules with one mistake each, and a sender that thinks for itself.

use std::{
    collections::BTreeSet,
    ops::{ControlFlow, Range},
};

use bq_mining_message::{FrontEndId, SharePosition, ShareSequence};
use bq_pool::Rules;
use bq_pool_machine::{
    Accounts, Applied, Command, EarnedShare, Event, Fault, Outside, PayoutEvent, PayoutState, Shares, SharesError,
    State, VoidProof,
};
use bq_primitives::{Algorithm, Transaction, TxId};

use crate::{Planted, chain::Chain, signer::POOL};

/// The machine's rules, or wrong ones.
pub(crate) fn rules(planted: Option<Planted>) -> Rules {
    match planted {
        Some(Planted::WindowOffByOne) => Rules { apply: apply_off_by_one, ..Rules::MACHINE },
        Some(Planted::ReleasedOnTimeOut) => Rules { next: release_on_time_out, ..Rules::MACHINE },
        _ => Rules::MACHINE,
    }
}

/// A payout that did not confirm for this long is given up.
const TIME_OUT_MS: u64 = 2 * 3_600_000;

/// Gives credit back because time passed: the payout may still confirm.
fn release_on_time_out(state: &State, outside: &Outside) -> Result<Vec<Command>, Fault> {
    let mut commands = (Rules::MACHINE.next)(state, outside)?;
    let late = state.payouts().filter(|payout| {
        let waited = outside.now_ms.saturating_sub(payout.planned.time_ms);
        payout.state == PayoutState::Signed && !payout.is_confirmed() && waited > TIME_OUT_MS
    });
    let void = late.filter_map(|payout| {
        let proof = VoidProof::SpentElsewhere(payout.planned.inputs.first()?.outpoint);
        Some(Command::Append(Event::Payout(PayoutEvent::Void { payout: payout.planned.id, proof })))
    });
    commands.splice(0..0, void.collect::<Vec<_>>());
    Ok(commands)
}

fn apply_off_by_one(state: &mut State, event: &Event, shares: &dyn Shares) -> Result<Applied, Fault> {
    state.apply(event, &OffByOne(shares))
}

/// Windows that begin with the share before the one that they should begin with.
struct OffByOne<'a>(&'a dyn Shares);

impl Shares for OffByOne<'_> {
    fn walk_back(
        &self,
        algorithm: Algorithm,
        from: SharePosition,
        accounts: &Accounts,
        each: &mut dyn FnMut(&EarnedShare) -> ControlFlow<()>,
    ) -> Result<(), SharesError> {
        let sequence = ShareSequence(from.sequence.0.saturating_sub(1));
        self.0.walk_back(algorithm, SharePosition { sequence, ..from }, accounts, each)
    }

    fn walk(
        &self,
        front_end: FrontEndId,
        range: Range<ShareSequence>,
        accounts: &Accounts,
        each: &mut dyn FnMut(&EarnedShare),
    ) -> Result<(), SharesError> {
        self.0.walk(front_end, range, accounts, each)
    }
}

/// Makes a payment anew, out of other coins, when it is to be sent again.
#[derive(Debug, Default)]
pub(crate) struct Resender {
    sent: BTreeSet<TxId>,
}

impl Resender {
    /// What is sent in the place of a transaction.
    pub(crate) fn send(&mut self, chain: &Chain, transaction: Transaction) -> Transaction {
        if self.sent.insert(transaction.txid()) {
            return transaction;
        }
        let needed: u64 = transaction.outputs.iter().map(|output| output.amount.atoms()).sum();
        let is_fit = |coin: &&bq_chain_api::Coin| {
            coin.output.key_hash == POOL
                && coin.output.amount.atoms() >= needed
                && !transaction.inputs.contains(&coin.outpoint)
                && chain.is_spendable(coin)
        };
        match chain.coins().values().find(is_fit) {
            Some(coin) => {
                let witnesses = transaction.witnesses.iter().take(1).cloned().collect();
                Transaction { inputs: vec![coin.outpoint], witnesses, ..transaction }
            }
            None => transaction,
        }
    }
}
