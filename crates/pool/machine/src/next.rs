use bq_ledger::LedgerAccount;
use bq_primitives::BlockId;

use crate::{
    BlockState, CommitmentCheck, Event, Fault, PayoutEvent, PayoutId, PayoutState, State, plan_fence, plan_payout,
};

/// What is to be done. Every command follows from the state, so a crash forgets none, and none is repeated with another
/// content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Hand a block to the node again: it is on no chain that the log was told of.
    Submit(BlockId),
    /// Append an event.
    Append(Event),
    /// Sign the transaction of a payout, store the bytes and append that it is signed.
    Sign(PayoutId),
    /// Send the stored bytes of a payout (again).
    Send(PayoutId),
}

/// What the state cannot know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outside {
    /// Milliseconds since 1970.
    pub now_ms: u64,
    /// The node's best chain ends where the log's does.
    pub in_step: bool,
    /// The node's coins of the pool's key are the state's.
    pub coins_match: bool,
    /// The worst that a commitment on the chain says of the log.
    pub commitment: CommitmentCheck,
}

/// What is to be done now, most urgent first. After an [`Command::Append`] the rest is out of date: ask again.
///
/// # Errors
/// The books contradict themselves.
pub fn next(state: &State, outside: &Outside) -> Result<Vec<Command>, Fault> {
    let mut commands: Vec<Command> = state
        .blocks()
        .filter(|block| block.state == BlockState::Found)
        .map(|block| Command::Submit(block.candidate.id))
        .collect();
    for payout in state.payouts() {
        let id = payout.planned.id;
        if let Some(proof) = state.void_proof(payout) {
            commands.push(Command::Append(Event::Payout(PayoutEvent::Void { payout: id, proof })));
        } else if payout.state == PayoutState::Planned {
            commands.push(Command::Sign(id));
        } else if payout.state == PayoutState::Signed && !payout.is_confirmed() {
            commands.push(Command::Send(id));
        }
    }
    if outside.in_step {
        commands.extend(state.per_share_turn().map(Command::Append));
    }
    if let Some(planned) = plan(state, outside)? {
        commands.push(Command::Append(Event::Payout(PayoutEvent::Planned(planned))));
    }
    Ok(commands)
}

/// The next payout, if nothing forbids one.
fn plan(state: &State, outside: &Outside) -> Result<Option<crate::PlannedPayout>, Fault> {
    if !outside.in_step || !outside.coins_match {
        return Ok(None);
    }
    // Fences are no payment to anybody: they end a recovery, or a payout that lost a gift, also of a pool that is paused.
    let fence = plan_fence(state, outside.now_ms)?;
    if fence.is_some() || state.recovery().is_some_and(|recovery| recovery.open) {
        return Ok(fence);
    }
    if !pays_balances(state, outside) || !round_has_room(state, outside.now_ms) {
        return Ok(None);
    }
    plan_payout(state, outside.now_ms)
}

/// Whether what the books hold for miners may be paid, by a payout or by a coinbase (SPEC 8.5.10, 8.8.3), but for the place of the
/// chain where they stand.
#[must_use]
pub fn pays_balances(state: &State, outside: &Outside) -> bool {
    outside.coins_match
        && outside.commitment == CommitmentCheck::Fine
        && state.paused().is_none()
        && state.recovery().is_none_or(|recovery| !recovery.open)
        && state.books().balance(LedgerAccount::Missing) == 0
}

/// A round began less than the interval ago and has transactions left, or the next one may begin.
fn round_has_room(state: &State, now_ms: u64) -> bool {
    let Some(terms) = state.terms().map(|terms| terms.payouts) else { return false };
    let round = state.round();
    // A clock that went back must not stop payouts until it caught up.
    let elapsed = now_ms.checked_sub(round.started_ms);
    let is_over = elapsed.is_none_or(|elapsed| elapsed >= terms.interval_ms);
    round.payouts == 0 || is_over || round.payouts < terms.round_payouts_max
}
