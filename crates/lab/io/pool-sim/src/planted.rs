//! Wrong parts inside the books: the machine's rules with one mistake each, and a sender that thinks for itself.

use std::{
    collections::BTreeSet,
    ops::{ControlFlow, Range},
};

use bq_mining_message::{FrontEndId, SharePay, SharePosition, SharePrice, ShareSequence};
use bq_pool::Rules;
use bq_pool_machine::{
    Accounts, Applied, Command, EarnedShare, Event, Fault, Outside, PayoutEvent, PayoutState, PerShareEvent, Shares,
    SharesError, State, VoidProof,
};
use bq_primitives::{Algorithm, NetworkDifficulty, Transaction, TxId};

use crate::{Planted, PoolPlan, chain::Chain, signer::POOL, slow};

/// The machine's rules, or wrong ones. Where accounts are paid by many schemes a slow model looks at every event.
pub(crate) fn rules(plan: &PoolPlan) -> Rules {
    let machine = match plan.schemes {
        true => Rules { apply: |state, event, shares| slow::apply(state, event, (shares, shares)), ..Rules::MACHINE },
        false => Rules::MACHINE,
    };
    match plan.planted {
        Some(Planted::WindowOffByOne) => Rules { apply: apply_off_by_one, ..machine },
        Some(Planted::ReleasedOnTimeOut) => Rules { next: release_on_time_out, ..machine },
        Some(Planted::BegunAtOnce) => Rules { next: begin_at_once, ..machine },
        Some(Planted::NeverEnded) => Rules { next: never_end, ..machine },
        Some(Planted::PerShareWithoutFee) => Rules {
            apply: |state, event, shares| slow::apply(state, event, (&Wrong(shares, without_fee), shares)),
            ..machine
        },
        Some(Planted::SettledTwice) => {
            Rules { apply: |state, event, shares| slow::apply(state, event, (&OneMore(shares), shares)), ..machine }
        }
        Some(Planted::TidesDifficulty) => Rules {
            apply: |state, event, shares| slow::apply(state, event, (&Wrong(shares, twice_as_hard), shares)),
            ..machine
        },
        Some(Planted::WindowCountsOthers) => Rules {
            apply: |state, event, shares| slow::apply(state, event, (&Wrong(shares, of_the_window), shares)),
            ..machine
        },
        _ => machine,
    }
}

fn begin_at_once(state: &State, outside: &Outside) -> Result<Vec<Command>, Fault> {
    let mut commands = (Rules::MACHINE.next)(state, outside)?;
    if state.offer().pays_per_share() && !state.pays_per_share() {
        commands.insert(0, Command::Append(Event::PerShare(PerShareEvent::Begun)));
    }
    Ok(commands)
}

fn never_end(state: &State, outside: &Outside) -> Result<Vec<Command>, Fault> {
    let mut commands = (Rules::MACHINE.next)(state, outside)?;
    commands.retain(|command| !matches!(command, Command::Append(Event::PerShare(PerShareEvent::Ended))));
    Ok(commands)
}

fn without_fee(share: EarnedShare, _is_first: bool) -> EarnedShare {
    match share.pay {
        SharePay::PerShare(price) => {
            EarnedShare { pay: SharePay::PerShare(SharePrice { fee_bp: 0, ..price }), ..share }
        }
        _ => share,
    }
}

fn twice_as_hard(share: EarnedShare, _is_first: bool) -> EarnedShare {
    let network_difficulty = NetworkDifficulty::from_hashes(2 * share.network_difficulty.hashes());
    EarnedShare { network_difficulty, ..share }
}

/// But for the one that found the block.
const fn of_the_window(share: EarnedShare, is_first: bool) -> EarnedShare {
    match share.pay {
        SharePay::PerShare(_) if !is_first => EarnedShare { pay: SharePay::Window, ..share },
        _ => share,
    }
}

/// Shares that are not what they are.
struct Wrong<'a>(&'a dyn Shares, fn(EarnedShare, bool) -> EarnedShare);

impl Shares for Wrong<'_> {
    fn walk_back(
        &self,
        algorithm: Algorithm,
        from: SharePosition,
        accounts: &Accounts,
        each: &mut dyn FnMut(&EarnedShare) -> ControlFlow<()>,
    ) -> Result<(), SharesError> {
        let mut is_first = true;
        let mut wrong = |share: &EarnedShare| each(&self.1(*share, std::mem::take(&mut is_first)));
        self.0.walk_back(algorithm, from, accounts, &mut wrong)
    }

    fn walk(
        &self,
        front_end: FrontEndId,
        range: Range<ShareSequence>,
        accounts: &Accounts,
        each: &mut dyn FnMut(&EarnedShare),
    ) -> Result<(), SharesError> {
        self.0.walk(front_end, range, accounts, &mut |share| each(&self.1(*share, true)))
    }
}

/// Settles the share before once more.
struct OneMore<'a>(&'a dyn Shares);

impl Shares for OneMore<'_> {
    fn walk_back(
        &self,
        algorithm: Algorithm,
        from: SharePosition,
        accounts: &Accounts,
        each: &mut dyn FnMut(&EarnedShare) -> ControlFlow<()>,
    ) -> Result<(), SharesError> {
        self.0.walk_back(algorithm, from, accounts, each)
    }

    fn walk(
        &self,
        front_end: FrontEndId,
        range: Range<ShareSequence>,
        accounts: &Accounts,
        each: &mut dyn FnMut(&EarnedShare),
    ) -> Result<(), SharesError> {
        let first = ShareSequence(range.start.0.saturating_sub(1)).max(ShareSequence::FIRST);
        self.0.walk(front_end, first..range.end, accounts, each)
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
