//! Payouts: plan, reserve, sign, store, send, confirm, finish. Every step is found again in the ledger after a crash and
//! continued from there; the transaction never changes once it is reserved.

use std::{cmp::Reverse, collections::HashSet, time::Instant};

use bq_chain_api::{Coin, SubmitTransactionError, TransactionStatus};
use bq_ledger::{LedgerError, PayoutPlan, PayoutTerms};
use bq_pool_store::{NewPayout, Payout, PayoutInput, PayoutState};
use bq_primitives::{AccountId, Amount, BlockWeight, Decoder, Height, OutPoint, Transaction, TxOut};
use bq_views::Event;

use crate::{PoolError, clock::Clock, core::Core, reconcile::Reconciliation};

impl Core {
    /// Moves every open payout as far as it goes now.
    pub(crate) fn advance_payouts(&self) -> Result<(), PoolError> {
        for payout in self.store.open_payouts()? {
            let id = payout.id;
            match self.advance_fully(payout) {
                Err(error) if error.is_transient() => tracing::warn!(payout = %id, %error, "a payout goes on later"),
                outcome => outcome?,
            }
        }
        Ok(())
    }

    fn advance_fully(&self, mut payout: Payout) -> Result<(), PoolError> {
        while let Some(next) = self.advance(&payout)? {
            self.tell_payout(&next);
            payout = next;
        }
        Ok(())
    }

    /// The next step of a payout; nothing when it has to wait.
    pub(crate) fn advance(&self, payout: &Payout) -> Result<Option<Payout>, PoolError> {
        match payout.state {
            PayoutState::Reserved => self.sign(payout).map(Some),
            PayoutState::Signed | PayoutState::Broadcast | PayoutState::Confirmed | PayoutState::Blocked => {
                self.follow(payout)
            }
            PayoutState::Final | PayoutState::Void => Ok(None),
        }
    }

    /// C7: the transaction is rebuilt from what was reserved, and must be the one that was reserved.
    fn sign(&self, payout: &Payout) -> Result<Payout, PoolError> {
        let planned = &payout.planned;
        let dues = planned.plan.payees.iter().map(|payee| (payee.account, payee.net)).collect::<Vec<_>>();
        let unsigned = self.transaction(&planned.inputs, &dues, planned.change)?;
        if unsigned.txid() != planned.txid {
            return Err(PoolError::Inconsistent(format!("payout {} does not rebuild to what was reserved", payout.id)));
        }
        let spent: Vec<TxOut> =
            planned.inputs.iter().map(|input| TxOut { amount: input.amount, key_hash: self.key_hash }).collect();
        let signed = self.signer.sign_transaction(&self.genesis, unsigned, &spent).map_err(PoolError::Signer)?;
        if signed.txid() != planned.txid {
            return Err(PoolError::Inconsistent(format!("the signer changed payout {}", payout.id)));
        }
        Ok(self.store.store_signed(payout.id, &signed.to_bytes())?)
    }

    /// Asks the chain where the transaction is, and sends the same bytes again until it is buried.
    fn follow(&self, payout: &Payout) -> Result<Option<Payout>, PoolError> {
        match self.node.transaction_status(&payout.planned.txid)? {
            TransactionStatus::Confirmed { confirmations, .. } if confirmations >= self.config.final_depth => {
                let last = self.store.finalize_payout(payout.id, Clock::unix_ms())?;
                tracing::info!(payout = %last.id, txid = %last.planned.txid, "payout is final");
                Ok(Some(last))
            }
            TransactionStatus::Confirmed { .. } => self.mark(payout, PayoutState::Confirmed),
            TransactionStatus::InMempool => self.mark(payout, PayoutState::Broadcast),
            TransactionStatus::Unknown => self.send(payout),
        }
    }

    fn send(&self, payout: &Payout) -> Result<Option<Payout>, PoolError> {
        let bytes = payout.signed.as_deref().unwrap_or_default();
        let mut decoder = Decoder::new(bytes);
        let transaction = Transaction::decode(&mut decoder)
            .map_err(|error| PoolError::Inconsistent(format!("stored bytes of payout {}: {error}", payout.id)))?;
        match self.node.submit_transaction(transaction) {
            Ok(_) | Err(SubmitTransactionError::Duplicate) => self.mark(payout, PayoutState::Broadcast),
            Err(SubmitTransactionError::Full) => {
                tracing::warn!(payout = %payout.id, "the mempool is full: the payout is sent again later");
                Ok(None)
            }
            Err(SubmitTransactionError::Invalid(reason)) => self.refused(payout, &reason.to_string()),
            Err(SubmitTransactionError::Node(error)) => Err(error.into()),
        }
    }

    /// The node does not take it. Amounts stay set aside unless it is proved that it can never confirm.
    fn refused(&self, payout: &Payout, reason: &str) -> Result<Option<Payout>, PoolError> {
        if self.can_never_confirm(payout)? {
            tracing::error!(payout = %payout.id, reason, "another transaction spent the coins for good: payout is void");
            return Ok(Some(self.store.void_payout(payout.id, Clock::unix_ms())?));
        }
        if payout.state != PayoutState::Blocked {
            tracing::error!(payout = %payout.id, txid = %payout.planned.txid, reason, "payout is blocked");
        }
        self.mark(payout, PayoutState::Blocked)
    }

    /// A buried transaction other than this one spends one of its inputs.
    fn can_never_confirm(&self, payout: &Payout) -> Result<bool, PoolError> {
        for input in &payout.planned.inputs {
            let Some(spender) = self.node.spender_of(&input.outpoint)? else { continue };
            if spender == payout.planned.txid {
                return Ok(false);
            }
            let status = self.node.transaction_status(&spender)?;
            if matches!(status, TransactionStatus::Confirmed { confirmations, .. } if confirmations >= self.config.final_depth)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn mark(&self, payout: &Payout, state: PayoutState) -> Result<Option<Payout>, PoolError> {
        if payout.state == state {
            return Ok(None);
        }
        let marked = self.store.mark_payout(payout.id, state)?;
        tracing::info!(payout = %payout.id, txid = %payout.planned.txid, state = state.name(), "payout moved");
        Ok(Some(marked))
    }

    /// Plans and reserves a payout if one is due and the books agree with the chain.
    pub(crate) fn plan_payout(&self, books: &Reconciliation) -> Result<Option<Payout>, PoolError> {
        let open = self.store.open_payouts()?;
        if books.delta != 0 || open.iter().any(|payout| payout.state == PayoutState::Blocked) {
            return Ok(None);
        }
        let reserved = open.iter().flat_map(|payout| &payout.planned.inputs).map(|input| input.outpoint).collect();
        let coins = self.choosable(&books.spendable, books.tip_height, &reserved);
        let available = sum(coins.iter().map(|coin| coin.output.amount))?.min(self.store.totals()?.chain_spendable);
        let terms =
            PayoutTerms { payout_min: self.config.payout_min, payees_max: self.config.payout_payees_max, available };
        let due = PayoutPlan::select(self.store.payable(terms.payout_min)?, &terms);
        let Some(payout) = self.compose(due, &coins)? else { return Ok(None) };
        let reserved = self.store.reserve_payout(&payout)?;
        tracing::info!(payout = %reserved.id, txid = %payout.txid, payees = payout.plan.payees.len(), "payout reserved");
        self.tell_payout(&reserved);
        Ok(Some(reserved))
    }

    /// Spendable coins, largest first, as many as one payout may spend.
    fn choosable(&self, coins: &[Coin], tip: Height, reserved: &HashSet<OutPoint>) -> Vec<Coin> {
        let is_mature = |coin: &Coin| {
            let confirmations = tip.above(coin.height).and_then(|above| above.checked_add(1));
            !coin.is_coinbase || confirmations.is_some_and(|confirmations| confirmations >= self.maturity)
        };
        let mut coins: Vec<Coin> =
            coins.iter().filter(|coin| is_mature(coin) && !reserved.contains(&coin.outpoint)).cloned().collect();
        coins.sort_by_key(|coin| (Reverse(coin.output.amount), coin.outpoint));
        coins.truncate(self.config.payout_inputs_max);
        coins
    }

    /// The payout of `due` with the fewest of `coins`; accounts whose part of the fee would eat their amount wait.
    fn compose(&self, mut due: Vec<(AccountId, Amount)>, coins: &[Coin]) -> Result<Option<NewPayout>, PoolError> {
        while !due.is_empty() {
            let total = sum(due.iter().map(|(_, amount)| *amount))?;
            let inputs = fewest(coins, total)?;
            let change = subtract(sum(inputs.iter().map(|input| input.amount))?, total)?;
            let sketch = self.transaction(&inputs, &due, change)?;
            let fee = self.network_fee(&sketch)?;
            let plan = match PayoutPlan::new(due.clone(), fee) {
                Ok(plan) => plan,
                Err(LedgerError::FeeAboveAmount { account, .. }) => {
                    due.retain(|(other, _)| *other != account);
                    continue;
                }
                Err(error) => return Err(PoolError::Inconsistent(error.to_string())),
            };
            let nets: Vec<_> = plan.payees.iter().map(|payee| (payee.account, payee.net)).collect();
            let txid = self.transaction(&inputs, &nets, change)?.txid();
            return Ok(Some(NewPayout { plan, inputs, change, txid, time_ms: Clock::unix_ms() }));
        }
        Ok(None)
    }

    /// The unsigned transaction: one output per payee in account order, then the change.
    fn transaction(
        &self,
        inputs: &[PayoutInput],
        payees: &[(AccountId, Amount)],
        change: Amount,
    ) -> Result<Transaction, PoolError> {
        let mut outputs = Vec::with_capacity(payees.len() + 1);
        for (account, amount) in payees {
            let address = self
                .store
                .address_of(*account)?
                .ok_or_else(|| PoolError::Inconsistent(format!("account {account} has no address")))?;
            outputs.push(TxOut { amount: *amount, key_hash: address.key_hash });
        }
        if change > Amount::ZERO {
            outputs.push(TxOut { amount: change, key_hash: self.key_hash });
        }
        Ok(Transaction {
            version: 1,
            inputs: inputs.iter().map(|input| input.outpoint).collect(),
            outputs,
            lock_height: Height::GENESIS,
            coinbase_data: Vec::new(),
            witnesses: Vec::new(),
        })
    }

    /// Rate times weight, rounded up.
    fn network_fee(&self, unsigned: &Transaction) -> Result<Amount, PoolError> {
        let overflow = || PoolError::Inconsistent("the network fee leaves its range".to_owned());
        let weight = BlockWeight::of(unsigned.base_len(), unsigned.inputs.len()).map_err(|_| overflow())?;
        let thousandths = weight.units().checked_mul(self.config.fee_rate).ok_or_else(overflow)?;
        Amount::from_atoms(thousandths.div_ceil(1000)).map_err(|_| overflow())
    }

    fn tell_payout(&self, payout: &Payout) {
        let payees = &payout.planned.plan.payees;
        self.tell(Event::Payout {
            txid: payout.planned.txid.to_string(),
            amount: sum(payees.iter().map(|payee| payee.net)).unwrap_or_default().into(),
            payees: payees.len(),
            state: payout.state.name().to_owned(),
        });
    }

    /// Whether the pause since the last payout is over.
    pub(crate) fn payout_is_due(&self, last: Option<Instant>) -> bool {
        last.is_none_or(|last| last.elapsed() >= self.config.payout_interval)
    }
}

/// As many of `coins`, which are sorted, as reach `total`.
fn fewest(coins: &[Coin], total: Amount) -> Result<Vec<PayoutInput>, PoolError> {
    let mut inputs = Vec::new();
    let mut worth = Amount::ZERO;
    for coin in coins {
        if worth >= total {
            break;
        }
        worth = sum([worth, coin.output.amount])?;
        inputs.push(PayoutInput { outpoint: coin.outpoint, amount: coin.output.amount });
    }
    Ok(inputs)
}

fn sum(amounts: impl IntoIterator<Item = Amount>) -> Result<Amount, PoolError> {
    Amount::sum(amounts).map_err(|error| PoolError::Inconsistent(error.to_string()))
}

fn subtract(from: Amount, less: Amount) -> Result<Amount, PoolError> {
    from.checked_sub(less).map_err(|error| PoolError::Inconsistent(error.to_string()))
}
