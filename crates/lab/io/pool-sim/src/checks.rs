//! What must hold after every step, and in the end.

use std::collections::{BTreeMap, BTreeSet};

use bq_ledger::LedgerAccount;
use bq_mining_message::{Share, ShareSequence};
use bq_pool_machine::{Candidate, PayoutKind, PayoutState, Winning};
use bq_primitives::{Amount, BlockId, Height, KeyHash, OutPoint, TxId};

use crate::{
    chain::MATURITY,
    model::{FEE, Model, Start},
    signer::POOL,
    slow,
    world::{PARTIES, PAYOUT_MIN, World, is_miner},
};

/// Coins from strangers below this are left alone.
const GIFT_MIN: u64 = 100_000;

impl World {
    /// Notes which blocks the books hold as mature: what those earned stays earned.
    pub(crate) fn observe(&mut self) {
        let Some(pool) = &self.pool else { return };
        let net = self.net.lock();
        let known: Vec<Candidate> = pool.look(|state| {
            let Some(tip) = state.tip() else { return Vec::new() };
            let Some(mut at) = net.ours.block(&tip.id) else { return Vec::new() };
            let mut found = Vec::new();
            while at.header.height > Height(0) {
                let depth = tip.height.0 - at.header.height.0 + 1;
                let candidate = state.block(&at.id()).map(|block| block.candidate.clone());
                found.extend(candidate.filter(|_| depth >= MATURITY));
                match net.ours.block(&at.header.parent_id) {
                    Some(parent) => at = parent,
                    None => break,
                }
            }
            found
        });
        drop(net);
        self.matured_unwritten.extend(known.into_iter().map(|candidate| (candidate.id, candidate)));
        if !self.death.is_full() {
            self.matured.append(&mut self.matured_unwritten);
        }
    }

    /// I1 to I7, and the books' coins against the chain's whenever both stand at the same block.
    pub(crate) fn check_step(&self) -> Result<(), String> {
        let Some(pool) = &self.pool else { return Ok(()) };
        pool.look(|state| state.check()).map_err(|fault| fault.to_string())?;
        if let Some(said) = slow::said() {
            return Err(said);
        }
        let stopped = pool.conditions().into_iter().find(|condition| condition.name == "books_stopped");
        if let Some(stopped) = stopped {
            return Err(format!("the books stopped: {}", stopped.reason));
        }
        let net = self.net.lock();
        let is_in_step = pool.look(|state| state.tip().is_some_and(|tip| tip.id == net.ours.tip().id()));
        if !is_in_step {
            return Ok(());
        }
        let worth_keeping = |amount: Amount| amount.atoms() >= GIFT_MIN;
        let on_chain: BTreeSet<OutPoint> = net
            .ours
            .coins()
            .values()
            .filter(|coin| coin.output.key_hash == POOL && worth_keeping(coin.output.amount))
            .map(|coin| coin.outpoint)
            .collect();
        let in_books: BTreeSet<OutPoint> = pool.look(|state| {
            let unspent = state.coins().filter(|(_, coin)| coin.spent.is_none() && worth_keeping(coin.amount));
            unspent.map(|(outpoint, _)| outpoint).collect()
        });
        if in_books != on_chain {
            let other = in_books.symmetric_difference(&on_chain).next();
            return Err(format!("books and chain differ in a coin: {other:?}"));
        }
        drop(net);
        self.check_spends()
    }

    /// Whatever spends a coin of the pool is a payout of the books or a theft: nothing is paid beside them.
    fn check_spends(&self) -> Result<(), String> {
        let Some(pool) = &self.pool else { return Ok(()) };
        let is_recovering = pool.look(|state| state.recovery().is_some_and(|recovery| recovery.open));
        // A reorganisation may take the block that told of the lost end, and a power cut what was heard of it: then the coins that
        // a forgotten payout spent are what stops payouts.
        let is_stopped = self.doubts_books && self.holds("coins_missing");
        if is_recovering || self.holds("log_behind_chain") || is_stopped || !self.has_looked {
            return Ok(());
        }
        let payouts: BTreeSet<TxId> = pool.look(|state| state.payouts().map(|payout| payout.planned.txid).collect());
        let net = self.net.lock();
        for transaction in net.ours.transactions().filter(|transaction| !transaction.is_coinbase()) {
            let pays = transaction.outputs.iter().any(|output| is_miner(&output.key_hash));
            if pays && !payouts.contains(&transaction.txid()) {
                return Err(format!("transaction {} pays miners and is not in the books", transaction.txid()));
            }
        }
        Ok(())
    }

    fn holds(&self, name: &str) -> bool {
        let conditions = self.pool.as_ref().map(bq_pool::DrivenPool::conditions).unwrap_or_default();
        conditions.iter().any(|condition| condition.name == name)
    }

    /// No acknowledged share is lost, doubled or changed; power may take those that the books were not told of.
    pub(crate) fn check_shares(&self, told_before_power_cut: Option<ShareSequence>) -> Result<(), String> {
        let Some(pool) = &self.pool else { return Ok(()) };
        let log = pool.shares().map_err(|error| error.to_string())?;
        let mut seen = BTreeSet::new();
        for (sequence, share) in &log {
            let Some((sent, _)) = self.shares.get(&share.time_ms) else {
                return Err(format!("share {sequence} was never handed on"));
            };
            if sent != share {
                return Err(format!("share {sequence} is not what was handed on"));
            }
            if !seen.insert(share.time_ms) {
                return Err(format!("share {sequence} is in the log twice"));
            }
        }
        if let Some(told) = told_before_power_cut {
            let next = log.last().map_or(ShareSequence::FIRST, |(last, _)| last.next());
            return if next < told {
                Err(format!("the books were told up to {told}, the log ends at {next}"))
            } else {
                Ok(())
            };
        }
        let lost = self.shares.iter().find(|(serial, (_, acknowledged))| {
            *acknowledged && !self.lost_to_power.contains(serial) && !seen.contains(*serial)
        });
        match lost {
            Some((serial, _)) => Err(format!("acknowledged share {serial} is lost")),
            None => Ok(()),
        }
    }

    /// Shares that power took: acknowledged, and neither synced nor told.
    pub(crate) fn note_lost_to_power(&mut self) {
        let Some(Ok(log)) = self.pool.as_ref().map(bq_pool::DrivenPool::shares) else { return };
        let kept: BTreeSet<u64> = log.iter().map(|(_, share)| share.time_ms).collect();
        let lost = self.shares.keys().filter(|serial| !kept.contains(serial)).copied();
        self.lost_to_power.extend(lost.collect::<Vec<_>>());
    }

    /// Faults end, and strangers mine quiet blocks, until nothing is left to be done.
    pub(crate) fn calm_down(&mut self) -> Result<(), String> {
        self.tell("all faults end");
        self.death.disarm();
        self.death.set_full(false);
        self.speed.set_slow(std::time::Duration::ZERO);
        {
            let mut net = self.net.lock();
            net.is_linked = true;
            net.is_down = false;
            net.resyncing = net.resyncing.map(|_| usize::MAX);
            net.exchange();
        }
        self.foreign_blocks(3 * MATURITY + 3);
        for _ in 0..160 {
            self.rounds(6)?;
            self.operator_looks();
            self.check_step()?;
            self.foreign_blocks(1);
            self.clock.pass(std::time::Duration::from_secs(900));
        }
        self.rounds(6)
    }

    /// Everybody is paid what the slow model says, and nobody twice.
    pub(crate) fn check_end(&mut self) -> Result<(), String> {
        self.check_step()?;
        self.check_fairness()?;
        self.check_shares(None)?;
        let earned = self.earned(self.matured.values())?;
        let forgotten = self.earned(self.forgotten.iter().filter(|candidate| !self.is_known(candidate)))?;
        let Some(pool) = &self.pool else { return Err("the pool does not run".to_owned()) };
        let log = pool.shares().map_err(|error| error.to_string())?;
        let alone = pool.look(|state| self.earned_alone(state, &log))?;
        let received = self.received();
        // Each block leaves a residue below one atom per party, and a later one of its lane may pay it.
        let slack = (self.matured.len() + self.forgotten.len()) as u64 * PARTIES;
        let mut beyond = 0;
        pool.look(|state| {
            for payout in state.payouts() {
                if !matches!(payout.state, PayoutState::Final | PayoutState::Void) {
                    let net = self.net.lock();
                    let inputs = payout.planned.inputs.iter().map(|input| {
                        let coin = state.coin(&input.outpoint);
                        format!(
                            "{:?}: in books {coin:?}, on chain {}",
                            input.outpoint,
                            net.ours.coins().contains_key(&input.outpoint)
                        )
                    });
                    let inputs: Vec<String> = inputs.collect();
                    return Err(format!(
                        "payout {} is still {:?}: {}",
                        payout.planned.id,
                        payout.state,
                        inputs.join("; ")
                    ));
                }
            }
            for (account, key) in state.accounts().iter() {
                let of = |earned: &BTreeMap<KeyHash, u64>| earned.get(&key).copied().unwrap_or(0);
                let model = of(&earned) + of(&alone);
                let got = received.get(&key).copied().unwrap_or(0);
                let due = state.books().balance(LedgerAccount::MinerPayable(account));
                let carried = state.books().balance(LedgerAccount::MinerCarried(account));
                let fees = state.payouts().filter(|payout| payout.state == PayoutState::Final).map(|payout| {
                    match &payout.planned.kind {
                        PayoutKind::Miners(plan) => plan
                            .payees
                            .iter()
                            .filter(|payee| payee.account == account)
                            .map(|payee| payee.fee.atoms())
                            .sum(),
                        _ => 0,
                    }
                });
                let credited = due + carried + got + fees.sum::<u64>();
                if state.paid(account) != got {
                    return Err(format!("{key} got {got} on the chain, the books say {}", state.paid(account)));
                }
                // What a forgotten payout paid for blocks that only the lost end of the books saw mature is not taken back (T34).
                let most = model + of(&forgotten) + of(&self.forgotten_alone) + slack;
                if credited < model || credited > most {
                    return Err(format!(
                        "{key} was credited {credited}, the slow model says {model} (and up to {most})"
                    ));
                }
                beyond += credited.saturating_sub(model + slack);
                let is_short = self.is_short || state.books().balance(LedgerAccount::OrphanLoss) > 0;
                if due >= PAYOUT_MIN && !is_short {
                    return Err(format!("{key} is still owed {due}"));
                }
            }
            let given_up = state.books().balance(LedgerAccount::WriteOff);
            if beyond > given_up {
                return Err(format!("{beyond} atoms were paid beyond the slow model, only {given_up} were given up"));
            }
            Ok(())
        })
    }

    /// Whether the books of now hold a block as mature that pays the same window.
    pub(crate) fn is_known(&self, candidate: &Candidate) -> bool {
        self.matured.get(&candidate.id).is_some_and(|known| known.winning == candidate.winning)
    }

    /// What the slow model says that each key earned by these blocks.
    fn earned<'a>(&self, candidates: impl Iterator<Item = &'a Candidate>) -> Result<BTreeMap<KeyHash, u64>, String> {
        let Some(pool) = &self.pool else { return Ok(BTreeMap::new()) };
        let log = pool.shares().map_err(|error| error.to_string())?;
        let index: BTreeMap<ShareSequence, usize> =
            log.iter().enumerate().map(|(at, (sequence, _))| (*sequence, at)).collect();
        let shares: Vec<Share> = log.into_iter().map(|(_, share)| share).collect();
        let own: BTreeMap<BlockId, usize> =
            shares.iter().enumerate().filter_map(|(at, share)| Some((share.block_id?, at))).collect();
        let model = Model { shares: &shares, fee: if self.plan.schemes { slow::FEE.into() } else { FEE } };
        let mut earned: BTreeMap<KeyHash, u64> = BTreeMap::new();
        for candidate in candidates {
            let start = match (own.get(&candidate.id), &candidate.winning) {
                (Some(at), Winning::Share(_)) => Start::Own(*at),
                (_, Winning::After(share)) => match index.get(&share.sequence) {
                    Some(at) => Start::Before(*at),
                    None => return Err(format!("block {} pays a share that is not there", candidate.id)),
                },
                (_, Winning::Coinbase(direct)) => match direct.newest.map(|share| index.get(&share.sequence)) {
                    Some(Some(at)) => Start::Before(*at),
                    Some(None) => return Err(format!("block {} pays a share that is not there", candidate.id)),
                    None => Start::Nothing,
                },
                (_, Winning::NoShares) => Start::Nothing,
                (_, Winning::Lost) => continue,
                (None, Winning::Share(_)) => {
                    return Err(format!("block {} pays a share that is not its own", candidate.id));
                }
            };
            let reward = candidate.reward().map_err(|error| error.to_string())?.atoms();
            let gone = self.gone_with(candidate);
            for (key, credit) in model.credits(reward, candidate.algorithm, start) {
                *earned.entry(key).or_default() += credit.saturating_sub(gone.get(&key).copied().unwrap_or(0));
            }
        }
        Ok(earned)
    }

    /// What a coinbase paid miners that has left the chain: no books can keep that for them.
    fn gone_with(&self, candidate: &Candidate) -> BTreeMap<KeyHash, u64> {
        let mut gone: BTreeMap<KeyHash, u64> = BTreeMap::new();
        let is_gone = self.net.lock().ours.height_on_best(&candidate.id).is_none();
        if let (true, Some(pool), Some(direct)) = (is_gone, &self.pool, candidate.direct()) {
            pool.look(|state| {
                for output in &direct.paid {
                    if let Some(key) = state.accounts().key(output.account) {
                        *gone.entry(key).or_default() += output.amount.atoms();
                    }
                }
            });
        }
        gone
    }

    /// What every key has on the best chain.
    fn received(&self) -> BTreeMap<KeyHash, u64> {
        let net = self.net.lock();
        let mut received: BTreeMap<KeyHash, u64> = BTreeMap::new();
        for transaction in net.ours.transactions() {
            for output in &transaction.outputs {
                *received.entry(output.key_hash).or_default() += output.amount.atoms();
            }
        }
        received
    }

    /// Figures for the end of a story.
    pub(crate) fn figures(&self) -> Vec<(&'static str, u64)> {
        let Some(pool) = &self.pool else { return Vec::new() };
        let received = self.received();
        let paid = received.iter().filter(|(key, _)| is_miner(key)).map(|(_, amount)| amount).sum();
        pool.look(|state| {
            let payouts = |of: PayoutState| state.payouts().filter(|payout| payout.state == of).count() as u64;
            vec![
                ("height", u64::from(self.our_height())),
                ("shares", self.shares.len() as u64),
                ("shares_lost_to_power", self.lost_to_power.len() as u64),
                ("pool_blocks", state.blocks().count() as u64),
                ("blocks_matured", self.matured.len() as u64),
                ("payouts_final", payouts(PayoutState::Final)),
                ("payouts_void", payouts(PayoutState::Void)),
                ("paid_atoms", paid),
                ("orphan_loss_atoms", state.books().balance(LedgerAccount::OrphanLoss)),
                ("missing_atoms", state.books().balance(LedgerAccount::Missing)),
            ]
        })
    }
}
