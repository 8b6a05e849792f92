//! What a person decides, with a plain sentence of what will happen.

use bq_ledger::LedgerAccount;
use bq_pool_machine::{Act, CommitmentCheck, Event, Operator, PayoutEvent, State, plan_withdrawal};
use bq_primitives::{Address, Amount, TxId};

use crate::{PoolError, Refusal, keeper::Keeper};

/// A decision as a person words it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// No payout is planned any more.
    Pause,
    /// They are planned again.
    Resume,
    /// What the pool earned is sent to an address; the network fee is part of the amount.
    Withdraw {
        /// How much.
        amount: Amount,
        /// To whom.
        to: Address,
    },
    /// A transaction outside the books was a withdrawal of what the pool earned.
    AdoptWithdrawal(TxId),
    /// A stranger's transaction makes good for missing coins.
    AdoptRefill(TxId),
    /// Missing coins are given up, at the pool's cost.
    WriteOff(Amount),
    /// The log lost its end: go on with what there is.
    Recover,
    /// What is held in suspense goes to the seed of the windows.
    ReleaseSuspense(Amount),
}

/// Who decides, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Who says so.
    pub who: String,
    /// Why; not empty.
    pub why: String,
}

impl Keeper {
    /// Carries a decision out, or only says what it would do. Two people at once cannot decide the same twice: each decision is
    /// checked against the books as the one before left them.
    ///
    /// # Errors
    /// [`Refusal`]; nothing was changed.
    pub(crate) fn decide(&self, decision: &Decision, reason: &Reason, dry_run: bool) -> Result<String, Refusal> {
        if reason.why.trim().is_empty() {
            return Err(Refusal::Unfit("reason: must not be empty".to_owned()));
        }
        let event = self.event_of(decision, reason)?;
        let mut trial = self.state.read().clone();
        let sentence = sentence(&trial, decision, &event);
        trial.apply(&event, &self.shares)?;
        trial.check()?;
        if dry_run {
            return Ok(format!("Would do: {sentence}"));
        }
        // The state may have moved since: what is refused now changes nothing.
        let applied = self.tell(&event, Vec::new()).map_err(|error| match error {
            PoolError::Fault(fault) => Refusal::Fault(fault),
            other => Refusal::Pool(other),
        })?;
        tracing::warn!(who = reason.who, why = reason.why, event = %applied.head.number, "operator: {sentence}");
        if matches!(decision, Decision::Recover) {
            self.outside.lock().commitment = CommitmentCheck::Fine;
        }
        self.show_changes(&applied);
        self.look_now.notify_one();
        Ok(sentence)
    }

    fn event_of(&self, decision: &Decision, reason: &Reason) -> Result<Event, Refusal> {
        let act = match decision {
            Decision::Withdraw { amount, to } => {
                if to.network != self.config.network {
                    return Err(Refusal::Unfit(format!("address: of {}, this is {}", to.network, self.config.network)));
                }
                let planned = plan_withdrawal(&self.state.read(), to.key_hash, *amount, self.now_ms())?;
                return Ok(Event::Payout(PayoutEvent::Planned(planned)));
            }
            Decision::Pause => Act::Pause,
            Decision::Resume => Act::Resume,
            Decision::AdoptWithdrawal(txid) => Act::AdoptWithdrawal { txid: *txid },
            Decision::AdoptRefill(txid) => Act::AdoptRefill { txid: *txid },
            Decision::WriteOff(amount) => Act::WriteOff { amount: *amount },
            Decision::ReleaseSuspense(amount) => Act::ReleaseSuspense { amount: *amount },
            Decision::Recover => match self.outside.lock().commitment {
                CommitmentCheck::Behind { seen } | CommitmentCheck::Differs { seen } => Act::Recover { seen },
                CommitmentCheck::Fine => {
                    return Err(Refusal::Unfit("the chain knows no longer log than this one".to_owned()));
                }
            },
        };
        Ok(Event::Operator(Operator {
            act,
            who: reason.who.clone(),
            reason: reason.why.clone(),
            time_ms: self.now_ms(),
        }))
    }
}

/// What will happen, in words.
fn sentence(state: &State, decision: &Decision, event: &Event) -> String {
    let balance = |account| Amount::from_atoms(state.books().balance(account)).unwrap_or(Amount::MAX);
    match decision {
        Decision::Pause => "no payout is planned until payouts are resumed; open ones go on".to_owned(),
        Decision::Resume => "payouts are planned again".to_owned(),
        Decision::Withdraw { amount, to } => {
            let fee = match event {
                Event::Payout(PayoutEvent::Planned(planned)) => planned.network_fee,
                _ => Amount::ZERO,
            };
            format!("{amount} coins of what the pool earned leave it: {to} gets them less a network fee of {fee}")
        }
        Decision::AdoptWithdrawal(txid) => {
            format!("the coins that transaction {txid} took count as a withdrawal of what the pool earned")
        }
        Decision::AdoptRefill(txid) => {
            format!(
                "what transaction {txid} sent makes good for missing coins ({} are missing)",
                balance(LedgerAccount::Missing)
            )
        }
        Decision::WriteOff(amount) => {
            format!("{amount} of {} missing coins are given up at the pool's cost", balance(LedgerAccount::Missing))
        }
        Decision::Recover => format!(
            "the log goes on from event {}; forgotten payouts are looked for, and every coin of now is sent to the pool itself, before anybody is paid",
            state.head().number
        ),
        Decision::ReleaseSuspense(amount) => {
            format!("{amount} of {} coins in suspense go to the seed", balance(LedgerAccount::Suspense))
        }
    }
}
