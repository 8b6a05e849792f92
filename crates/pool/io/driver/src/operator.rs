//! What a person decides, with a plain sentence of what will happen.

use bq_ledger::LedgerAccount;
use bq_pool_machine::{
    Act, CommitmentCheck, Decision, DecisionError, Event, Fault, PayoutEvent, Reason, State, plan_withdrawal,
};
use bq_primitives::Amount;

use crate::{PoolError, Refusal, adopt::Told, keeper::Keeper};

impl Keeper {
    /// Carries a decision out, or only says what it would do. Two people at once cannot decide the same twice: each decision is
    /// checked against the books as the one before left them.
    ///
    /// # Errors
    /// [`Refusal`]; nothing was changed.
    pub(crate) fn decide(&self, decision: &Decision, reason: &Reason, dry_run: bool) -> Result<String, Refusal> {
        if let Some((field, reason)) = reason.fault() {
            return Err(unfit(field, reason));
        }
        match decision {
            Decision::Withdraw { amount, .. }
            | Decision::WriteOff(amount)
            | Decision::WriteOffSuspense(amount)
            | Decision::ReleaseSuspense(amount)
            | Decision::FundReserve(amount)
            | Decision::ReleaseReserve(amount)
                if *amount == Amount::ZERO =>
            {
                return Err(unfit("amount", "must be at least 1 atom"));
            }
            _ => {}
        }
        let told = self.told_by(decision, reason)?;
        let mut trial = self.state.read().clone();
        let sentence = sentence(&trial, decision, told.events.last());
        for event in &told.events {
            trial.apply(event, &self.shares)?;
        }
        trial.check()?;
        if dry_run {
            return Ok(format!("Would do: {sentence}"));
        }
        // The state may have moved since: what is refused now changes nothing.
        let applied = self.tell_all(&told.events, told.row.into_iter().collect()).map_err(|error| match error {
            PoolError::Fault(fault) => Refusal::Fault(fault),
            other => Refusal::Pool(other),
        })?;
        tracing::warn!(who = reason.who, why = reason.why, event = %self.written().number, "operator: {sentence}");
        if matches!(decision, Decision::Recover | Decision::RecoverForced) {
            self.outside.lock().commitment = CommitmentCheck::Fine;
        }
        applied.iter().for_each(|applied| self.show_changes(applied));
        self.look_now.notify_one();
        Ok(sentence)
    }

    /// A withdrawal is a payout (SPEC 8.5.11): a copy that was put back may have forgotten the last one, and that one would go out as well.
    fn may_plan_payouts(&self) -> Result<(), Refusal> {
        if let Some(paused) = self.state.read().paused() {
            return Err(Refusal::State(format!("payouts are paused ({}): bq pool resume first", paused.reason)));
        }
        self.is_in_step()
    }

    /// What the chain says is heard whole before somebody decides what it leaves.
    fn is_in_step(&self) -> Result<(), Refusal> {
        if self.outside.lock().in_step {
            return Ok(());
        }
        let reason = "the books are not where the node is yet: wait until node_out_of_step is over";
        Err(Refusal::State(reason.to_owned()))
    }

    /// A log that lost its end does not know whom the pool owes: nothing of what it takes for its own leaves it, and nobody explains
    /// what a recovery is to find.
    fn knows_what_is_owed(&self) -> Result<(), Refusal> {
        let is_recovering = self.state.read().recovery().is_some_and(|recovery| recovery.open);
        if is_recovering || self.outside.lock().commitment != CommitmentCheck::Fine {
            let reason = "the log lost its end: what the pool owes is not known before it is restored or recovered";
            return Err(Refusal::State(reason.to_owned()));
        }
        Ok(())
    }

    fn told_by(&self, decision: &Decision, reason: &Reason) -> Result<Told, Refusal> {
        match decision {
            Decision::Pause | Decision::Resume | Decision::AdoptPayout(_) => {}
            Decision::Recover | Decision::RecoverForced => self.is_in_step()?,
            Decision::Withdraw { .. } => {
                self.knows_what_is_owed()?;
                self.may_plan_payouts()?;
            }
            Decision::AdoptWithdrawal(_)
            | Decision::AdoptRefill(_)
            | Decision::WriteOff(_)
            | Decision::WriteOffSuspense(_)
            | Decision::ReleaseSuspense(_)
            | Decision::FundReserve(_)
            | Decision::ReleaseReserve(_) => self.knows_what_is_owed()?,
        }
        let missing = self.state.read().books().balance(LedgerAccount::Missing);
        if matches!(decision, Decision::ReleaseSuspense(_)) && missing > 0 {
            let reason = "coins are missing: say first what spent them; what paid those whose rewards are held, is less of these";
            return Err(Refusal::State(reason.to_owned()));
        }
        let act = match decision {
            Decision::Withdraw { amount, to } => {
                if to.network != self.config.network {
                    return Err(unfit("address", format!("is of {}, this is {}", to.network, self.config.network)));
                }
                if self.owns(&to.key_hash) {
                    return Err(unfit("address", "is the pool's own"));
                }
                let planned = plan_withdrawal(&self.state.read(), to.key_hash, *amount, self.now_ms())?;
                return Ok(Event::Payout(PayoutEvent::Planned(planned)).into());
            }
            Decision::Pause => Act::Pause,
            Decision::Resume => Act::Resume,
            Decision::AdoptWithdrawal(txid) => Act::AdoptWithdrawal { txid: *txid },
            Decision::AdoptRefill(txid) => Act::AdoptRefill { txid: *txid },
            Decision::AdoptPayout(txid) => return self.named_adoption(txid, reason),
            Decision::WriteOff(amount) => Act::WriteOff { amount: *amount },
            Decision::WriteOffSuspense(amount) => Act::WriteOffSuspense { amount: *amount },
            Decision::ReleaseSuspense(amount) => Act::ReleaseSuspense { amount: *amount },
            Decision::FundReserve(amount) => Act::FundReserve { amount: *amount },
            Decision::ReleaseReserve(amount) => Act::ReleaseReserve { amount: *amount },
            Decision::Recover => match self.outside.lock().commitment {
                CommitmentCheck::Behind { seen } | CommitmentCheck::Differs { seen } => Act::Recover { seen },
                CommitmentCheck::Fine => {
                    let reason =
                        "the chain knows no longer log than this one; of an old copy that no block tells of, --forced";
                    return Err(Refusal::State(reason.to_owned()));
                }
            },
            // A block that says more is believed; without one the log is taken to have ended where it ends.
            Decision::RecoverForced => match self.outside.lock().commitment {
                CommitmentCheck::Behind { seen } | CommitmentCheck::Differs { seen } => Act::Recover { seen },
                CommitmentCheck::Fine => Act::Recover { seen: self.state.read().head() },
            },
        };
        Ok(Event::Operator(reason.to_operator(act, self.now_ms())).into())
    }
}

fn unfit(field: &'static str, reason: impl Into<String>) -> Refusal {
    Refusal::Value { field, reason: reason.into() }
}

/// What a refusal means to whoever decides: which value to change, if that helps.
pub(crate) fn refused(decision: &Decision, refusal: Refusal) -> DecisionError {
    let fault = match refusal {
        Refusal::Value { field, reason } => return DecisionError::Value { field, reason },
        Refusal::State(reason) => return DecisionError::State(reason),
        Refusal::Pool(error) => return DecisionError::Failed(error.to_string()),
        Refusal::Fault(fault) => fault,
    };
    let reason = fault.to_string();
    match (decision, &fault) {
        (
            Decision::Withdraw { .. }
            | Decision::WriteOff(_)
            | Decision::WriteOffSuspense(_)
            | Decision::ReleaseSuspense(_)
            | Decision::FundReserve(_)
            | Decision::ReleaseReserve(_),
            Fault::NotCovered { .. }
            | Fault::NotEarned { .. }
            | Fault::NotFree { .. }
            | Fault::Payout { .. }
            | Fault::Amount(_),
        ) => DecisionError::Value { field: "amount", reason },
        (
            Decision::AdoptWithdrawal(_) | Decision::AdoptRefill(_) | Decision::AdoptPayout(_),
            Fault::Operator(_) | Fault::NotCovered { .. } | Fault::NotEarned { .. } | Fault::Coin(_),
        ) => DecisionError::Value { field: "txid", reason },
        _ => DecisionError::State(reason),
    }
}

/// What will happen, in words.
fn sentence(state: &State, decision: &Decision, event: Option<&Event>) -> String {
    let balance = |account| Amount::from_atoms(state.books().balance(account)).unwrap_or(Amount::MAX);
    match decision {
        Decision::Pause => "no payout is planned until payouts are resumed; open ones go on".to_owned(),
        Decision::Resume => "payouts are planned again".to_owned(),
        Decision::Withdraw { amount, to } => {
            let fee = match event {
                Some(Event::Payout(PayoutEvent::Planned(planned))) => planned.network_fee,
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
        Decision::WriteOffSuspense(amount) => format!(
            "{amount} of {} missing coins paid those whose rewards are held in suspense ({} of which matured)",
            balance(LedgerAccount::Missing),
            Amount::from_atoms(state.matured_suspense()).unwrap_or(Amount::MAX)
        ),
        Decision::AdoptPayout(txid) => format!(
            "transaction {txid} counts as a payout to miners: what they are not owed stays missing; if it was paid out of what is \
             held in suspense, bq pool write-off --from suspense"
        ),
        Decision::Recover => format!(
            "the log goes on from event {}; forgotten payouts are looked for, and every coin of now is sent to the pool itself, before anybody is paid",
            state.head().number
        ),
        Decision::RecoverForced => format!(
            "the log is taken for an old copy whose later events no block of the pool tells of: it goes on from event {}; payouts \
             that it forgot are looked for on the chain, and every coin of now is sent to the pool itself, so that none that is still \
             under way can confirm, before anybody is paid",
            state.head().number
        ),
        Decision::FundReserve(amount) => format!(
            "{amount} coins of what the pool earned go to the reserve that pays shares for themselves, which holds {}",
            state.pps_reserve()
        ),
        Decision::ReleaseReserve(amount) => {
            format!("{amount} of {} coins of the reserve are the pool's own again", state.pps_reserve())
        }
        Decision::ReleaseSuspense(amount) => {
            format!(
                "{amount} of {} coins in suspense go to the seed, which pays what windows lack; beyond one full window it is the \
                 pool's own",
                balance(LedgerAccount::Suspense)
            )
        }
    }
}
