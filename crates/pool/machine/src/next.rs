use bq_ledger::LedgerAccount;
use bq_primitives::BlockId;

use crate::{
    BlockState, CommitmentCheck, Event, Fault, Payout, PayoutEvent, PayoutId, PayoutState, PlannedPayout, State,
    plan_consolidation, plan_fence, plan_payout, plan_replacement,
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
    /// How the pool looks after its coins and payouts.
    pub upkeep: Upkeep,
}

/// What the pool does beyond what its terms promise: settings of the process that plans, no part of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upkeep {
    /// With more free coins than this, small ones are joined.
    pub coins_max: u32,
    /// A payout that no block has after so many is replaced by one with a higher fee; 0 for never.
    pub replace_after: u32,
    /// As many times the fee of the terms as a replacement pays at most.
    pub fees_max: u32,
    /// With a cold key: payout intervals for which the float should hold coins at most; 0 for no bound.
    pub float_intervals: u32,
    /// What a block takes on average, in milliseconds: how much is earned in an interval follows from it.
    pub block_ms: u64,
}

impl Upkeep {
    /// As little as can be.
    pub const LEAST: Self =
        Self { coins_max: u32::MAX, replace_after: 0, fees_max: 0, float_intervals: 0, block_ms: 0 };
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
            commands.push(match replacement(state, payout, outside)? {
                Some(planned) => Command::Append(Event::Payout(PayoutEvent::Replaced(planned))),
                None => Command::Send(id),
            });
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

/// What takes the place of a payout that waits for too long. Not where the books may not know yet that a block has it.
fn replacement(state: &State, payout: &Payout, outside: &Outside) -> Result<Option<PlannedPayout>, Fault> {
    if outside.in_step { plan_replacement(state, payout, &outside.upkeep) } else { Ok(None) }
}

/// The next payout, if nothing forbids one.
fn plan(state: &State, outside: &Outside) -> Result<Option<PlannedPayout>, Fault> {
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
    let consolidation = || plan_consolidation(state, outside.upkeep.coins_max, outside.now_ms);
    // Once a round before all others: where somebody is always due, coins become fewer all the same.
    if begins_round(state, outside.now_ms)
        && let Some(planned) = consolidation()?
    {
        return Ok(Some(planned));
    }
    match plan_payout(state, outside.now_ms)? {
        None => consolidation(),
        planned => Ok(planned),
    }
}

/// Whether what the books hold for miners may be paid, by a payout or by a coinbase (SPEC 8.5.11, 8.8.3), but for the place of the
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
    begins_round(state, now_ms) || state.round().payouts < terms.round_payouts_max
}

/// The next payout is the first of its round.
fn begins_round(state: &State, now_ms: u64) -> bool {
    let interval_ms = state.terms().map_or(0, |terms| terms.payouts.interval_ms);
    let round = state.round();
    // A clock that went back must not stop payouts until it caught up.
    let elapsed = now_ms.checked_sub(round.started_ms);
    round.payouts == 0 || elapsed.is_none_or(|elapsed| elapsed >= interval_ms)
}
